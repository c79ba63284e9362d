"""Made-up keys and values, and what a cache holds of them, looked at from outside."""

from collections import Counter
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

import attnscope as at

Array = NDArray[Any]
DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "int8": np.float32,  # what an int8 cache is given
}
KV_HEADS, HEADS, KEY_DIM, VALUE_DIM = 2, 6, 12, 5


def vectors(rng: np.random.Generator, heads: int, tokens: int, dim: int, dtype: str = "float32") -> Array:
    return rng.standard_normal((heads, tokens, dim), np.float32).astype(DTYPES[dtype])


def tokens_of(rng: np.random.Generator, tokens: int, dtype: str = "float32") -> tuple[Array, Array]:
    """Keys and values of some tokens."""
    return vectors(rng, KV_HEADS, tokens, KEY_DIM, dtype), vectors(rng, KV_HEADS, tokens, VALUE_DIM, dtype)


def queries_of(rng: np.random.Generator, tokens: int, dtype: str = "float32") -> Array:
    return vectors(rng, HEADS, tokens, KEY_DIM, dtype)


def as_read(vectors: Array, dtype: str) -> Array:
    """What a cache of this format makes of them."""
    if dtype != "int8":
        return vectors
    stored, scales = at.cache.quantize(vectors)
    return stored.astype(np.float32) * scales[..., None]


def cache_of(**options: Any) -> at.KVCache:
    sizes = {"layers": 1, "kv_heads": KV_HEADS, "key_dim": KEY_DIM, "value_dim": VALUE_DIM}
    return at.KVCache(**(sizes | options))


def check_pages_add_up(cache: at.KVCache) -> None:
    """No page leaks, none is shared by mistake, and bytes_used is what sequences hold."""
    bytes_used = 0
    for layer in cache._layers:
        arena = layer.arena
        held = Counter(page for each in layer.held.values() for page in each.pages[each.dropped :])
        assert arena.holders == [held[page] for page in range(arena.pages)]
        assert sorted(arena._free) == [page for page in range(arena.pages) if not held[page]]
        bytes_used += len(held) * layer.layout.page_bytes
        for each in layer.held.values():
            kept = each.pages[each.dropped :]
            assert len(set(kept)) == len(kept), "a sequence holds a page twice"
            assert len(each.pages) == layer.layout.blocks_of(each.tokens)
    assert cache.bytes_used == bytes_used


def poison_what_nobody_may_see(cache: at.KVCache) -> None:
    """NaN in free pages, and in the slots behind each sequence's last token."""
    for layer in cache._layers:
        page_tokens = layer.layout.page_tokens
        used = np.zeros(layer.arena.pages, np.int64)  # slots of each page that some sequence has
        for each in layer.held.values():
            for block in range(each.dropped, len(each.pages)):
                page = each.pages[block]
                used[page] = max(used[page], min(page_tokens, each.tokens - block * page_tokens))
        unused = np.arange(page_tokens) >= used[:, None]
        for array in layer.arena.arrays:
            array.swapaxes(1, 2)[unused] = 77 if array.dtype == np.int8 else np.nan
