"""The contract: the bits of a row depend on its query, keys, values, mask and scoring alone."""

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope import kernels
from attnscope.result import PartialAttention

HEADS, KV_HEADS, TOKENS, KEY_DIM, VALUE_DIM = 6, 2, 150, 37, 21
FORMATS = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def arrays(
    dtype: Any = np.float32, batch: int = 1, tokens: int = TOKENS, seed: int = 0
) -> list[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    shapes = [(HEADS, KEY_DIM), (KV_HEADS, KEY_DIM), (KV_HEADS, VALUE_DIM)]
    return [rng.standard_normal((batch, heads, tokens, dim)).astype(dtype) for heads, dim in shapes]


def scorings() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(9)
    return {
        "plain": {},
        "softcap": {"softcap": 3.0},
        "alibi_slopes": {"alibi_slopes": at.alibi_slopes(HEADS)},
        "sinks": {"sinks": rng.standard_normal(HEADS).astype(np.float32)},
        "all": {
            "softcap": 3.0,
            "alibi_slopes": at.alibi_slopes(HEADS),
            "sinks": rng.standard_normal(HEADS).astype(np.float32),
        },
    }


MASKS: dict[str, Any] = {
    "full": None,
    "causal": at.Causal(),
    "window": at.Window(left=40, right=0),
    "window and first keys": at.Window(left=20, right=0) | (at.Prefix(3) & at.Causal()),
    "documents": at.Documents(np.repeat([0, 1, 2, 3], [70, 5, 60, 15])),
}


def run(query: Any, key: Any, value: Any, **options: Any) -> PartialAttention:
    return at.partial_attention(query, key, value, **options, implementation="kernel")


def assert_same(actual: PartialAttention, expected: PartialAttention, what: str) -> None:
    assert actual.output.tobytes() == expected.output.tobytes(), f"output differs: {what}"
    assert actual.logsumexp.tobytes() == expected.logsumexp.tobytes(), f"logsumexp differs: {what}"


def rows(of: PartialAttention, queries: slice) -> PartialAttention:
    return PartialAttention(of.output[:, :, queries], of.logsumexp[:, :, queries])


def chunks(size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, TOKENS)) for first in range(0, TOKENS, size))


@pytest.mark.parametrize("scoring", scorings().values(), ids=scorings())
@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
def test_decode_and_chunked_prefill_equal_prefill(level: str, dtype: Any, scoring: dict[str, Any]) -> None:
    query, key, value = arrays(dtype)
    for left in (None, 40):
        mask = at.Window(left=left, right=0)
        whole = run(query, key, value, mask=mask, **scoring)
        for size in (1, 3, 7, 50):
            for chunk in chunks(size):  # the chunk's last query meets the last key it may read
                part = run(
                    query[:, :, chunk],
                    key[:, :, : chunk.stop],
                    value[:, :, : chunk.stop],
                    mask=mask,
                    **scoring,
                )
                assert_same(part, rows(whole, chunk), f"queries {chunk} with left={left}")


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_row_alone_equals_the_row_among_others(level: str, mask: Any) -> None:
    query, key, value = arrays()
    whole = run(query, key, value, mask=mask)
    visible = np.ones((TOKENS, TOKENS), bool) if mask is None else mask.visible(TOKENS, TOKENS)
    for row in range(0, TOKENS, 7):
        alone = run(query[:, :, row : row + 1], key, value, mask=visible[row : row + 1])
        assert_same(alone, rows(whole, slice(row, row + 1)), f"row {row}")


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_spans_equal_a_bitmap_and_a_bias_of_minus_infinity(level: str, mask: Any) -> None:
    query, key, value = arrays()
    visible = np.ones((TOKENS, TOKENS), bool) if mask is None else mask.visible(TOKENS, TOKENS)
    expected = run(query, key, value, mask=mask)
    assert_same(run(query, key, value, mask=visible), expected, "bool array")
    bias = np.where(visible, np.float32(0), np.float32(-np.inf))
    assert_same(run(query, key, value, bias=bias), expected, "bias")


def test_batch_of_one_and_of_seven(level: str) -> None:
    query, key, value = arrays(batch=7)
    lengths = [0, 1, 64, 65, 149, 150, 33]
    whole = run(query, key, value, mask=at.Causal() & at.KeyLengths(lengths))
    for b, length in enumerate(lengths):
        one = slice(b, b + 1)
        alone = run(query[one], key[one], value[one], mask=at.Causal() & at.KeyLengths([length]))
        assert_same(alone, PartialAttention(whole.output[one], whole.logsumexp[one]), f"batch row {b}")


def test_padding_to_the_right_and_to_the_left_changes_nothing(level: str) -> None:
    query, key, value = arrays()
    whole = run(query, key, value, mask=at.Causal())
    for kept in (1, 63, 64, 100):
        short = run(query[:, :, :kept], key[:, :, :kept], value[:, :, :kept], mask=at.Causal())
        assert_same(rows(whole, slice(0, kept)), short, f"{TOKENS - kept} keys to the right")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_any_number_of_threads(level: str, threads: int, mask: Any) -> None:
    query, key, value = arrays(batch=2)
    assert_same(
        run(query, key, value, mask=mask, threads=threads), run(query, key, value, mask=mask, threads=1), ""
    )


@pytest.mark.parametrize("query_len", [1, 30])
def test_threads_that_share_a_long_row(level: str, query_len: int) -> None:
    query, key, value = arrays(tokens=3 * 8192 + 100)
    query = query[:, :, :query_len]
    results = [
        run(query, key, value, mask=at.Window(left=20_000), threads=threads) for threads in (1, 2, 3, 5)
    ]
    for result in results[1:]:
        assert_same(result, results[0], "threads")


@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
def test_neighbouring_rows_that_reach_different_parts_of_the_keys(level: str, dtype: Any) -> None:
    """Rows that are taken together see keys before 8,192, keys from there on, and some of both."""
    tokens, query_len, window = 8192 + 150, 400, at.Window(left=100, right=0)
    query, key, value = arrays(dtype, tokens=tokens)
    query = query[:, :, -query_len:]
    whole = run(query, key, value, mask=window)
    for row in (0, 95, 249, 250, 251, 300, 349, 350, 399):
        stop = tokens - query_len + row + 1
        one = slice(row, row + 1)
        alone = run(query[:, :, one], key[:, :, :stop], value[:, :, :stop], mask=window)
        assert_same(alone, rows(whole, one), f"row {row}")


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16], ids=["bfloat16", "float16"])
def test_an_output_of_16_bits_is_the_float32_one_rounded_once(level: str, dtype: Any) -> None:
    query, key, value = arrays(dtype)
    for queries in (slice(0, 2), slice(0, TOKENS)):  # few rows, and many
        few = query[:, :, queries]
        output = at.attention(few, key, value, mask=at.Causal(), implementation="kernel")
        assert output.dtype == dtype
        expected = run(few, key, value, mask=at.Causal()).output.astype(dtype)
        assert output.tobytes() == expected.tobytes(), queries


def layouts(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The same numbers behind other strides; the last axis stays contiguous."""
    batch, heads, tokens, dim = array.shape
    spread = np.zeros((batch, heads, tokens * 3, dim + 5), array.dtype)
    spread[:, :, ::3, 2:-3] = array
    backwards = array[:, ::-1, ::-1].copy()
    return {
        "transposed": array.swapaxes(1, 2).copy().swapaxes(1, 2),
        "sliced": spread[:, :, ::3, 2:-3],
        "reversed": backwards[:, ::-1, ::-1],
        "offset by one": np.concatenate([array.ravel()[:1], array.ravel()])[1:].reshape(array.shape),
    }


@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("layout", ["transposed", "sliced", "reversed", "offset by one"])
@pytest.mark.parametrize("tokens", [1, TOKENS])
def test_any_strides(level: str, dtype: Any, layout: str, tokens: int) -> None:
    query, key, value = arrays(dtype)
    query = query[:, :, -tokens:]
    expected = run(query, key, value, mask=at.Causal())
    actual = run(*(layouts(array)[layout] for array in (query, key, value)), mask=at.Causal())
    assert_same(actual, expected, layout)


def test_one_head_alone_equals_the_head_among_others(level: str) -> None:
    query, key, value = arrays()
    whole = run(query, key, value, mask=at.Causal())
    for head in range(HEADS):
        kv = slice(head // (HEADS // KV_HEADS), head // (HEADS // KV_HEADS) + 1)
        alone = run(query[:, head : head + 1], key[:, kv], value[:, kv], mask=at.Causal())
        expected = PartialAttention(whole.output[:, head : head + 1], whole.logsumexp[:, head : head + 1])
        assert_same(alone, expected, f"head {head}")


@pytest.mark.parametrize("scoring", scorings().values(), ids=scorings())
@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_every_level(dtype: Any, scoring: dict[str, Any], mask: Any) -> None:
    query, key, value = arrays(dtype)
    results = []
    for name in kernels.usable_levels():
        with kernels.forced_level(name):
            results += [run(query, key, value, mask=mask, **scoring)]
            results += [rows(run(query, key, value, mask=mask, **scoring), slice(None))]
    for result in results[1:]:
        assert_same(result, results[0], "level")


def test_the_output_of_attention_is_that_of_partial(level: str) -> None:
    query, key, value = arrays()
    output = at.attention(query, key, value, mask=at.Causal(), implementation="kernel")
    assert output.tobytes() == run(query, key, value, mask=at.Causal()).output.tobytes()
