"""Claim: observing entropy, maximum, first mass and 8 segments takes at most 1.15 x attention()'s own time.

Both run in this process, in turn; the last column is over attention() on the same arrays, round by round. The
further rows show what each additional statistic costs.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import attnscope as at
from attnscope import kernels
from benchmarks.claim import Claim, Floor, Results, Row, at_most, duration
from benchmarks.compare import default_threads, progress
from benchmarks.report import run

ROUNDS = 21
ATTENTION, OBSERVE = "attention()", "observe(), 8 segments"


@dataclass(frozen=True)
class Shape:
    """What is observed."""

    name: str
    query_heads: int
    kv_heads: int
    query_len: int
    key_len: int
    dim: int
    causal: bool

    @property
    def amount(self) -> float:
        """Floating-point operations on visible keys; for one query, bytes of keys and values."""
        if self.query_len == 1:
            return 8.0 * self.kv_heads * self.key_len * self.dim
        keys = (self.key_len + 1) / 2 if self.causal else self.key_len
        return 4.0 * self.query_heads * self.query_len * keys * self.dim

    def arrays(self) -> list[Any]:
        """Draw query, key and value."""
        rng = np.random.default_rng(0)
        heads = (
            (self.query_heads, self.query_len),
            (self.kv_heads, self.key_len),
            (self.kv_heads, self.key_len),
        )
        return [rng.standard_normal((1, h, n, self.dim), np.float32) for h, n in heads]


SHAPES = (
    Shape("8 heads x 2,048 x 128, causal", 8, 8, 2048, 2048, 128, causal=True),
    Shape("8 heads x 2,048 x 128", 8, 8, 2048, 2048, 128, causal=False),
    Shape("8 heads x 2,048 x 64, causal", 8, 8, 2048, 2048, 64, causal=True),
    Shape("decode, 32 heads on 8, 32,768 keys", 32, 8, 1, 32768, 128, causal=True),
)
FURTHER: dict[str, dict[str, Any]] = {
    "and top_keys=8": {"top_keys": 8},
    "and received=True, block_map_size=64": {"received": True, "block_map_size": 64},
}


def measure_shape(shape: Shape) -> Results:
    """Time attention(), observe() with the claim's statistics, and with more."""
    arrays = shape.arrays()
    mask = at.Causal() if shape.causal else None
    length = shape.key_len
    eight = {str(i): (i * length // 8, (i + 1) * length // 8) for i in range(8)}

    def observing(**more: Any) -> Callable[[], Any]:
        return lambda: at.observe(*arrays, mask=mask, segments=eight, **more)

    calls = {ATTENTION: lambda: at.attention(*arrays, mask=mask), OBSERVE: observing()}
    calls |= {name: observing(**more) for name, more in FURTHER.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    limits = []
    for turn in range(ROUNDS):
        progress(f"{shape.name}: round {turn + 1} of {ROUNDS}")
        if turn % 10 == 0:
            limits.append(
                kernels.measure_read_bandwidth() if shape.query_len == 1 else kernels.measure_fma_limit()
            )
        for name, call in calls.items():
            started = perf_counter()
            call()
            times[name].append(perf_counter() - started)
    progress("")
    own = times[ATTENTION]
    return [
        {
            "work": shape.name,
            "unit": "GB/s" if shape.query_len == 1 else "GFLOP/s",
            "call": name,
            "seconds": median(seconds),
            "speed": shape.amount / median(seconds),
            "share": shape.amount / median(seconds) / max(limits),
            "times_attention": median(each / one for each, one in zip(seconds, own, strict=True)),
        }
        for name, seconds in times.items()
    ]


def measure() -> Results:
    """Measure every shape."""
    kernels.set_default_threads(default_threads())
    return [each for shape in SHAPES for each in measure_shape(shape)]


def rows(results: Results) -> list[Row]:
    """One row per call; the last column is over attention()."""
    return [
        (
            each["work"],
            "attnscope",
            each["call"],
            duration(each["seconds"]),
            f"{each['speed'] / 1e9:,.1f} {each['unit']}",
            f"{each['share']:.0%}",
            f"{each['times_attention']:.2f}",
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """The ratio to attention() on every shape."""
    return [
        at_most(f"{each['work']}: observe() over attention()", each["times_attention"], 1.15)
        for each in results
        if each["call"] == OBSERVE
    ]


CLAIM = Claim("observe", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
