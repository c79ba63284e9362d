"""The machine's limits, measured with the kernel's instructions: speeds are reported as a share of them."""

import numpy as np

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels.core import fma_limit, read_bandwidth
from attnscope.kernels.level import level
from attnscope.kernels.threads import checked_threads, default_threads

FMA_ITERATIONS = 10_000_000  # 12 vectors each: about 50 ms
FEWEST_FLOATS = 1 << 14


def measure_fma_limit(threads: int | None = None, *, rounds: int = 3) -> float:
    """Measure the FLOP/s of fused multiply-adds on registers, over all threads together.

    Parameters
    ----------
    threads : int, optional
        default_threads() by default.
    rounds : int, default 3
        The best of so many rounds of about 50 ms is returned.

    Returns
    -------
    float
        FLOP/s; a multiply-add counts as two operations.

    Raises
    ------
    UnsupportedProblemError
        If this CPU has no level.
    AttentionError
        If `threads` is not an integer from 1 to 1024.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    name = _level()
    return max(fma_limit(name, threads=threads, iterations=FMA_ITERATIONS) for _ in range(rounds))


def measure_read_bandwidth(
    threads: int | None = None, *, buffer_bytes: int = 1 << 28, rounds: int = 3
) -> float:
    """Measure the bytes/s of a streaming read, over all threads together.

    Parameters
    ----------
    threads : int, optional
        default_threads() by default.
    buffer_bytes : int, default 268435456
        Size of the buffer; the default exceeds most caches.
    rounds : int, default 3
        The best of so many rounds is returned.

    Returns
    -------
    float
        Bytes/s.

    Raises
    ------
    UnsupportedProblemError
        If this CPU has no level.
    AttentionError
        If `threads` is not an integer from 1 to 1024.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    name = _level()
    buffer = np.ones(max(FEWEST_FLOATS, buffer_bytes // 4), np.float32)
    return max(read_bandwidth(name, buffer, threads=threads) for _ in range(rounds))


def _level() -> str:
    name = level()
    if name is None:
        raise UnsupportedProblemError(
            "this CPU has none of the kernel's levels: there is no limit to measure."
        )
    return name
