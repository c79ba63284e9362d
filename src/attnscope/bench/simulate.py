"""The cost of a prompt and the tokens after it: each step measured, beside the roofline's prediction."""

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import whole_number
from attnscope.bench.decode import given_format, token_bytes
from attnscope.cache import KVCache
from attnscope.errors import AttentionShapeError
from attnscope.problem import AttentionShape
from attnscope.sizing import Hardware

MOST_ROWS = 8  # of decode in the printed table


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """The prefill, then one decode step per new token, through one layer.

    predicted_seconds = max(flops / hardware.flops_per_second, bytes_read / hardware.bytes_per_second)

    Parameters
    ----------
    query_len : ndarray of int64, (steps,)
        prompt_tokens, then 1, 1, ...
    key_len : ndarray of int64, (steps,)
        Tokens in the cache, the step's own included.
    flops : ndarray of float64, (steps,)
        2 * (key_dim + value_dim) per visible (query, key) pair and query head.
    bytes_read : ndarray of float64, (steps,)
        Each query, and each key and value as stored, counted once.
    measured_seconds : ndarray of float64, (steps,)
        Seconds of attend() alone.
    predicted_seconds : ndarray of float64, (steps,)
        By the formula above.
    hardware : Hardware
        This machine's limits, measured in the same run.
    cache_bytes : int
        Memory of the layer's cache at the end.

    Notes
    -----
    The prediction is a lower bound for data in memory. CPU caches that hold data between steps can beat the
    read bandwidth, and short steps spend their time on the call itself.

    References
    ----------
    The roofline model: Williams, Waterman & Patterson 2009, doi:10.1145/1498765.1498785.
    """

    query_len: NDArray[np.int64]
    key_len: NDArray[np.int64]
    flops: NDArray[np.float64]
    bytes_read: NDArray[np.float64]
    measured_seconds: NDArray[np.float64]
    predicted_seconds: NDArray[np.float64]
    hardware: Hardware
    cache_bytes: int

    @property
    def intensity(self) -> NDArray[np.float64]:
        """FLOP per byte, (steps,)."""
        return self.flops / self.bytes_read

    @property
    def bound(self) -> list[str]:
        """What limits each step: "compute" if its intensity is above the hardware's ridge, else "memory"."""
        return ["compute" if each > self.hardware.ridge else "memory" for each in self.intensity]

    def __repr__(self) -> str:
        lines = [
            f"limits: {self.hardware.flops_per_second / 1e9:,.0f} GFLOP/s, "
            f"{self.hardware.bytes_per_second / 1e9:,.0f} GB/s; "
            f"ridge {self.hardware.ridge:,.1f} FLOP per byte",
            f"cache:  {self.cache_bytes / 2**20:,.1f} MiB per layer at the end",
            f"{'step':<8} {'tokens':>17} {'FLOP/byte':>10} {'MiB read':>9} {'measured':>11} "
            f"{'predicted':>11}  limit",
        ]
        return "\n".join(lines + [self._row(steps) for steps in self._groups()])

    def _groups(self) -> list[slice]:
        """The prefill, and neighbouring decode steps together: one row of several steps has less noise."""
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
            f"{name:<8} {tokens:>17} {self.intensity[middle]:>10,.1f} "
            f"{self.bytes_read[middle] / 2**20:>9,.1f} {measured:>11} {predicted:>11}  {self.bound[middle]}"
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

    Parameters
    ----------
    prompt_tokens : int
        Read by one call: the prefill.
    new_tokens : int
        Decoded one by one after it.
    query_heads, kv_heads, key_dim, value_dim : int
        Sizes; `value_dim` is `key_dim` unless given.
    dtype : str
        Number format of the cache; queries beside int8 are float32.
    threads : int or None
        Threads of a call; the default number unless given.

    Returns
    -------
    Simulation
        Operations, bytes and seconds of every step; it prints as a table.

    Raises
    ------
    AttentionError
        If a size, the format or the number of threads is impossible.
    UnsupportedProblemError
        If the CPU supports none of the kernel's levels.

    Examples
    --------
    >>> steps = simulate(2, 1, query_heads=4, kv_heads=1, key_dim=2)
    >>> steps.flops  # 3 and 3 visible pairs of 4 heads, 2 * (2 + 2) operations each
    array([96., 96.])
    >>> steps.bytes_read  # 2 and 3 tokens of 16 bytes, 2 and 1 queries of 32
    array([96., 80.])
    """
    prompt_tokens = whole_number(prompt_tokens, "prompt_tokens", minimum=1, error=AttentionShapeError)
    new_tokens = whole_number(new_tokens, "new_tokens", minimum=0, error=AttentionShapeError)
    total = prompt_tokens + new_tokens
    value_dim = key_dim if value_dim is None else value_dim
    shape = AttentionShape(1, query_heads, kv_heads, prompt_tokens, total, key_dim, value_dim)
    cache = KVCache(
        layers=1, kv_heads=kv_heads, key_dim=key_dim, value_dim=value_dim, dtype=dtype, capacity_tokens=total
    )
    query_len = np.array([prompt_tokens] + [1] * new_tokens)
    key_len = prompt_tokens + np.arange(new_tokens + 1)
    seconds = _timings(cache, query_len, shape, dtype, threads)

    pairs = np.array([prompt_tokens * (prompt_tokens + 1) / 2, *key_len[1:]])
    flops = 2.0 * (key_dim + value_dim) * query_heads * pairs
    query_bytes = query_heads * key_dim * given_format(dtype).itemsize
    bytes_read = key_len * float(token_bytes(kv_heads, key_dim, value_dim, dtype)) + query_len * float(
        query_bytes
    )
    hardware = Hardware.measure(threads)
    return Simulation(
        query_len=query_len,
        key_len=key_len,
        flops=flops,
        bytes_read=bytes_read,
        measured_seconds=seconds,
        predicted_seconds=np.maximum(
            flops / hardware.flops_per_second, bytes_read / hardware.bytes_per_second
        ),
        hardware=hardware,
        cache_bytes=cache.bytes_used,
    )


def _timings(
    cache: KVCache, query_len: NDArray[np.int64], shape: AttentionShape, dtype: str, threads: int | None
) -> NDArray[np.float64]:
    """Seconds of attend() in each step."""
    draw, given = np.random.default_rng(0), given_format(dtype)
    sequence = cache.new_sequence()
    seconds = []
    for tokens in query_len.tolist():
        shapes = (
            (shape.query_heads, tokens, shape.key_dim),
            (shape.kv_heads, tokens, shape.key_dim),
            (shape.kv_heads, tokens, shape.value_dim),
        )
        query, key, value = (draw.standard_normal(each, np.float32).astype(given) for each in shapes)
        cache.append(sequence, 0, key, value)
        start = time.perf_counter()
        cache.attend(sequence, 0, query, threads=threads)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds)
