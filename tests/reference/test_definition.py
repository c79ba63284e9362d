"""The bottom rung: attention by hand judges the definition."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import reference
from attnscope.errors import AttentionScoringError
from attnscope.problem import Causal, KeyLengths, Window
from tests import by_hand
from tests.problems import Case, problems
from tests.tolerance import assert_within, error_bound

SMALL: dict[str, Any] = {"max_tokens": 9, "max_dim": 5}


def assert_matches_by_hand(case: Case) -> None:
    """Plain Python judges the reference's output, logsumexp and weights."""
    expected = by_hand.attention(*case.arrays, **case.options)
    bound = error_bound(case, arithmetic=np.float64, output=np.float64)
    part = reference.partial_attention(*case.arrays, **case.options)
    assert_within(reference.attention(*case.arrays, **case.options), expected.output, bound.output, "output")
    assert_within(part.output, expected.output, bound.output, "output of the partial")
    assert_within(part.logsumexp, expected.logsumexp, bound.logsumexp, "logsumexp")
    assert_within(
        reference.weights(case.query, case.key, **case.options), expected.weights, bound.weights, "weights"
    )


@given(problems(**SMALL))
def test_the_reference_is_what_one_gets_by_hand(case: Case) -> None:
    assert_matches_by_hand(case)


def small_case(**options: Any) -> Case:
    """2 query heads on 1 kv head, 4 queries, 6 keys."""
    rng = np.random.default_rng(7)
    query, key, value = (rng.standard_normal((1, h, n, d)) for h, n, d in ((2, 4, 3), (1, 6, 3), (1, 6, 2)))
    return Case(query, key, value, options)


def test_one_query_on_three_keys_is_worked_out_on_paper() -> None:
    log2 = np.log(2.0)  # scores 0, log 2, log 2: weights 1/5, 2/5, 2/5
    keys, values = np.array([[0.0], [log2], [log2]]), np.array([[5.0], [10.0], [20.0]])
    assert reference.attention(np.array([[1.0]]), keys, values).item() == pytest.approx(13.0, rel=1e-15)


def test_a_sink_takes_weight_and_gives_no_value() -> None:
    one = np.array([[1.0]])
    assert reference.attention(0 * one, one, one, sinks=[0.0]).item() == pytest.approx(0.5, rel=1e-15)


def test_ranks_two_and_three_lack_a_head_and_a_batch_axis() -> None:
    case = small_case()
    whole = reference.attention(*case.arrays)
    three = reference.attention(*(array[0] for array in case.arrays))
    two = reference.attention(case.query[0, 1], case.key[0, 0], case.value[0, 0])
    np.testing.assert_array_equal(three, whole[0])
    np.testing.assert_array_equal(two, whole[0, 1])


@pytest.mark.parametrize("sinks", [None, [0.5, -0.5]], ids=["no sinks", "sinks"])
def test_a_row_that_sees_no_key_is_zero(sinks: list[float] | None) -> None:
    case = small_case(mask=Causal(offset=-2), **({} if sinks is None else {"sinks": sinks}))
    part = reference.partial_attention(*case.arrays, **case.options)
    assert not part.output[:, :, :2].any()
    assert not reference.weights(case.query, case.key, **case.options)[:, :, :2].any()
    alone = np.array([-np.inf, -np.inf] if sinks is None else sinks)
    np.testing.assert_array_equal(part.logsumexp[0, :, 0], alone)
    np.testing.assert_array_equal(part.logsumexp[0, :, 1], alone)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_hidden_slot_never_reaches_any_output(poison: float) -> None:
    case = small_case(mask=KeyLengths(4))
    poisoned = Case(case.query, case.key.copy(), case.value.copy(), case.options)
    poisoned.key[:, :, 4:] = poison
    poisoned.value[:, :, 4:] = poison
    clean = reference.attention(*case.arrays, **case.options)
    np.testing.assert_array_equal(reference.attention(*poisoned.arrays, **case.options), clean)
    clean = reference.weights(case.query, case.key, **case.options)
    np.testing.assert_array_equal(reference.weights(case.query, poisoned.key, **case.options), clean)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["key", "value"])
def test_a_visible_nan_reaches_its_own_rows_only(where: str, poison: float) -> None:
    # the queries stand at positions 2, 3, 4 and 5; key 3 is seen by those at 3 and 4
    case = small_case(mask=Window(left=1, right=0))
    clean = reference.attention(*case.arrays, **case.options)
    poisoned: dict[str, Any] = {"key": case.key.copy(), "value": case.value.copy()}
    poisoned[where][:, :, 3, 0] = poison
    output = reference.attention(case.query, **poisoned, **case.options)
    np.testing.assert_array_equal(output[:, :, [0, 3]], clean[:, :, [0, 3]])
    if where == "value":
        assert not np.isfinite(output[:, :, [1, 2], 0]).any()
        np.testing.assert_array_equal(output[..., 1], clean[..., 1])
    else:
        rises = case.query[..., [1, 2], 0] > 0  # +inf times a negative entry is a score of -inf: weight 0
        assert not np.isfinite(output[:, :, [1, 2]][rises if np.isinf(poison) else ...]).any()


def test_a_nan_in_a_query_stays_in_its_row() -> None:
    case = small_case()
    poisoned = case.query.copy()
    poisoned[0, 1, 2] = np.nan
    output = reference.attention(poisoned, case.key, case.value)
    touched = np.any(np.isnan(output), axis=-1)
    assert touched.sum() == 1
    assert touched[0, 1, 2]


def test_a_hidden_key_weighs_nothing_even_in_a_row_of_nans() -> None:
    case = small_case(mask=KeyLengths(4))
    weights = reference.weights(np.full_like(case.query, np.nan), case.key, **case.options)
    assert np.isnan(weights[..., :4]).all()
    assert not weights[..., 4:].any()


def test_a_bias_of_minus_infinity_hides_its_key_as_a_mask_would() -> None:
    case = small_case()
    hidden = np.zeros((4, 6))
    hidden[:, 4:] = -np.inf
    poisoned = case.value.copy()
    poisoned[:, :, 4:] = np.nan
    np.testing.assert_array_equal(
        reference.attention(case.query, case.key, poisoned, bias=hidden),
        reference.attention(*case.arrays, mask=KeyLengths(4)),
    )


@given(problems(formats=("float64",), **SMALL), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(case: Case, random: Any) -> None:
    keys = {name: option for name, option in case.options.items() if name in ("scale", "softcap", "sinks")}
    order = random.sample(range(case.key.shape[2]), case.key.shape[2])
    plain = Case(*case.arrays, keys)
    bound = error_bound(plain, arithmetic=np.float64, output=np.float64)
    shuffled = reference.attention(case.query, case.key[:, :, order], case.value[:, :, order], **keys)
    assert_within(shuffled, reference.attention(*plain.arrays, **keys), bound.output, "output")


@given(problems(formats=("float64",), **SMALL), st.floats(-20, 20))
def test_a_constant_on_all_scores_moves_the_logsumexp_alone(case: Case, constant: float) -> None:
    options = {name: option for name, option in case.options.items() if name not in ("bias", "sinks")}
    moved = Case(*case.arrays, options | {"bias": np.full((1, 1, 1, 1), constant)})
    bound = error_bound(moved, arithmetic=np.float64, output=np.float64)
    before, after = (reference.partial_attention(*case.arrays, **each) for each in (options, moved.options))
    assert_within(after.output, before.output, bound.output, "output")
    expected = before.logsumexp + constant
    assert_within(after.logsumexp, expected, bound.logsumexp, "logsumexp")


def test_scores_can_be_asked_for_at_each_stage() -> None:
    case = small_case(softcap=2.0, bias=np.ones((4, 6)), mask=Causal(), scale=3.0)
    raw, capped, biased = (
        reference.scores(case.query, case.key, stage=stage, **case.options)
        for stage in ("raw", "softcap", "bias")
    )
    bound = error_bound(case, arithmetic=np.float64, output=np.float64).scores.max()
    np.testing.assert_allclose(raw[0, 1], case.query[0, 1] @ (3.0 * case.key[0, 0]).T, rtol=0, atol=bound)
    np.testing.assert_allclose(capped, 2.0 * np.tanh(raw / 2.0), rtol=0, atol=bound)
    visible = np.tri(4, 6, 2, dtype=bool)
    np.testing.assert_array_equal(biased[..., visible], capped[..., visible] + 1.0)
    assert np.isneginf(biased[..., ~visible]).all()


def test_an_unknown_stage_is_refused_with_the_stages_there_are() -> None:
    with pytest.raises(
        AttentionScoringError, match=r"stage='softmax': expected one of \['raw', 'softcap', 'bias'\]"
    ):
        reference.scores(*small_case().arrays[:2], stage="softmax")  # type: ignore[arg-type]


@settings(max_examples=30)
@given(problems(**SMALL))
def test_the_inputs_are_never_written_to(case: Case) -> None:
    before = [array.copy() for array in case.arrays]
    for array in case.arrays:
        array.flags.writeable = False
    reference.attention(*case.arrays, **case.options)
    for array, copy in zip(case.arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
