"""Claim: observing with entropy, maximum, first mass and 8 segments takes at most 1.15 x attention()'s own time.

Both run in this process, turn by turn; the last column is over attention() on the same arrays, round by round. What each
further question costs stands below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import attnscope as at
from attnscope import kernels
from benchmarks.compare import default_threads, say
from benchmarks.report import duration, run_alone, write_json

ROUNDS = 21


@dataclass(frozen=True)
class Shape:
    name: str
    query_heads: int
    kv_heads: int
    query_len: int
    key_len: int
    dim: int
    causal: bool

    @property
    def amount(self) -> float:
        """FLOPs, of visible keys only; bytes of keys and values where one query reads them."""
        if self.query_len == 1:
            return 8.0 * self.kv_heads * self.key_len * self.dim
        keys = (self.key_len + 1) / 2 if self.causal else self.key_len
        return 4.0 * self.query_heads * self.query_len * keys * self.dim

    def arrays(self) -> list[Any]:
        rng = np.random.default_rng(0)
        heads = (
            (self.query_heads, self.query_len),
            (self.kv_heads, self.key_len),
            (self.kv_heads, self.key_len),
        )
        return [rng.standard_normal((1, h, n, self.dim), np.float32) for h, n in heads]


SHAPES = (
    Shape("8 heads x 2048 x 128, causal", 8, 8, 2048, 2048, 128, causal=True),
    Shape("8 heads x 2048 x 128", 8, 8, 2048, 2048, 128, causal=False),
    Shape("8 heads x 2048 x 64, causal", 8, 8, 2048, 2048, 64, causal=True),
    Shape("decode, 32 heads on 8, 32k keys", 32, 8, 1, 32768, 128, causal=True),
)
FURTHER: dict[str, dict[str, Any]] = {
    "and top_keys=8": {"top_keys": 8},
    "and received=True, block_map_size=64": {"received": True, "block_map_size": 64},
}


def measure(shape: Shape) -> list[dict[str, Any]]:
    """attention(), observe() with the claim's questions, and with more."""
    arrays = shape.arrays()
    mask = at.Causal() if shape.causal else None
    length = shape.key_len
    eight = {str(i): (i * length // 8, (i + 1) * length // 8) for i in range(8)}

    def observing(**more: Any) -> Callable[[], Any]:
        return lambda: at.observe(*arrays, mask=mask, segments=eight, **more)

    calls = {"attention()": lambda: at.attention(*arrays, mask=mask), "observe(), 8 segments": observing()}
    calls |= {name: observing(**more) for name, more in FURTHER.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    limits = []
    for turn in range(ROUNDS):
        say(f"{shape.name}: round {turn + 1} of {ROUNDS}")
        if turn % 10 == 0:
            limits.append(
                kernels.measure_read_bandwidth() if shape.query_len == 1 else kernels.measure_fma_limit()
            )
        for name, call in calls.items():
            started = perf_counter()
            call()
            times[name].append(perf_counter() - started)
    say("")
    own = times["attention()"]
    return [
        {
            "work": shape.name,
            "call": name,
            "seconds": median(seconds),
            "speed": shape.amount / median(seconds),
            "share": shape.amount / median(seconds) / max(limits),
            "times_attention": median(each / one for each, one in zip(seconds, own, strict=True)),
        }
        for name, seconds in times.items()
    ]


def rows() -> list[tuple[str, ...]]:
    """One row a call; the last column is over attention()."""
    kernels.set_default_threads(default_threads())
    results = [each for shape in SHAPES for each in measure(shape)]
    write_json("observe", results)
    return [
        (
            each["work"],
            "attnscope",
            each["call"],
            duration(each["seconds"]),
            f"{each['speed'] / 1e9:,.1f} {'GB/s' if 'decode' in each['work'] else 'GFLOP/s'}",
            f"{each['share']:.0%}",
            f"{each['times_attention']:.2f}",
        )
        for each in results
    ]


if __name__ == "__main__":
    run_alone(rows())
