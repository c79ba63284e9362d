"""One table on the terminal, and JSON beside it: bench/<claim>.json, with the machine it was measured on."""

import json
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.compare import Comparison, default_threads

FOLDER = Path("bench")
HEADER = ("work", "library", "call", "measured", "speed", "of the limit", "/ ours")
LIBRARIES = ("attnscope", "numpy", "torch", "onnxruntime", "openvino", "jax")


def machine() -> dict[str, Any]:
    """CPU, level, threads and versions: without them a number says nothing."""
    return {
        "cpu": cpu_name(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": default_threads(),
        "level": level(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def cpu_name() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def level() -> str | None:
    from attnscope import kernels

    return kernels.level()


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def describe_machine() -> str:
    facts = machine()
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    return f"{facts['cpu']}, {facts['threads']} threads, level {facts['level']}\n{versions}"


def write_json(claim: str, results: Any) -> None:
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"claim": claim, "machine": machine(), "results": results}, indent=2)
    (FOLDER / f"{claim}.json").write_text(text + "\n")


def rows_of(comparison: Comparison) -> Iterable[tuple[str, ...]]:
    """A row a library; where its fastest call is none of the usual kind, the call says so."""
    unit = "GFLOP/s" if comparison.work.bound == "arithmetic" else "GB/s"
    for standing in comparison.standings:
        yield (
            comparison.work.name,
            standing.library.peer,
            str(standing.library.way),
            duration(standing.seconds),
            "" if standing.speed is None else f"{standing.speed / 1e9:,.1f} {unit}",
            "" if standing.share is None else f"{standing.share:.0%}",
            "" if standing.times_ours is None else f"{standing.times_ours:.2f}",
        )


def print_table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> None:
    """Columns as wide as they need to be; a first cell that repeats is left out."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    previous = ""
    for row in (header, *rows):
        cells = ["" if row[0] == previous else row[0], *row[1:]]
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        previous = row[0]


def report(claim: str, comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Write the claim's JSON; return its rows of the table."""
    write_json(claim, [asdict(comparison) for comparison in comparisons])
    return [row for comparison in comparisons for row in rows_of(comparison)]


def run_alone(rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> None:
    """What a claim's own script prints."""
    print(describe_machine(), end="\n\n")
    print_table(rows, header)
    sys.stdout.flush()


def duration(seconds: float) -> str:
    """In the unit that keeps it readable: 12.3 ms."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
