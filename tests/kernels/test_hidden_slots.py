"""NaN and Inf: from a hidden slot they reach no row, from a visible one only the rows that see it."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.tolerance import unit

TOKENS, DIM = 100, 12
POISON = [np.nan, np.inf, -np.inf, np.uint32(0x7F800001).view(np.float32)]


def arrays(seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((2, heads, TOKENS, DIM)).astype(np.float32) for heads in (4, 2, 2)]


def run(query: Any, key: Any, value: Any, **options: Any) -> bytes:
    part = at.partial_attention(query, key, value, **options, implementation="kernel")
    return part.output.tobytes() + part.logsumexp.tobytes()


@pytest.mark.parametrize("poison", POISON, ids=["nan", "inf", "-inf", "signalling"])
@pytest.mark.parametrize("where", ["key", "value", "both"])
@pytest.mark.parametrize("query_len", [1, 2, 9, TOKENS])
def test_hidden_slots_change_no_bit(level: str, poison: Any, where: str, query_len: int) -> None:
    query, key, value = arrays()
    query = query[:, :, :query_len]
    lengths = at.KeyLengths([70, 33])
    ranges = at.KeyRanges([5, 64], [70, 66])
    for mask in (lengths, ranges, at.Causal() & lengths, lengths.visible(query_len, TOKENS, batch=2)):
        visible = mask if isinstance(mask, np.ndarray) else mask.visible(query_len, TOKENS, batch=2)
        hidden = ~np.broadcast_to(visible, (2, 1, query_len, TOKENS)).any(axis=(1, 2))
        dirty_key, dirty_value = key.copy(), value.copy()
        for array in {"key": [dirty_key], "value": [dirty_value], "both": [dirty_key, dirty_value]}[where]:
            array.swapaxes(1, 2)[hidden] = poison
        for options in ({}, {"softcap": 4.0, "alibi_slopes": at.alibi_slopes(4), "sinks": [0.0] * 4}):
            assert run(query, dirty_key, dirty_value, mask=mask, **options) == run(
                query, key, value, mask=mask, **options
            )


@pytest.mark.parametrize("poison", POISON, ids=["nan", "inf", "-inf", "signalling"])
@pytest.mark.parametrize("where", ["key", "value"])
def test_a_visible_poison_reaches_only_the_rows_that_see_it(level: str, poison: Any, where: str) -> None:
    query, key, value = arrays()
    clean = at.attention(query, key, value, mask=at.Causal(), implementation="kernel")
    for slot in (0, 1, 50, 63, 64, 99):
        dirty = {"key": key.copy(), "value": value.copy()}
        dirty[where][:, :, slot, 3] = poison
        output = at.attention(query, dirty["key"], dirty["value"], mask=at.Causal(), implementation="kernel")
        assert output[:, :, :slot].tobytes() == clean[:, :, :slot].tobytes()
        if where == "value":
            assert not np.isfinite(output[:, :, slot:, 3]).any()
            untouched = [d for d in range(DIM) if d != 3]
            assert np.array_equal(output[:, :, slot:, untouched], clean[:, :, slot:, untouched])


def test_a_row_with_a_nan_is_the_one_canonical_nan(level: str) -> None:
    query, key, value = arrays()
    query[0, 0, 5] = np.uint32(0xFFC12345).view(np.float32)
    part = at.partial_attention(query, key, value, implementation="kernel")
    assert set(part.output[0, 0, 5].view(np.uint32)) == {0x7FC00000}
    assert part.logsumexp[0, 0, 5].view(np.uint32) == 0x7FC00000
    assert np.isfinite(np.delete(part.output[0, 0], 5, axis=0)).all()


def test_a_bias_of_minus_infinity_hides_a_poisoned_slot(level: str) -> None:
    query, key, value = arrays()
    bias = np.zeros((TOKENS, TOKENS), np.float32)
    bias[:, 40:] = -np.inf
    dirty_key, dirty_value = key.copy(), value.copy()
    dirty_key[:, :, 40:] = dirty_value[:, :, 40:] = np.nan
    assert run(query, dirty_key, dirty_value, bias=bias) == run(query, key, value, bias=bias)


@pytest.mark.parametrize("query_len", [1, 60])
def test_a_row_that_sees_no_key_is_zero(level: str, query_len: int) -> None:
    query, key, value = arrays()
    part = at.partial_attention(
        query[:, :, :query_len], key, value, mask=at.KeyLengths([0, 3]), implementation="kernel"
    )
    assert (part.output[0] == 0).all()
    assert np.isneginf(part.logsumexp[0]).all()
    assert np.isfinite(part.logsumexp[1]).all()


def test_a_row_that_sees_only_a_sink_is_zero_and_its_logsumexp_the_sink(level: str) -> None:
    query, key, value = arrays()
    sinks = np.array([1.5, -2.0, 0.25, -np.inf], np.float32)
    part = at.partial_attention(
        query, key, value, mask=at.KeyLengths(0), sinks=sinks, implementation="kernel"
    )
    assert (part.output == 0).all()
    # the sink in base 2, and back: each product and each rounded constant costs a unit
    expected = np.broadcast_to(sinks[:3, None], (2, 3, TOKENS))
    np.testing.assert_allclose(part.logsumexp[:, :3], expected, rtol=4 * unit(np.float32))
    assert np.isneginf(part.logsumexp[:, 3]).all()
