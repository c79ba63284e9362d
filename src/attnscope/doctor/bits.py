"""The self-test: a digest of small calls, which is the same for every level, compiler and machine."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.attention import attention, partial_attention
from attnscope.cache import KVCache
from attnscope.gradients import attention_gradients
from attnscope.kernels import forced_level
from attnscope.problem import Causal, ScoringOptions, Window

# `make test` compares it with every level that runs, and `make wheels` with every wheel that can be run
EXPECTED_DIGEST = "ffbcf638d4742e1d"
FORMATS = (np.float32, ml_dtypes.bfloat16, np.float16)


def digest(level: str) -> str:
    """Run the self-test's calls at one CPU level.

    Parameters
    ----------
    level : str
        One of kernels.usable_levels().

    Returns
    -------
    str
        16 hexadecimal digits, EXPECTED_DIGEST if the kernel was compiled well.

    Raises
    ------
    UnsupportedProblemError
        If the level cannot run here.
    """
    summed = sha256()
    with forced_level(level):
        for result in results():
            summed.update(np.ascontiguousarray(result).tobytes())
    return summed.hexdigest()[:16]


def numbers(seed: int, *shape: int) -> NDArray[np.float32]:
    """Multiples of 1/64 in [-2, 2), exact in every format: SplitMix64, the same with every NumPy."""
    index = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1_000_003)
    mixed = index * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB) >> np.uint64(56)
    return (mixed.astype(np.float32) / np.float32(64) - np.float32(2)).reshape(shape)


def results() -> Iterator[NDArray[Any]]:
    """The outputs, logsumexps and gradients of calls that reach every layout, format and scoring option."""
    query, key, value = numbers(1, 2, 6, 67, 40), numbers(2, 2, 2, 131, 40), numbers(3, 2, 2, 131, 24)
    scored: tuple[ScoringOptions, ...] = (
        {},
        {"softcap": 3.0, "sinks": numbers(4, 6)},
        {"bias": numbers(5, 1, 1, 67, 131), "alibi_slopes": np.abs(numbers(6, 6))},
    )
    for dtype in FORMATS:
        arrays = [array.astype(dtype) for array in (query, key, value)]
        for mask in (None, Causal(), Window(left=30, right=2)):
            yield attention(*arrays, mask=mask)
    for options in scored:
        part = partial_attention(query, key, value, mask=Causal(), **options)
        yield from (part.output, part.logsumexp)
    yield attention(query[:, :, :1], numbers(7, 2, 2, 9000, 40), numbers(8, 2, 2, 9000, 24))
    given = attention_gradients(query, key, value, numbers(9, 2, 6, 67, 24), mask=Causal(), softcap=3.0)
    yield from (given.query, given.key, given.value)
    yield from decoded("float32")
    yield from decoded("int8")


def decoded(dtype: str) -> Iterator[NDArray[Any]]:
    """Prefill and one decoded token over a paged cache."""
    cache = KVCache(layers=1, kv_heads=2, key_dim=32, dtype=dtype, page_tokens=16)
    text = cache.new_sequence()
    cache.append(text, 0, numbers(10, 2, 75, 32), numbers(11, 2, 75, 32))
    yield cache.attend(text, 0, numbers(12, 4, 75, 32))
    yield cache.attend(text, 0, numbers(13, 4, 1, 32))
