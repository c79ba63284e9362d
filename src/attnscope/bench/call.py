"""How fast attention() runs here on one shape, beside what this machine could do at the most."""

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.bench.memory import check_memory
from attnscope.bench.speed import duration, share
from attnscope.machine import Machine, this_machine
from attnscope.problem import FORMATS

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BenchCase:
    """What is timed. A window is causal, and counts the query's own key."""

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
    def mask(self) -> at.Mask | None:
        if self.window is not None:
            return at.Window(left=self.window - 1, right=0)
        return at.Causal() if self.causal else None


@dataclass(frozen=True)
class Measurement:
    """Seconds of one call, and the speeds that follow; limits and shares are None where no kernel runs.

    flops     2 * (key_dim + value_dim) a visible (query, key) pair: a multiplication and an addition an entry
    bytes     each key and value that any query sees, once
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
    """The command line's options, with what was left open taken from its counterpart."""
    given: dict[str, Any] = {"query_heads": 8, "query_len": 2048, "window": None}
    given |= {name: option for name, option in options.items() if option is not None}
    given.setdefault("kv_heads", given["query_heads"])
    given.setdefault("key_len", given["query_len"])
    given.setdefault("value_dim", given["key_dim"])
    given.setdefault("threads", at.kernels.default_threads())
    return BenchCase(**given)


def measure(case: BenchCase) -> Measurement:
    """Time the case; then the limits, on the same threads."""
    query, key, value = random_arrays(case)
    seconds = timings(case, query, key, value)
    typical = median(seconds)
    visible, keys_seen = visible_pairs(case)
    entries = case.key_dim + case.value_dim
    flops = 2 * entries * visible / typical
    read = case.batch * case.kv_heads * keys_seen * entries * key.itemsize / typical
    has_kernel = at.kernels.level() is not None
    fma_limit = at.kernels.measure_fma_limit(case.threads) if has_kernel else None
    bandwidth = at.kernels.measure_read_bandwidth(case.threads) if has_kernel else None
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
    seconds = []
    for _ in range(case.repeat + 1):
        start = time.perf_counter()
        at.attention(query, key, value, mask=case.mask, threads=case.threads)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]  # the first call wakes the threads and touches new memory


def random_arrays(case: BenchCase) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    shapes = (
        (case.batch, case.query_heads, case.query_len, case.key_dim),
        (case.batch, case.kv_heads, case.key_len, case.key_dim),
        (case.batch, case.kv_heads, case.key_len, case.value_dim),
    )
    entries = sum(batch * heads * tokens * dim for batch, heads, tokens, dim in shapes)
    draw, dtype = np.random.default_rng(0), FORMATS[case.number_format]
    check_memory(entries * (4 + dtype.itemsize), "the inputs need {} to be drawn")
    query, key, value = (draw.standard_normal(shape, np.float32).astype(dtype) for shape in shapes)
    return query, key, value


def visible_pairs(case: BenchCase) -> tuple[int, int]:
    """How many (query, key) pairs are visible, over batch and heads; how many keys any query sees."""
    position = np.arange(case.query_len) + (case.key_len - case.query_len)
    end = position + 1 if case.causal or case.window else np.full(case.query_len, case.key_len)
    first = end - case.window if case.window else np.zeros_like(end)
    end, first = np.clip(end, 0, case.key_len), np.clip(first, 0, case.key_len)
    seen = int(end.max() - first[end > first].min(initial=case.key_len)) if end.max() > 0 else 0
    return case.batch * case.query_heads * int((end - first).sum()), seen


def print_measurement(measured: Measurement, console: "Console") -> None:
    """Two lines on what ran, three on how fast."""
    from rich.table import Table

    case = measured.case
    console.print(f"[dim]{measured.machine}[/]")
    console.print(
        f"batch {case.batch}, {case.query_heads} query heads on {case.kv_heads} kv heads, "
        f"query_len {case.query_len:,}, key_len {case.key_len:,}, dims {case.key_dim} and {case.value_dim}, "
        f"{case.number_format}, {masked(case)}, by the {measured.implementation}",
    )
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    least, most = duration(measured.least_seconds), duration(measured.most_seconds)
    table.add_row(
        "time", f"[bold]{duration(measured.median_seconds)}[/]", f"median of {case.repeat}: {least} to {most}"
    )
    fma, bandwidth = measured.fma_limit_flops_per_second, measured.read_bandwidth_bytes_per_second
    of_fma = share(measured.share_of_fma_limit, fma, "GFLOP/s of multiply-adds alone")
    of_read = share(measured.share_of_read_bandwidth, bandwidth, "GB/s of a read alone")
    table.add_row("arithmetic", f"{measured.flops_per_second / 1e9:,.1f} GFLOP/s", of_fma)
    table.add_row("keys, values", f"{measured.bytes_per_second / 1e9:,.1f} GB/s", of_read)
    console.print(table)


def masked(case: BenchCase) -> str:
    return f"window {case.window:,}" if case.window else "causal" if case.causal else "no mask"
