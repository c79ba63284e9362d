"""at.observe: shapes, what is asked, what is refused."""

import inspect
from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.tolerance import of_a_sum

RNG = np.random.default_rng(2)
QUERY, KEY, VALUE = (RNG.standard_normal((2, h, 20, 8)).astype(np.float32) for h in (4, 2, 2))
ENTROPY = float(np.log(20)) * of_a_sum(20)  # of 20 keys, and so of e^entropy
ASKED: dict[str, Any] = {"segments": np.arange(20) // 7, "top_keys": 3, "received": True, "block_map_size": 5}


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_axes_that_the_query_lacks_are_lacking_everywhere(rank: int, implementation: Any) -> None:
    arrays = [x[(0,) * (4 - rank)] for x in (QUERY, KEY, VALUE)]
    seen = at.observe(*arrays, mask=at.Causal(), implementation=implementation, **ASKED)
    lead = QUERY.shape[4 - rank : -2]
    assert seen.output.shape == (*lead, 20, 8)
    for name in (
        "entropy",
        "logsumexp",
        "max_weight",
        "max_key",
        "first_mass",
        "mean_distance",
        "sink_mass",
        "visible_keys",
    ):
        assert getattr(seen, name).shape == (*lead, 20), name
    others = {"segment_mass": (20, 3), "top_keys": (20, 3), "received": (20,), "block_map": (5, 5)}
    for name, shape in others.items():
        assert getattr(seen, name).shape == (*lead, *shape), name


def test_only_what_was_asked_for_is_there() -> None:
    seen = at.observe(QUERY, KEY, VALUE)
    assert all(
        each is None
        for each in (seen.segment_mass, seen.top_keys, seen.top_weights, seen.received, seen.block_map)
    )


def test_float64_runs_in_float64() -> None:
    wide = [x.astype(np.float64) for x in (QUERY, KEY, VALUE)]
    seen = at.observe(*wide, **ASKED)
    assert seen.entropy.dtype == np.float64
    assert seen.block_map is not None
    assert seen.block_map.dtype == np.float64
    assert seen.output.tobytes() == at.attention(*wide).tobytes()


def test_named_ranges_are_segments() -> None:
    named = at.observe(QUERY, KEY, VALUE, segments={"system": (0, 7), "question": (7, 20)})
    labelled = at.observe(QUERY, KEY, VALUE, segments=np.arange(20) >= 7)
    assert named.segment_names == ("system", "question")
    assert named.segment_mass is not None
    assert labelled.segment_mass is not None
    assert named.segment_mass.tobytes() == labelled.segment_mass.tobytes()


def test_a_batch_row_may_have_segments_of_its_own() -> None:
    labels = np.stack([np.arange(20) // 10, np.arange(20) % 2])
    seen = at.observe(QUERY, KEY, VALUE, segments=labels)
    assert seen.segment_mass is not None
    for row in range(2):
        alone = at.observe(
            QUERY[row : row + 1], KEY[row : row + 1], VALUE[row : row + 1], segments=labels[row]
        )
        assert alone.segment_mass is not None
        assert seen.segment_mass[row].tobytes() == alone.segment_mass[0].tobytes()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"segments": {"a": (0, 9), "b": (7, 20)}},
            "segments 'a' and 'b' overlap at key 7.*the first key behind it",
        ),
        (
            {"segments": {"a": (0, 9), "b": (12, 20)}},
            "leave out 3 of 20 keys, the first is key 9.*Name the rest",
        ),
        ({"segments": {"a": (0, 21)}}, r"segments\['a'\] is \(0, 21\), expected start <= end <= 20"),
        ({"segments": {"a": 20}}, r"segments\['a'\] is 20, expected \(start, end\)"),
        ({"segments": {"a": (0.5, 20)}}, r"segments\['a'\] start=0.5: expected an integer"),
        ({"segments": {}}, "segments has 0 names, expected 1 to 64"),
        (
            {"segments": np.zeros(19, int)},
            r"segments has shape \[19\], expected a label for each of the 20 keys",
        ),
        ({"segments": np.full(20, 64)}, "segments holds the label 64, expected 0 to 63"),
        ({"segments": np.full(20, -1)}, "segments holds the label -1, expected 0 to 63"),
        ({"segments": np.zeros(20)}, "segments is float64, expected integers from 0 to 63"),
        ({"top_keys": 21}, "top_keys=21: expected at most 20, the number of keys"),
        ({"top_keys": 10**9}, "top_keys=1000000000: expected at most 20, the number of keys"),
        ({"top_keys": -1}, "top_keys=-1: expected 0 or more"),
        ({"block_map_size": 21}, "block_map_size=21: expected at most 20"),
        ({"block_map_size": 0}, "block_map_size=0: expected 1 or more"),
        ({"first_keys": -1}, "first_keys=-1: expected 0 or more"),
        ({"first_keys": 2.0}, "first_keys=2.0: expected an integer"),
        (
            {"received": np.ones(19, np.float32)},
            r"received is an array of float32 \[19\], expected True, False",
        ),
        ({"received": np.full(20, np.nan)}, "received holds a NaN or an infinity"),
        ({"received": np.ones(20, int)}, "received is an array of int64"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_way_out(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        at.observe(QUERY, KEY, VALUE, **asked)


def test_no_key_at_all_is_legal() -> None:
    none = np.zeros((1, 2, 0, 8), np.float32)
    seen = at.observe(QUERY[:1, :2], none, none, received=True)
    assert not seen.output.any()
    assert (seen.max_key == -1).all()
    assert seen.received is not None
    assert seen.received.shape == (1, 2, 0)


def test_help_and_signature_are_those_of_the_function() -> None:
    assert "segments" in inspect.signature(at.observe).parameters
    assert "Compute attention, and statistics of each row's weights" in (at.observe.__doc__ or "")


def test_effective_keys_and_normalized_entropy() -> None:
    flat = np.zeros_like(QUERY)
    seen = at.observe(flat, KEY, VALUE, mask=at.Causal())
    np.testing.assert_allclose(
        seen.effective_keys, np.broadcast_to(np.arange(1, 21), (2, 4, 20)), rtol=ENTROPY
    )
    np.testing.assert_allclose(seen.normalized_entropy[..., 1:], 1, rtol=ENTROPY)
    assert (seen.normalized_entropy[..., 0] == 0).all()  # one key: nothing to choose


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
@pytest.mark.parametrize("sink", [-np.inf, -20.0, 0.0, 3.0, 40.0, 300.0])
@pytest.mark.parametrize("query_scale", [0.0, 1.0, 10.0])
def test_beside_a_sink_statistics_are_those_of_the_visible_keys(
    implementation: Any, sink: float, query_scale: float
) -> None:
    query = (query_scale * QUERY).astype(np.float32)
    options: dict[str, Any] = {"mask": at.Causal(), "implementation": implementation, **ASKED}
    alone = at.observe(query, KEY, VALUE, **options)
    beside = at.observe(query, KEY, VALUE, sinks=[sink] * 4, **options)
    for name in ("entropy", "max_weight", "first_mass", "mean_distance", "segment_mass", "top_weights"):
        assert getattr(beside, name).tobytes() == getattr(alone, name).tobytes(), name
    for name in ("received", "block_map"):
        assert getattr(beside, name).tobytes() == getattr(alone, name).tobytes(), name
    assert (beside.effective_keys <= beside.visible_keys * (1 + ENTROPY)).all()
    assert (beside.normalized_entropy <= 1 + ENTROPY).all()
    assert (alone.sink_mass == 0).all()
    taken = np.exp(sink - beside.logsumexp.astype(np.float64))
    rounding = (abs(sink) if np.isfinite(sink) else 0) + np.abs(beside.logsumexp) + 8
    np.testing.assert_array_less(np.abs(beside.sink_mass - taken), taken * 2**-22 * rounding + 1e-37)


def test_a_head_s_summary_is_the_mean_over_rows_that_see_something() -> None:
    seen = at.observe(QUERY, KEY, VALUE, mask=at.Causal(offset=-5), **ASKED)
    heads = seen.per_head()
    of_doubles = of_a_sum(15, np.float64)
    np.testing.assert_allclose(
        heads.entropy, seen.entropy[..., 5:].mean(axis=-1, dtype=float), rtol=of_doubles
    )
    assert seen.segment_mass is not None
    assert heads.segment_mass is not None
    masses = seen.segment_mass[..., 5:, :].mean(axis=-2, dtype=float)
    np.testing.assert_allclose(heads.segment_mass, masses, rtol=of_doubles)
    np.testing.assert_allclose(heads.segment_mass.sum(axis=-1), 1, rtol=of_a_sum(20))
    table = repr(seen).splitlines()
    assert table[0].split() == [
        "batch",
        "head",
        "entropy",
        "normalized",
        "keys",
        "largest",
        "first",
        "4",
        "distance",
        "0",
        "1",
        "2",
    ]
    assert len(table) == 1 + 2 * 4
    assert table[1].split()[2] == f"{heads.entropy[0, 0]:.3f}"


def test_more_top_keys_than_can_be_sorted_quickly_are_refused() -> None:
    key = np.zeros((1, 1025, 4), np.float32)
    with pytest.raises(at.AttentionError, match=r"top_keys=1025: expected at most 1024.*reference\.weights"):
        at.observe(key[:, :1], key, key, top_keys=1025)
    assert at.observe(key[:, :1], key, key, top_keys=1024).top_keys is not None
