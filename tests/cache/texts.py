"""Made-up keys and values, and what a cache holds of them, looked at from outside."""

from collections import Counter
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.cache.page_table import PageTable

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
    cache._store.settle()
    bytes_used = 0
    for layer, tables in zip(cache._store.layers, tables_of(cache), strict=True):
        arena = layer.arena
        counts = Counter(page for table in tables for page in table.kept)
        assert arena.reference_counts == [counts[page] for page in range(len(arena.arrays[0]))]
        assert sorted(arena._free) == [page for page in range(arena.pages) if not counts[page]]
        bytes_used += len(counts) * layer.layout.page_bytes
        for table in tables:
            assert len(set(table.kept)) == len(table.kept), "a sequence refers to a page twice"
            assert len(table.pages) == layer.layout.blocks_of(table.tokens)
    assert cache.bytes_used == bytes_used


def tables_of(cache: at.KVCache) -> list[list[PageTable]]:
    """For each layer, the page tables of all sequences."""
    return [
        [tables[layer] for tables in cache._store.tables.values()]
        for layer in range(len(cache._store.layers))
    ]


def poison_unused_slots(cache: at.KVCache) -> None:
    """NaN in free pages, and in the slots behind each sequence's last token."""
    for layer, tables in zip(cache._store.layers, tables_of(cache), strict=True):
        page_tokens = layer.layout.page_tokens
        used = np.zeros(layer.arena.pages, np.int64)  # slots of each page that some sequence has
        for table in tables:
            for block in range(table.dropped, len(table.pages)):
                page = table.pages[block]
                used[page] = max(used[page], min(page_tokens, table.tokens - block * page_tokens))
        unused = np.arange(page_tokens) >= used[:, None]
        for array in layer.arena.arrays:
            array.swapaxes(1, 2)[unused] = 77 if array.dtype == np.int8 else np.nan
