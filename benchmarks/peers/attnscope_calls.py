"""Ours: attention(), with and without an array to write into, and the cache."""

from importlib import metadata

import numpy as np

import attnscope as at
from benchmarks.peers.call import Call, NotOfferedError
from benchmarks.work import Inputs, Work

_threads: list[int] = []


def use_threads(threads: int) -> None:
    _threads[:] = [threads]


def version() -> str:
    return metadata.version("attnscope")


def mask_of(work: Work) -> at.Mask | None:
    if work.window is not None:
        return at.Window(left=work.window - 1, right=0)
    return at.Causal() if work.causal else None


def plain(work: Work, inputs: Inputs) -> Call:
    if work.cache_format is not None:
        raise NotOfferedError("arrays have one format")
    mask, threads = mask_of(work), _threads[0]
    return Call(
        lambda: at.attention(inputs.query, inputs.key, inputs.value, mask=mask, threads=threads),
        lambda output: output,
    )


def into_an_array(work: Work, inputs: Inputs) -> Call:
    if work.cache_format is not None:
        raise NotOfferedError("arrays have one format")
    mask, threads = mask_of(work), _threads[0]
    shape = (*inputs.query.shape[:3], work.value_dim)
    out = np.empty(shape, inputs.query.dtype)
    return Call(
        lambda: at.attention(inputs.query, inputs.key, inputs.value, mask=mask, out=out, threads=threads),
        lambda output: output,
    )


def cached(work: Work, inputs: Inputs) -> Call:
    """A sequence of the cache for each batch row, its pages wherever they came to lie."""
    if work.query_len > 1 or work.causal or work.window is not None:
        raise NotOfferedError("this way is for decoding")
    cache = at.KVCache(
        layers=1,
        kv_heads=work.kv_heads,
        key_dim=work.key_dim,
        value_dim=work.value_dim,
        dtype=work.cache_format or work.number_format,
        capacity_tokens=work.batch * (work.key_len + 64),
    )
    sequences = [cache.new_sequence() for _ in range(work.batch)]
    for sequence, key, value in zip(sequences, inputs.key, inputs.value, strict=True):
        cache.append(sequence, 0, key, value)
    threads = _threads[0]
    return Call(
        lambda: cache.attend(sequences, 0, inputs.query, threads=threads), lambda output: output, keeps=cache
    )


WAYS = {"attention()": plain, "attention(out=)": into_an_array, "KVCache.attend()": cached}
