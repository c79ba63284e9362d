"""Sliding windows: pages that no later query sees are given back."""

import numpy as np
import pytest

import attnscope as at
from tests.cache.texts import cache_of, check_pages_add_up, poison_unused_slots, queries_of, tokens_of

LEFT = 31  # sliding_window: 32


@pytest.mark.parametrize("page_tokens", [1, 7, 16, 64])
def test_a_long_text_takes_no_more_than_its_window(page_tokens: int) -> None:
    rng = np.random.default_rng(0)
    tokens, window = 300, at.Window(left=LEFT, right=0)
    key, value = tokens_of(rng, tokens)
    query = queries_of(rng, tokens)
    cache = cache_of(layers=2, page_tokens=page_tokens, window=[window, None])
    text, windowed, full = cache.new_sequence(), [], []
    for t in range(tokens):
        now = slice(t, t + 1)
        for layer in range(2):
            cache.append(text, layer, key[:, now], value[:, now])
        windowed.append(cache.attend(text, 0, query[:, now]))
        full.append(cache.attend(text, 1, query[:, now]))
        # the window's tokens lie in one block more than they would fill, at the most
        assert cache._store.layers[0].arena.used_pages <= -(-LEFT // page_tokens) + 1
        check_pages_add_up(cache)
        poison_unused_slots(cache)
    for rows, mask in ((windowed, window), (full, at.Causal())):
        expected = at.attention(query, key, value, mask=mask)
        assert np.concatenate(rows, axis=1).tobytes() == expected.tobytes()
    assert cache.tokens(text, 0) == cache.tokens(text, 1) == tokens


def test_a_window_of_the_token_alone_keeps_one_page() -> None:
    rng = np.random.default_rng(1)
    cache = cache_of(page_tokens=4, window=at.Window(left=0, right=0))
    text = cache.new_sequence()
    for _ in range(20):
        key, value = tokens_of(rng, 1)
        cache.append(text, 0, key, value)
        row = cache.attend(text, 0, queries_of(rng, 1))
        assert (
            row.tobytes() == np.repeat(value, 3, axis=0).tobytes()
        )  # its own value, for the heads of the group
        assert cache._store.layers[0].arena.used_pages == 1


def test_other_masks_are_joined_to_the_window() -> None:
    rng = np.random.default_rng(2)
    key, value = tokens_of(rng, 60)
    query = queries_of(rng, 5)
    window = at.Window(left=LEFT, right=0)
    cache = cache_of(page_tokens=8, window=window)
    text = cache.new_sequence()
    cache.append(text, 0, key[:, :55], value[:, :55])
    cache.append(text, 0, key[:, 55:], value[:, 55:])
    visible = rng.random((5, 60)) < 0.5
    documents = at.Documents([0] * 50 + [1] * 10)
    masks: list[at.Mask] = [at.Causal(), at.KeyRanges(40, 58), at.Prefix(30), documents, at.Dense(visible)]
    for mask in masks:
        found = cache.attend(text, 0, query, mask=mask)
        assert found.tobytes() == at.attention(query, key, value, mask=window & mask).tobytes()
    found = cache.attend(text, 0, query, mask=visible)
    assert found.tobytes() == at.attention(query, key, value, mask=window & at.Dense(visible)).tobytes()
    found = cache.attend(text, 0, query, mask=None)
    assert found.tobytes() == at.attention(query, key, value, mask=window).tobytes()


def test_queries_that_would_see_what_was_dropped_are_refused() -> None:
    rng = np.random.default_rng(3)
    cache = cache_of(page_tokens=8, window=at.Window(left=LEFT, right=0))
    text = cache.new_sequence()
    cache.append(text, 0, *tokens_of(rng, 100))
    cache.append(text, 0, *tokens_of(rng, 2))
    cache.attend(text, 0, queries_of(rng, 2))
    with pytest.raises(
        at.CacheError,
        match="query_len=8: the first query is token 94 of sequence 0 and sees 31 tokens before it, but "
        "layer 0 has "
        "dropped the tokens before 64",
    ):
        cache.attend(text, 0, queries_of(rng, 8))


def test_a_truncation_that_would_need_what_was_dropped_is_refused_and_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    cache = cache_of(layers=2, page_tokens=8, window=[None, at.Window(left=LEFT, right=0)])
    text = cache.new_sequence()
    for layer in range(2):
        cache.append(text, layer, *tokens_of(rng, 100))
        cache.append(text, layer, *tokens_of(rng, 2))
    used = cache.bytes_used
    with pytest.raises(
        at.CacheError, match=r"tokens=90: expected 0, or 95 or more: the window of layer 1 has dropped"
    ):
        cache.truncate(text, 90)
    assert (cache.bytes_used, cache.tokens(text)) == (used, 102)
    cache.truncate(text, 95)
    assert cache.tokens(text) == 95
    cache.truncate(text, 0)
    assert cache.bytes_used == 0
    cache.append(text, 1, *tokens_of(rng, 3))
    assert cache.attend(text, 1, queries_of(rng, 3)).shape == (6, 3, 5)
