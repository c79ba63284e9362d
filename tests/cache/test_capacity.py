"""Capacity is a hard limit, and what is used is what is held."""

import numpy as np
import pytest

import attnscope as at
from tests.cache.texts import (
    DTYPES,
    KEY_DIM,
    KV_HEADS,
    VALUE_DIM,
    cache_of,
    check_pages_add_up,
    queries_of,
    tokens_of,
)


@pytest.mark.parametrize("page_tokens", [1, 7, 16, 64])
def test_a_cache_is_filled_to_the_last_slot(page_tokens: int) -> None:
    rng = np.random.default_rng(0)
    capacity = 3 * page_tokens
    cache = cache_of(page_tokens=page_tokens, capacity_tokens=capacity)
    texts = [cache.new_sequence() for _ in range(3)]
    given = []
    for text in texts:
        given.append(tokens_of(rng, page_tokens))
        cache.append(text, 0, *given[-1])
    assert cache.bytes_used == cache.bytes_reserved
    for text in texts:
        with pytest.raises(
            at.CacheFullError, match=r"1 more tokens need 1 pages of .*, and 0 of the 3 are free"
        ):
            cache.append(text, 0, *tokens_of(rng, 1))
        with pytest.raises(at.CacheFullError):
            cache.append(cache.fork(text), 0, *tokens_of(rng, 1))
    for text, (key, value) in zip(texts, given, strict=True):
        query = queries_of(rng, page_tokens)
        expected = at.attention(query, key, value, mask=at.Causal())
        assert cache.attend(text, 0, query).tobytes() == expected.tobytes()
    check_pages_add_up(cache)


def test_an_append_to_several_sequences_fits_as_a_whole_or_not_at_all() -> None:
    rng = np.random.default_rng(1)
    cache = cache_of(page_tokens=4, capacity_tokens=16)
    texts = [cache.new_sequence() for _ in range(3)]
    cache.append(texts[0], 0, *tokens_of(rng, 6))
    before = cache.stored(texts[0], 0), cache.bytes_used
    key, value = (np.stack([each] * 3) for each in tokens_of(rng, 3))
    with pytest.raises(
        at.CacheFullError, match=r"need 3 pages of 4 tokens, and 2 of the 4 are free: nothing was"
    ):
        cache.append(texts, 0, key, value)
    assert [cache.tokens(text) for text in texts] == [6, 0, 0]
    after = cache.stored(texts[0], 0), cache.bytes_used
    assert [each.tobytes() for each in before[0]] == [each.tobytes() for each in after[0]]
    assert before[1] == after[1]
    cache.append(texts[1:], 0, key[1:], value[1:])
    check_pages_add_up(cache)


def test_the_last_pages_suffice_where_one_of_two_that_share_must_copy() -> None:
    """Two sides of a fork go on in one append: the first copies the page, the second has it to itself."""
    rng = np.random.default_rng(2)
    cache = cache_of(page_tokens=4, capacity_tokens=8)
    old = cache.new_sequence()
    cache.append(old, 0, *tokens_of(rng, 2))
    new = cache.fork(old)
    key, value = (np.stack([each] * 2) for each in tokens_of(rng, 2))
    cache.append([old, new], 0, key, value)
    assert cache.bytes_used == cache.bytes_reserved
    check_pages_add_up(cache)


def test_pages_that_a_window_gives_back_are_room_for_the_same_append() -> None:
    rng = np.random.default_rng(3)
    cache = cache_of(page_tokens=4, capacity_tokens=12, window=at.Window(left=3, right=0))
    text = cache.new_sequence()
    cache.append(text, 0, *tokens_of(rng, 12))
    cache.append(text, 0, *tokens_of(rng, 8))
    assert cache.tokens(text) == 20
    check_pages_add_up(cache)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_are_those_of_the_formula(dtype: str) -> None:
    cache = cache_of(layers=3, dtype=dtype, page_tokens=16, capacity_tokens=100)
    token_bytes = KV_HEADS * (KEY_DIM + VALUE_DIM) * {"float32": 4, "int8": 1}.get(dtype, 2)
    token_bytes += KV_HEADS * 2 * 4 * (dtype == "int8")
    assert cache.bytes_reserved == 3 * 7 * 16 * token_bytes  # 100 tokens are 7 pages of 16
    text = cache.new_sequence()
    cache.append(text, 1, *tokens_of(np.random.default_rng(4), 17, dtype))
    assert cache.bytes_used == 2 * 16 * token_bytes
    assert cache.tokens(text) == 0
    assert cache.tokens(text, layer=1) == 17


def test_a_cache_without_a_capacity_grows() -> None:
    rng = np.random.default_rng(5)
    cache = cache_of(page_tokens=2)
    assert cache.bytes_reserved == 0
    text, given = cache.new_sequence(), [tokens_of(rng, 0)]
    for tokens in (1, 50, 3, 400):
        given.append(tokens_of(rng, tokens))
        cache.append(text, 0, *given[-1])
        check_pages_add_up(cache)
    for stored, expected in zip(cache.stored(text, 0), zip(*given, strict=True), strict=True):
        assert stored.tobytes() == np.concatenate(expected, axis=1).tobytes()


def test_growing_asks_for_memory_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    cache = cache_of(page_tokens=2, window=at.Window(left=1, right=0))
    text = cache.new_sequence()
    cache.append(text, 0, *tokens_of(rng, 20))

    def no_memory(pages: int) -> None:
        raise MemoryError

    monkeypatch.setattr(cache._store.layers[0].arena, "_grow", no_memory)
    with pytest.raises(MemoryError):
        cache.append(text, 0, *tokens_of(rng, 200))
    assert cache.tokens(text) == 20
    check_pages_add_up(cache)
    assert cache.attend(text, 0, queries_of(rng, 20)).shape == (6, 20, 5)


def test_0_tokens_are_legal() -> None:
    cache = cache_of()
    text = cache.new_sequence()
    cache.append(text, 0, *tokens_of(np.random.default_rng(7), 0))
    assert cache.tokens(text) == 0
    assert not cache.attend(text, 0, np.ones((6, 2, KEY_DIM), np.float32)).any()
    assert cache.attend(text, 0, np.ones((6, 0, KEY_DIM), np.float32)).shape == (6, 0, VALUE_DIM)
    assert cache.attend([], 0, np.ones((0, 6, 2, KEY_DIM), np.float32)).shape == (0, 6, 2, VALUE_DIM)
    assert cache.attend([], 0, []) == []


def test_it_prints_what_it_is() -> None:
    cache = at.KVCache(layers=2, kv_heads=8, key_dim=128, dtype="bfloat16", capacity_tokens=4096)
    assert repr(cache) == (
        "KVCache(2 layers of 8 x (128 + 128) bfloat16, pages of 64 tokens, 0 sequences: 0.0 MiB used of 32.0 "
        "MiB)"
    )
