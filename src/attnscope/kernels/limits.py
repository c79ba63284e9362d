"""The machine's own limits, measured by the kernel's instructions: what a speed is a share of."""

import numpy as np

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels import _core
from attnscope.kernels.level import level
from attnscope.kernels.threads import checked_threads, default_threads


def measure_fma_limit(threads: int | None = None, *, rounds: int = 3) -> float:
    """FLOP/s of fused multiply-adds on registers alone, all threads together: the best of some rounds.

    One multiply-add counts as two operations. Takes about 50 ms a round.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    return max(_core.fma_limit(_level(), threads, 10_000_000) for _ in range(rounds))


def measure_read_bandwidth(
    threads: int | None = None, *, buffer_bytes: int = 1 << 28, rounds: int = 3
) -> float:
    """Bytes/s of a streaming read of a buffer that no cache holds, all threads together: the best of some rounds."""
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    buffer = np.ones(max(1 << 14, buffer_bytes // 4), np.float32)
    return max(_core.read_bandwidth(_level(), buffer, threads) for _ in range(rounds))


def _level() -> str:
    name = level()
    if name is None:
        raise UnsupportedProblemError(
            "this CPU has none of the kernel's levels: there is no limit to measure."
        )
    return name
