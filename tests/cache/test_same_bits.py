"""A decoded row is the prefill's row, byte for byte, whatever the cache has been through."""

import numpy as np
import pytest

import attnscope as at
from tests.cache.texts import DTYPES, HEADS, KV_HEADS, as_read, cache_of, queries_of, tokens_of

TOKENS = 150
PAGE_TOKENS = [1, 7, 16, 64]
SCORING = {
    "scale": 0.3,
    "softcap": 5.0,
    "alibi_slopes": at.alibi_slopes(HEADS),
    "sinks": np.linspace(-1, 1, HEADS, dtype=np.float32),
}


@pytest.mark.parametrize("page_tokens", PAGE_TOKENS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_decode_of_a_token_is_its_row_of_a_prefill(
    level: str, page_tokens: int, dtype: str, threads: int
) -> None:
    rng = np.random.default_rng(0)
    key, value = tokens_of(rng, TOKENS, dtype)
    query = queries_of(rng, TOKENS, dtype)
    read = as_read(key, dtype), as_read(value, dtype)
    prefill = at.attention(query, *read, mask=at.Causal(), **SCORING)  # type: ignore[call-overload]
    cache = cache_of(dtype=dtype, page_tokens=page_tokens)
    text = cache.new_sequence()
    for t in range(TOKENS):
        cache.append(text, 0, key[:, t : t + 1], value[:, t : t + 1])
        if t % 9 and t < TOKENS - 3:
            continue  # a look now and then, and at the end
        row = cache.attend(text, 0, query[:, t : t + 1], threads=threads, **SCORING)  # type: ignore[call-overload]
        assert row.tobytes() == prefill[:, t : t + 1].tobytes(), f"token {t}"


@pytest.mark.parametrize("page_tokens", PAGE_TOKENS)
@pytest.mark.parametrize("chunks", [[150], [1, 149], [63, 2, 85], [64, 64, 22], [7] * 21 + [3]], ids=str)
def test_a_prompt_in_chunks_is_a_prompt_at_once(level: str, page_tokens: int, chunks: list[int]) -> None:
    rng = np.random.default_rng(1)
    key, value = tokens_of(rng, TOKENS)
    query = queries_of(rng, TOKENS)
    cache = cache_of(page_tokens=page_tokens)
    text, rows, first = cache.new_sequence(), [], 0
    for chunk in chunks:
        now = slice(first, first + chunk)
        cache.append(text, 0, key[:, now], value[:, now])
        rows.append(cache.attend(text, 0, query[:, now]))
        first += chunk
    whole = at.attention(query, key, value, mask=at.Causal())
    assert np.concatenate(rows, axis=1).tobytes() == whole.tobytes()


@pytest.mark.parametrize("page_tokens", PAGE_TOKENS)
def test_a_speculation_that_was_taken_back_leaves_no_trace(page_tokens: int) -> None:
    rng = np.random.default_rng(2)
    key, value = tokens_of(rng, TOKENS)
    query = queries_of(rng, TOKENS)
    cache = cache_of(page_tokens=page_tokens)
    text = cache.new_sequence()
    for t in range(0, TOKENS, 5):
        wrong = tokens_of(rng, 4)
        cache.append(text, 0, *wrong)
        cache.attend(text, 0, queries_of(rng, 4))
        cache.truncate(text, t)
        cache.append(text, 0, key[:, t : t + 5], value[:, t : t + 5])
    rows = cache.attend(text, 0, query)
    assert rows.tobytes() == at.attention(query, key, value, mask=at.Causal()).tobytes()


@pytest.mark.parametrize("page_tokens", PAGE_TOKENS)
@pytest.mark.parametrize("first", ["old", "new"])
def test_after_a_fork_each_side_writes_for_itself(page_tokens: int, first: str) -> None:
    rng = np.random.default_rng(3)
    prompt, ends = tokens_of(rng, 100), [tokens_of(rng, 30), tokens_of(rng, 30)]
    query = queries_of(rng, 130)
    cache = cache_of(page_tokens=page_tokens)
    old = cache.new_sequence()
    cache.append(old, 0, *prompt)
    alone = cache.bytes_used
    new = cache.fork(old)
    assert cache.bytes_used == alone
    order = [(old, ends[0]), (new, ends[1])]
    for sequence, end in order if first == "old" else reversed(order):
        cache.append(sequence, 0, *end)
    for sequence, end in order:
        key, value = (np.concatenate(pair, axis=1) for pair in zip(prompt, end, strict=True))
        expected = at.attention(query, key, value, mask=at.Causal())
        assert cache.attend(sequence, 0, query).tobytes() == expected.tobytes()
    cache.release(new)
    cache.truncate(old, 100)
    assert cache.bytes_used == alone


def test_long_rows_are_split_over_threads_without_a_change() -> None:
    """Beyond 8,192 keys a row is finished in parts; one kv head, so that threads share the parts."""
    rng = np.random.default_rng(4)
    key, value = (rng.standard_normal((1, 20_000, 64), np.float32) for _ in range(2))
    query = rng.standard_normal((4, 3, 64), np.float32)
    cache = at.KVCache(layers=1, kv_heads=1, key_dim=64)
    text = cache.new_sequence()
    cache.append(text, 0, key, value)
    expected = at.attention(query, key, value, mask=at.Causal(), threads=1)
    for threads in (1, 2, 3):
        assert cache.attend(text, 0, query, threads=threads).tobytes() == expected.tobytes()


def test_masks_and_biases_have_a_row_for_each_sequence() -> None:
    rng = np.random.default_rng(5)
    lens, longest = [40, 25], 40
    texts = [tokens_of(rng, each) for each in lens]
    query = np.stack([queries_of(rng, 2) for _ in lens])
    bias = rng.standard_normal((2, HEADS, 2, longest), np.float32)
    visible = rng.random((2, 1, 2, longest)) < 0.7
    cache = cache_of()
    sequences = [cache.new_sequence() for _ in lens]
    for sequence, text in zip(sequences, texts, strict=True):
        cache.append(sequence, 0, *text)
    output = cache.attend(sequences, 0, query, mask=visible, bias=bias)
    for s, (key, value) in enumerate(texts):
        own = slice(None, lens[s])
        expected = at.attention(
            query[s], key, value, mask=visible[s][..., own], bias=np.ascontiguousarray(bias[s][..., own])
        )
        assert output[s].tobytes() == expected.tobytes()


MASKS = {
    "all": None,
    "prefix": at.Causal() | at.Prefix(9),
    "window": at.Window(left=5, right=2),
    "documents": at.Documents([0] * 20 + [1] * 20),
    "first keys and a window": at.Window(left=6, right=0) | (at.Prefix(2) & at.Causal()),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("query_len", [1, 6])
def test_masks_count_from_each_sequences_own_end(mask: at.Mask | None, query_len: int) -> None:
    rng = np.random.default_rng(6)
    lens = [40, 23] if not isinstance(mask, at.Documents) else [40, 40]
    texts = [tokens_of(rng, each) for each in lens]
    query = np.stack([queries_of(rng, query_len) for _ in lens])
    cache = cache_of(page_tokens=16)
    sequences = [cache.new_sequence() for _ in lens]
    for sequence, text in zip(sequences, texts, strict=True):
        cache.append(sequence, 0, *text)
    output = cache.attend(sequences, 0, query, mask=mask)
    for s, (key, value) in enumerate(texts):
        assert output[s].tobytes() == at.attention(query[s], key, value, mask=mask).tobytes()


def test_many_rows_a_kv_head_read_a_cache_of_any_format() -> None:
    """17 queries x 3 heads of a group: more than decode's few rows; float32 queries over narrower formats."""
    rng = np.random.default_rng(7)
    for dtype in DTYPES:
        key, value = tokens_of(rng, 90, dtype)
        query = queries_of(rng, 17)
        cache = cache_of(dtype=dtype)
        text = cache.new_sequence()
        cache.append(text, 0, key, value)
        wide = [as_read(each, dtype).astype(np.float32) for each in (key, value)]
        expected = at.attention(query, *wide, mask=at.Causal())
        assert cache.attend(text, 0, query).tobytes() == expected.tobytes()
        assert expected.shape[0] // KV_HEADS == 3
