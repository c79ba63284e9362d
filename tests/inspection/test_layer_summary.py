"""The summary of a layer, compared with its whole matrix of weights."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.inspection import LayerSummary
from attnscope.inspection.layer_summary import mask_in_words, summarize, visible_spans
from attnscope.inspection.subject import ObservedLayer
from tests.problems import Case
from tests.tolerance import assert_within, error_bound, of_a_sum

TOKENS, HEADS = 40, 3
LABELS = np.repeat([0, 1, 2], [5, 25, 10])
IDS = np.arange(TOKENS) % 7
rng = np.random.default_rng(0)
QUERY, KEY, VALUE = rng.standard_normal((3, HEADS, TOKENS, 8)).astype(np.float32)
MASKS = {"causal": at.Causal(), "window": at.Causal() & at.Window(left=5), "all": None}


def layer_of(mask: at.Mask | None, **batch: Any) -> tuple[LayerSummary, NDArray[np.float64]]:
    seen = at.observe(
        QUERY[None],
        KEY[None],
        VALUE[None],
        mask=mask,
        segments=LABELS,
        top_keys=8,
        received=True,
        block_map_size=10,
    )
    weights = at.reference.weights(QUERY, KEY, mask=mask)
    return summarize(ObservedLayer(4, "some.module", ("0", "1", "2"), seen), IDS, LABELS), weights


def weights_wrong_by(mask: at.Mask | None) -> NDArray[np.float64]:
    """How far each weight may be from the reference's."""
    case = Case(QUERY[None], KEY[None], VALUE[None], {"mask": mask})
    wrong_by: NDArray[np.float64] = error_bound(case, arithmetic=np.float32, output=np.float32).weights[0]
    return wrong_by


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_by_segment_is_the_mean_of_the_weights(mask: at.Mask | None) -> None:
    layer, weights = layer_of(mask)
    wrong_by = weights_wrong_by(mask)
    assert layer.by_segment is not None
    for reader in range(3):
        for segment in range(3):
            expected, bound = (
                each[:, reader == LABELS][:, :, segment == LABELS].sum(axis=-1).mean(axis=-1)
                for each in (weights, wrong_by)
            )
            found = layer.by_segment[:, reader, segment]
            assert_within(found, expected, bound + of_a_sum(TOKENS) * (expected + bound), "by_segment")


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_evenly_is_a_head_with_uniform_weights(mask: at.Mask | None) -> None:
    layer, _ = layer_of(mask)
    uniform = at.reference.weights(0 * QUERY, KEY, mask=mask)[0]
    shares = np.stack([uniform[:, segment == LABELS].sum(axis=-1) for segment in range(3)], axis=-1)
    expected = np.stack([shares[reader == LABELS].mean(axis=0) for reader in range(3)])
    assert layer.evenly is not None
    np.testing.assert_allclose(layer.evenly, expected, rtol=of_a_sum(TOKENS, np.float64))


def test_a_mask_that_the_number_of_keys_does_not_determine_has_no_even_shares() -> None:
    layer, _ = layer_of(at.Prefix(10) | at.Causal())
    assert layer.evenly is None
    assert layer.mask == "10 to 40 keys per token"


def test_arrays_have_no_axis_of_the_batch() -> None:
    layer, weights = layer_of(MASKS["causal"])
    assert (layer.heads, layer.tokens) == (HEADS, TOKENS)
    assert layer.top_keys.shape == (HEADS, TOKENS, 8)
    assert layer.block_map.shape == (HEADS, 10, 10)
    received, bound = weights.sum(axis=1), weights_wrong_by(MASKS["causal"]).sum(axis=1)
    assert_within(layer.received, received, bound + of_a_sum(TOKENS) * (received + bound), "received")
    assert set(layer.means) >= {"normalized_entropy", "induction", "unseen"}
    assert all(values.shape == (HEADS,) for values in layer.means.values())


def test_the_mean_of_the_sinks_is_over_the_tokens_that_see_a_key() -> None:
    seen = at.observe(
        QUERY,
        KEY,
        VALUE,
        mask=at.Causal(offset=-1),
        sinks=[0.0, 1.0, -np.inf],
        top_keys=4,
        received=True,
        block_map_size=4,
    )
    layer = summarize(ObservedLayer(0, "", ("0", "1", "2"), seen), IDS, None)
    expected = seen.sink_mass[:, 1:].astype(np.float64).mean(axis=-1)
    np.testing.assert_allclose(layer.means["sink_mass"], expected, rtol=of_a_sum(TOKENS, np.float64))
    assert layer.has_sinks
    assert not layer_of(MASKS["causal"])[0].has_sinks


def test_without_segments_there_are_no_masses() -> None:
    seen = at.observe(QUERY, KEY, VALUE, top_keys=4, received=True, block_map_size=4)
    layer = summarize(ObservedLayer(0, "", ("0", "1", "2"), seen), IDS, None)
    assert layer.by_segment is None
    assert layer.evenly is None
    assert layer.top_keys.shape == (HEADS, TOKENS, 4)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ([[1, 2, 3, 4]] * 2, "causal"),
        ([[4, 4, 4, 4]], "every token sees all tokens"),
        ([[1, 2, 3, 3]], "causal, the last 3 tokens"),
        ([[2, 2, 3, 4]], "2 to 4 keys per token"),
        ([[1, 2, 3, 4], [4, 4, 4, 4]], "differs between heads"),
    ],
)
def test_masks_are_described(visible: list[list[int]], expected: str) -> None:
    assert mask_in_words(np.array(visible)) == expected


def test_spans_are_known_if_the_number_of_keys_determines_them() -> None:
    spans = visible_spans(np.array([1, 2, 2]))
    assert spans is not None
    assert [each.tolist() for each in spans] == [[0, 0, 1], [1, 2, 3]]
    assert visible_spans(np.array([2, 2, 2])) is None
