"""Measurements as tables on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnscope.bench.call import BenchCase, Measurement
from attnscope.bench.decode import DecodeMeasurement

if TYPE_CHECKING:
    from rich.console import Console


def print_measurement(measured: Measurement, console: "Console") -> None:
    """Print what ran, its time, and its rates beside the limits.

    Parameters
    ----------
    measured : Measurement
        One call.
    console : rich.console.Console
        Where to print.
    """
    from rich.table import Table

    case = measured.case
    console.print(f"[dim]{measured.machine}[/]")
    console.print(
        f"batch {case.batch}, {case.query_heads} query heads on {case.kv_heads} kv heads, "
        f"query_len {case.query_len:,}, key_len {case.key_len:,}, dims {case.key_dim} and {case.value_dim}, "
        f"{case.number_format}, {mask_name(case)}, by the {measured.implementation}",
    )
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    least, most = duration(measured.least_seconds), duration(measured.most_seconds)
    repeated = f"median of {case.repeat}: {least} to {most}"
    table.add_row("time", f"[bold]{duration(measured.median_seconds)}[/]", repeated)
    fma, bandwidth = measured.fma_limit_flops_per_second, measured.read_bandwidth_bytes_per_second
    of_fma = share(measured.share_of_fma_limit, fma, "GFLOP/s of multiply-adds alone")
    of_read = share(measured.share_of_read_bandwidth, bandwidth, "GB/s of a streaming read")
    table.add_row("arithmetic", f"{measured.flops_per_second / 1e9:,.1f} GFLOP/s", of_fma)
    table.add_row("keys, values", f"{measured.bytes_per_second / 1e9:,.1f} GB/s", of_read)
    console.print(table)


def print_decode(measured: Sequence[DecodeMeasurement], console: "Console") -> None:
    """Print what ran, and one row per length.

    Parameters
    ----------
    measured : sequence of DecodeMeasurement
        Cases that differ in length only.
    console : rich.console.Console
        Where to print.
    """
    from rich.table import Table

    case = measured[0].case
    console.print(f"[dim]{measured[0].machine}[/]")
    console.print(
        f"decode: {case.batch} sequence{'s' * (case.batch > 1)}, {case.query_heads} query heads on "
        f"{case.kv_heads} kv heads, dims {case.key_dim} and {case.value_dim}, cached as {case.number_format} "
        "in "
        f"pages of {case.page_tokens} tokens; layers in turn, so that none is in the CPU's caches",
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("keys", "per layer", "keys, values"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in measured:
        table.add_row(
            f"{row.case.key_len:,}",
            f"[bold]{duration(row.median_seconds)}[/]",
            f"{row.bytes_per_second / 1e9:,.1f} GB/s",
            share(
                row.share_of_read_bandwidth, row.read_bandwidth_bytes_per_second, "GB/s of a streaming read"
            ),
        )
    console.print(table)


def mask_name(case: BenchCase) -> str:
    """The mask in words."""
    return f"window {case.window:,}" if case.window else "causal" if case.causal else "no mask"


def share(part: float | None, limit: float | None, limit_name: str) -> str:
    """A share of a limit in words; empty if there is no limit."""
    return "" if part is None or limit is None else f"{part:.0%} of the {limit / 1e9:,.0f} {limit_name}"


def duration(seconds: float) -> str:
    """Seconds in the unit that keeps them readable.

    >>> duration(0.0123), duration(4.2e-5), duration(2.5)
    ('12.3 ms', '42.0 us', '2.50 s')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"
