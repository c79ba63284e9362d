"""int8: how far what is read back may lie from what was given."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import attnscope as at
from tests.cache.texts import cache_of, tokens_of

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
TINY = st.integers(-300, 300).map(lambda steps: steps * 2.0**-149)
FLOATS = FINITE | st.floats(-1, 1, width=32) | TINY


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=FLOATS))
def test_the_error_is_at_most_half_a_step(vectors: np.ndarray) -> None:
    stored, scales = at.cache.quantize(vectors)
    read = stored.astype(np.float64) * scales.astype(np.float64)[..., None]
    largest = np.abs(vectors.astype(np.float64)).max(axis=-1, keepdims=True)
    bound = largest / 254 * (1 + 2.0**-15) + 2.0**-142  # of quantize()
    assert (np.abs(vectors - read) <= bound).all()


def test_the_bound_is_nearly_reached() -> None:
    """So it is no looser than it has to be."""
    vectors = np.array([[127.0, 0.5, 1.4999]], np.float32)
    stored, scales = at.cache.quantize(vectors)
    error = np.abs(vectors - stored * scales[..., None]).max()
    assert error > 0.99 * 127 / 254


def test_zeros_stay_zeros_and_the_largest_is_kept() -> None:
    stored, scales = at.cache.quantize(np.array([[0, 0, 0], [-8, 4, 2]], ml_dtypes.bfloat16))
    assert stored.tolist() == [[0, 0, 0], [-127, 64, 32]]
    assert scales.tolist() == [0.0, np.float32(8 / 127)]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_int8_cannot_hold_is_refused_and_nothing_is_written(wrong: float) -> None:
    cache = cache_of(dtype="int8")
    text = cache.new_sequence()
    key, value = tokens_of(np.random.default_rng(0), 3)
    value[1, 2, 4] = wrong
    with pytest.raises(
        at.AttentionFormatError, match=r"value\[0, 1, 2\] holds a NaN or an infinity, which int8 cannot hold"
    ):
        cache.append(text, 0, key, value)
    assert cache.tokens(text) == 0
    assert cache.bytes_used == 0


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.zeros((2, 3), np.int8), np.float32(1)])
def test_other_formats_are_refused(wrong: object) -> None:
    with pytest.raises(at.AttentionFormatError, match="expected"):
        at.cache.quantize(wrong)  # type: ignore[arg-type]


def test_attention_over_int8_stays_near_attention_over_float32() -> None:
    """The error of an output is at most that of the values, and of weights whose scores moved by theirs."""
    rng = np.random.default_rng(1)
    key, value = tokens_of(rng, 500)
    query = rng.standard_normal((6, 1, key.shape[2]), np.float32)
    cache = cache_of(dtype="int8")
    text = cache.new_sequence()
    cache.append(text, 0, key, value)
    found = cache.attend(text, 0, query)
    exact = at.reference.attention(query, key, value)
    score_error = np.abs(query).sum(axis=-1).max() * np.abs(key).max() / 254 / np.sqrt(key.shape[2])
    bound = np.abs(value).max() * (1 / 254 + np.expm1(2 * score_error))
    assert 0 < np.abs(found - exact).max() < bound
