"""What a prompt and the tokens after it cost: each step measured, beside what the machine's limits predict."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import whole_number
from attnscope.cache.kv_cache import KVCache
from attnscope.cache.layout import DTYPES, SCALE_BYTES
from attnscope.errors import AttentionShapeError
from attnscope.kernels import measure_fma_limit, measure_read_bandwidth
from attnscope.problem import AttentionShape

MOST_ROWS = 8  # of decode in the printed table


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """The prefill, then one decode step a new token, through one layer.

    intensity = flops / bytes_read;    predicted_seconds = max(flops / FMA limit, bytes_read / read bandwidth)

    A step whose intensity lies above `ridge` = FMA limit / read bandwidth is bound by arithmetic, below by reading.

    Shapes
        query_len            (steps,)    prompt_tokens, then 1, 1, ...
        key_len              (steps,)    tokens in the cache, the step's own included
        flops                (steps,)    2 * (key_dim + value_dim) a visible (query, key) pair and query head
        bytes_read           (steps,)    each query, and each key and value as it is stored, once
        measured_seconds     (steps,)    of attend() alone
        predicted_seconds    (steps,)
    Precision
        The prediction is a bound from below: caches that hold what is read again can beat the read bandwidth,
        and short steps are spent on the call itself.
    Source
        The roofline model: Williams, Waterman & Patterson 2009, doi:10.1145/1498765.1498785.
    """

    query_len: NDArray[np.int64]
    key_len: NDArray[np.int64]
    flops: NDArray[np.float64]
    bytes_read: NDArray[np.float64]
    measured_seconds: NDArray[np.float64]
    predicted_seconds: NDArray[np.float64]
    fma_limit_flops_per_second: float
    read_bandwidth_bytes_per_second: float
    cache_bytes: int

    @property
    def intensity(self) -> NDArray[np.float64]:
        """FLOP a byte, (steps,)."""
        return self.flops / self.bytes_read

    @property
    def ridge(self) -> float:
        """The intensity, in FLOP a byte, at which arithmetic takes as long as reading."""
        return self.fma_limit_flops_per_second / self.read_bandwidth_bytes_per_second

    @property
    def bound(self) -> list[str]:
        """What limits each step: "arithmetic" or "reading"."""
        return ["arithmetic" if each > self.ridge else "reading" for each in self.intensity]

    def __repr__(self) -> str:
        lines = [
            f"limits: {self.fma_limit_flops_per_second / 1e9:,.0f} GFLOP/s, "
            f"{self.read_bandwidth_bytes_per_second / 1e9:,.0f} GB/s; ridge {self.ridge:,.1f} FLOP a byte",
            f"cache:  {self.cache_bytes / 2**20:,.1f} MiB a layer at the end",
            f"{'step':<8} {'tokens':>17} {'FLOP/byte':>10} {'MiB read':>9} {'measured':>11} {'predicted':>11}  bound by",
        ]
        return "\n".join(lines + [self._row(steps) for steps in self._groups()])

    def _groups(self) -> list[slice]:
        """The prefill, and neighbouring decode steps together, so that a row has little noise."""
        decoded = len(self.query_len) - 1
        edges = np.linspace(1, 1 + decoded, min(decoded, MOST_ROWS) + 1).astype(int).tolist()
        return [slice(0, 1), *(slice(start, end) for start, end in pairwise(edges))]

    def _row(self, steps: slice) -> str:
        keys = self.key_len[steps]
        tokens = f"{keys[0]:,}" if len(keys) == 1 else f"{keys[0]:,} to {keys[-1]:,}"
        middle = steps.start + len(keys) // 2
        measured, predicted = (
            f"{np.median(each[steps]) * 1e3:,.3f} ms"
            for each in (self.measured_seconds, self.predicted_seconds)
        )
        name = "decode" if steps.start else "prefill"
        return (
            f"{name:<8} {tokens:>17} {self.intensity[middle]:>10,.1f} {self.bytes_read[middle] / 2**20:>9,.1f} "
            f"{measured:>11} {predicted:>11}  {self.bound[middle]}"
        )


def simulate(
    prompt_tokens: int,
    new_tokens: int,
    *,
    query_heads: int = 32,
    kv_heads: int = 8,
    key_dim: int = 128,
    value_dim: int | None = None,
    dtype: str = "float32",
    threads: int | None = None,
) -> Simulation:
    """Run a prompt and new tokens through the cache of one layer, on random numbers, and time every step.

    Arguments
        prompt_tokens    read by one call, the prefill
        new_tokens       read one by one, as they are decoded
        dtype            of the cache; queries are float32 beside int8
    Errors
        AttentionError and its kinds.

    >>> steps = simulate(2, 1, query_heads=4, kv_heads=1, key_dim=2)
    >>> steps.flops, steps.bytes_read  # 3 and 3 visible pairs; 2 and 3 tokens of 16 bytes, 2 and 1 queries of 32
    (array([96., 96.]), array([96., 80.]))
    """
    prompt_tokens = whole_number(prompt_tokens, "prompt_tokens", minimum=1, error=AttentionShapeError)
    new_tokens = whole_number(new_tokens, "new_tokens", minimum=0, error=AttentionShapeError)
    value_dim = key_dim if value_dim is None else value_dim
    total = prompt_tokens + new_tokens
    AttentionShape(1, query_heads, kv_heads, prompt_tokens, total, key_dim, value_dim)
    cache = KVCache(
        layers=1, kv_heads=kv_heads, key_dim=key_dim, value_dim=value_dim, dtype=dtype, capacity_tokens=total
    )
    query_len = np.array([prompt_tokens] + [1] * new_tokens)
    key_len = prompt_tokens + np.arange(new_tokens + 1)
    seconds = _timings(cache, query_len, (query_heads, kv_heads, key_dim, value_dim), dtype, threads)

    pairs = np.array([prompt_tokens * (prompt_tokens + 1) / 2, *key_len[1:]])
    flops = 2.0 * (key_dim + value_dim) * query_heads * pairs
    item_bytes, query_bytes = DTYPES[dtype].itemsize, _query_dtype(dtype).itemsize
    token_bytes = kv_heads * (
        (key_dim + value_dim) * item_bytes + (2 * SCALE_BYTES if dtype == "int8" else 0)
    )
    bytes_read = key_len * float(token_bytes) + query_len * float(query_heads * key_dim * query_bytes)
    fma_limit, bandwidth = measure_fma_limit(threads), measure_read_bandwidth(threads)
    return Simulation(
        query_len=query_len,
        key_len=key_len,
        flops=flops,
        bytes_read=bytes_read,
        measured_seconds=seconds,
        predicted_seconds=np.maximum(flops / fma_limit, bytes_read / bandwidth),
        fma_limit_flops_per_second=fma_limit,
        read_bandwidth_bytes_per_second=bandwidth,
        cache_bytes=cache.bytes_used,
    )


def _timings(
    cache: KVCache,
    query_len: NDArray[np.int64],
    sizes: tuple[int, int, int, int],
    dtype: str,
    threads: int | None,
) -> NDArray[np.float64]:
    query_heads, kv_heads, key_dim, value_dim = sizes
    draw = np.random.default_rng(0)
    sequence = cache.new_sequence()
    seconds = []
    for tokens in query_len.tolist():
        shapes = (
            (query_heads, tokens, key_dim),
            (kv_heads, tokens, key_dim),
            (kv_heads, tokens, value_dim),
        )
        query, key, value = (
            draw.standard_normal(shape, np.float32).astype(_query_dtype(dtype)) for shape in shapes
        )
        cache.append(sequence, 0, key, value)
        start = time.perf_counter()
        cache.attend(0, sequence, query, threads=threads)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds)


def _query_dtype(dtype: str) -> np.dtype[Any]:
    return DTYPES["float32" if dtype == "int8" else dtype]
