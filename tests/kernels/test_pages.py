"""Keys and values in pages: the same bits as side by side, for every page size and format."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.cache import Pages
from attnscope.kernels import run_pages
from attnscope.problem import KeySpans, Scoring

KV_HEADS, HEADS, KEY_DIM, VALUE_DIM = 2, 6, 40, 21
LENGTHS = [300, 131, 64]
FORMATS: dict[str, Any] = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
Array = NDArray[Any]


def stored(dtype: Any, seed: int = 0) -> list[tuple[Array, Array]]:
    """A key and a value array [kv_heads, tokens, dim] for each sequence."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.standard_normal((KV_HEADS, tokens, KEY_DIM)).astype(dtype),
            rng.standard_normal((KV_HEADS, tokens, VALUE_DIM)).astype(dtype),
        )
        for tokens in LENGTHS
    ]


def in_pages(sequences: list[tuple[Array, Array]], page_tokens: int, poison: Any) -> Pages:
    """Each sequence's tokens in pages of a shuffled arena; every slot that holds none is poison."""
    blocks = -(-max(LENGTHS) // page_tokens)
    pages = len(LENGTHS) * blocks + 3
    order = np.random.default_rng(1).permutation(pages)[: len(LENGTHS) * blocks]
    table: NDArray[np.int32] = order.reshape(len(LENGTHS), blocks).astype(np.int32)
    dtype = sequences[0][0].dtype
    keys = np.full((pages, KV_HEADS, page_tokens, sequences[0][0].shape[2]), poison, dtype)
    values = np.full((pages, KV_HEADS, page_tokens, VALUE_DIM), poison, dtype)
    for s, (key, value) in enumerate(sequences):
        for token in range(key.shape[1]):
            page, slot = table[s, token // page_tokens], token % page_tokens
            keys[page, :, slot], values[page, :, slot] = key[:, token], value[:, token]
    return Pages(keys, values, None, None, table, np.array(LENGTHS, np.int64))


def causal_spans(query_len: int) -> KeySpans:
    ends = np.array(LENGTHS)[:, None] - query_len + 1 + np.arange(query_len)
    end = np.ascontiguousarray(np.maximum(ends, 0)[..., None], np.int32)
    return KeySpans(np.zeros_like(end), end)


@pytest.mark.parametrize("page_tokens", [1, 7, 16, 64, 128])
@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("query_len", [1, 3, 60])
def test_pages_give_the_bits_of_arrays(level: str, page_tokens: int, dtype: Any, query_len: int) -> None:
    sequences = stored(dtype)
    query = np.random.default_rng(2).standard_normal((len(LENGTHS), HEADS, query_len, KEY_DIM)).astype(dtype)
    alibi_slopes = at.alibi_slopes(HEADS)
    output, normalizer = run_pages(
        query,
        in_pages(sequences, page_tokens, np.nan),
        causal_spans(query_len),
        Scoring(0.2),
        alibi_slopes=alibi_slopes,
        logsumexp=True,
    )
    assert normalizer is not None
    for s, (key, value) in enumerate(sequences):
        expected = at.attention(query[s], key, value, mask=at.Causal(), scale=0.2, alibi_slopes=alibi_slopes)
        assert output[s].tobytes() == expected.tobytes()
        part = at.partial_attention(
            query[s], key, value, mask=at.Causal(), scale=0.2, alibi_slopes=alibi_slopes
        )
        assert normalizer[s].tobytes() == part.logsumexp.tobytes()


@pytest.mark.parametrize("page_tokens", [16, 64])
@pytest.mark.parametrize("query_len", [1, 60])
@pytest.mark.parametrize("key_dim", [KEY_DIM, KEY_DIM - 2])
@pytest.mark.parametrize("one_scale", [0.01, np.inf])
def test_int8_pages_give_the_bits_of_the_numbers_they_stand_for(
    level: str, page_tokens: int, query_len: int, one_scale: float, key_dim: int
) -> None:
    rng = np.random.default_rng(3)
    whole = [
        (rng.integers(-127, 128, (*k.shape[:2], key_dim), np.int8), rng.integers(-127, 128, v.shape, np.int8))
        for k, v in stored(np.float32)
    ]
    pages = in_pages(whole, page_tokens, 77)
    scales: list[NDArray[np.float32]] = [
        np.float32(1 / 64) * rng.random(pages.key.shape[:3], np.float32) for _ in range(2)
    ]
    scales[0][pages.block_table[0, 0], :, 3] = one_scale  # of a key that all queries of a sequence see
    pages.key[pages.block_table[0, 0], :, 3] = whole[0][0][
        :, 3
    ] = -1  # its scores are -inf if the scale is inf
    pages = pages._replace(key_scales=scales[0], value_scales=scales[1])
    query = rng.random((len(LENGTHS), HEADS, query_len, key_dim), np.float32)
    output, _ = run_pages(query, pages, causal_spans(query_len), Scoring(0.2))
    for s, (key, value) in enumerate(whole):
        tokens = np.arange(LENGTHS[s])
        at_page, slot = pages.block_table[s, tokens // page_tokens], tokens % page_tokens
        key_scale, value_scale = (each[at_page, :, slot].T[..., None] for each in scales)
        expected = at.attention(
            query[s],
            key.astype(np.float32) * key_scale,
            value.astype(np.float32) * value_scale,
            mask=at.Causal(),
            scale=0.2,
        )
        assert output[s].tobytes() == expected.tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_float32_queries_read_bfloat16_pages(level: str, threads: int) -> None:
    sequences = stored(ml_dtypes.bfloat16)
    query = np.random.default_rng(2).standard_normal((len(LENGTHS), HEADS, 1, KEY_DIM)).astype(np.float32)
    pages = in_pages(sequences, 64, np.nan)
    output, _ = run_pages(query, pages, causal_spans(1), Scoring(0.2), threads=threads)
    for s, (key, value) in enumerate(sequences):
        expected = at.attention(query[s], key.astype(np.float32), value.astype(np.float32), scale=0.2)
        assert output[s].tobytes() == expected.tobytes()


def test_a_table_that_points_outside_is_refused() -> None:
    pages = in_pages(stored(np.float32), 64, np.nan)
    query = np.zeros((len(LENGTHS), HEADS, 1, KEY_DIM), np.float32)
    wild = pages.block_table.copy()
    wild[1, 0] = len(pages.key)
    with pytest.raises(ValueError, match="block_table: expected entries within the pages"):
        run_pages(query, pages._replace(block_table=wild), causal_spans(1), Scoring(0.2))
    long = pages.key_lens * 100
    with pytest.raises(ValueError, match="key_lens: expected lengths within the plan's keys"):
        run_pages(query, pages._replace(key_lens=long), None, Scoring(0.2))
