"""How fast attention() runs here on one shape, beside this machine's limits."""

import os
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.attention import attention
from attnscope.errors import AttentionShapeError
from attnscope.kernels import default_threads, level, measure_fma_limit, measure_read_bandwidth
from attnscope.machine import Machine, this_machine
from attnscope.problem import FORMATS, Causal, Mask, Window


@dataclass(frozen=True)
class BenchCase:
    """A call to time.

    Parameters
    ----------
    batch, query_heads, kv_heads, query_len, key_len, key_dim, value_dim : int
        Sizes.
    number_format : str
        Of query, key and value.
    causal : bool
        Whether the mask is causal, bottom-right aligned.
    window : int or None
        Causal, over this many keys, the query's own included.
    threads : int
        Threads of the call.
    repeat : int
        Calls to take the median of.
    """

    batch: int
    query_heads: int
    kv_heads: int
    query_len: int
    key_len: int
    key_dim: int
    value_dim: int
    number_format: str
    causal: bool
    window: int | None
    threads: int
    repeat: int

    @property
    def mask(self) -> Mask | None:
        """The mask of the call."""
        if self.window is not None:
            return Window(left=self.window - 1, right=0)
        return Causal() if self.causal else None


@dataclass(frozen=True)
class Measurement:
    """Seconds of one call, and the rates that follow; limits and shares are None if no kernel level runs.

    Parameters
    ----------
    machine : Machine
        Where it was measured.
    case : BenchCase
        What was measured.
    implementation : str
        "kernel" or "reference".
    median_seconds, least_seconds, most_seconds : float
        Over the repeated calls.
    visible_pairs : int
        Visible (query, key) pairs over batch and heads.
    flops_per_second : float
        2 * (key_dim + value_dim) per visible pair: one multiplication and one addition per entry.
    fma_limit_flops_per_second, share_of_fma_limit : float or None
        Multiply-adds on registers alone, measured in the same run, and the share of it.
    bytes_per_second : float
        Every key and value that any query sees, counted once.
    read_bandwidth_bytes_per_second, share_of_read_bandwidth : float or None
        A streaming read, measured in the same run, and the share of it.
    """

    machine: Machine
    case: BenchCase
    implementation: str
    median_seconds: float
    least_seconds: float
    most_seconds: float
    visible_pairs: int
    flops_per_second: float
    fma_limit_flops_per_second: float | None
    share_of_fma_limit: float | None
    bytes_per_second: float
    read_bandwidth_bytes_per_second: float | None
    share_of_read_bandwidth: float | None


def case_of(options: dict[str, Any]) -> BenchCase:
    """Make a case of the command line's options; an open size follows its counterpart.

    Parameters
    ----------
    options : dict
        Fields of BenchCase; None is open.

    Returns
    -------
    BenchCase
        The call to time.
    """
    given: dict[str, Any] = {"query_heads": 8, "query_len": 2048, "window": None}
    given |= {name: option for name, option in options.items() if option is not None}
    given.setdefault("kv_heads", given["query_heads"])
    given.setdefault("key_len", given["query_len"])
    given.setdefault("value_dim", given["key_dim"])
    given.setdefault("threads", default_threads())
    return BenchCase(**given)


def measure(case: BenchCase) -> Measurement:
    """Time the case, then the machine's limits, on the same threads.

    Parameters
    ----------
    case : BenchCase
        The call to time, on random arrays.

    Returns
    -------
    Measurement
        Seconds, rates and shares of the limits.

    Raises
    ------
    AttentionError
        If attention() refuses the sizes, or the machine has too little memory for the inputs.
    """
    query, key, value = random_arrays(case)
    seconds = timings(case, query, key, value)
    typical = median(seconds)
    visible, keys_seen = visible_pairs(case)
    entries = case.key_dim + case.value_dim
    flops = 2 * entries * visible / typical
    read = case.batch * case.kv_heads * keys_seen * entries * key.itemsize / typical
    has_kernel = level() is not None
    fma_limit = measure_fma_limit(case.threads) if has_kernel else None
    bandwidth = measure_read_bandwidth(case.threads) if has_kernel else None
    return Measurement(
        machine=this_machine(case.threads),
        case=case,
        implementation="kernel" if has_kernel and case.number_format != "float64" else "reference",
        median_seconds=typical,
        least_seconds=min(seconds),
        most_seconds=max(seconds),
        visible_pairs=visible,
        flops_per_second=flops,
        fma_limit_flops_per_second=fma_limit,
        share_of_fma_limit=flops / fma_limit if fma_limit else None,
        bytes_per_second=read,
        read_bandwidth_bytes_per_second=bandwidth,
        share_of_read_bandwidth=read / bandwidth if bandwidth else None,
    )


def timings(case: BenchCase, query: NDArray[Any], key: NDArray[Any], value: NDArray[Any]) -> list[float]:
    """Seconds of each repeated call."""
    seconds = []
    for _ in range(case.repeat + 1):
        start = time.perf_counter()
        attention(query, key, value, mask=case.mask, threads=case.threads)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]  # the first call wakes the threads and touches new memory


def random_arrays(case: BenchCase) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Query, key and value of the case."""
    shapes = (
        (case.batch, case.query_heads, case.query_len, case.key_dim),
        (case.batch, case.kv_heads, case.key_len, case.key_dim),
        (case.batch, case.kv_heads, case.key_len, case.value_dim),
    )
    entries = sum(batch * heads * tokens * dim for batch, heads, tokens, dim in shapes)
    draw, dtype = np.random.default_rng(0), FORMATS[case.number_format]
    check_memory(entries * (4 + dtype.itemsize), "drawing the inputs takes {}")
    query, key, value = (draw.standard_normal(shape, np.float32).astype(dtype) for shape in shapes)
    return query, key, value


def check_memory(needed_bytes: int, sentence: str) -> None:
    """Raise AttentionShapeError if the machine has less memory; {} in the sentence becomes the amount."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed_bytes > memory_bytes:
        needed = f"{needed_bytes / 2**30:,.1f} GiB"
        raise AttentionShapeError(
            f"{sentence.format(needed)}, and this machine has {memory_bytes / 2**30:,.1f} GiB. "
            "Use a smaller batch, fewer heads or fewer keys."
        )


def visible_pairs(case: BenchCase) -> tuple[int, int]:
    """Visible (query, key) pairs over batch and heads, and how many keys any query sees."""
    position = np.arange(case.query_len) + (case.key_len - case.query_len)
    end = position + 1 if case.causal or case.window else np.full(case.query_len, case.key_len)
    first = end - case.window if case.window else np.zeros_like(end)
    end, first = np.clip(end, 0, case.key_len), np.clip(first, 0, case.key_len)
    seen = int(end.max() - first[end > first].min(initial=case.key_len)) if end.max() > 0 else 0
    return case.batch * case.query_heads * int((end - first).sum()), seen
