"""One table on the terminal, the floors below it, and bench/<claim>.json with the machine measured."""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.claim import Claim, Floor, Results, Row
from benchmarks.compare import default_threads

FOLDER = Path("bench")
FLOORS: Row = ("floor", "measured", "expected", "")
LIBRARIES = ("attnscope", "numpy", "torch", "onnxruntime", "openvino", "jax", "transformers")


def run(claims: Sequence[Claim]) -> int:
    """Measure the claims, write their JSON, print one table and the floors; return the exit code."""
    print(describe_machine(), end="\n\n", flush=True)
    rows: list[Row] = []
    floors: list[Floor] = []
    for claim in claims:
        results = claim.measure()
        found = claim.floors(results)
        write_json(claim.name, results, found)
        rows += claim.rows(results)
        floors += found
    print_table(claims[0].header, rows)
    if floors:
        print()
        print_table(FLOORS, [floor_row(each) for each in floors])
    missed = sum(not each.holds for each in floors)
    if missed:
        print(f"\n{missed} of {len(floors)} floors missed.", flush=True)
    sys.stdout.flush()
    return 1 if missed else 0


def floor_row(floor: Floor) -> Row:
    """What was measured beside what is expected."""
    measured = "not measured" if floor.measured is None else f"{floor.measured:.3g}"
    return floor.name, measured, f"{floor.kind} {floor.bound:g}", "" if floor.holds else "MISSED"


def write_json(claim: str, results: Results, floors: Sequence[Floor]) -> None:
    """Write bench/<claim>.json, with the floors and whether they hold."""
    FOLDER.mkdir(exist_ok=True)
    judged = [asdict(floor) | {"holds": floor.holds} for floor in floors]
    written = {"claim": claim, "machine": machine(), "results": results, "floors": judged}
    (FOLDER / f"{claim}.json").write_text(json.dumps(shortened(written), indent=1) + "\n", encoding="utf-8")


def shortened(data: Any) -> Any:
    """The same data, floats to six digits: no measurement has more."""
    if isinstance(data, float):
        return float(f"{data:.6g}")
    if isinstance(data, dict):
        return {name: shortened(each) for name, each in data.items()}
    return [shortened(each) for each in data] if isinstance(data, list | tuple) else data


def print_table(header: Row, rows: Sequence[Row]) -> None:
    """Print columns as wide as they need to be; leave out a first cell that repeats."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    previous = ""
    for row in (header, *rows):
        cells = ["" if row[0] == previous else row[0], *row[1:]]
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        previous = row[0]


def machine() -> dict[str, Any]:
    """CPU, level, threads and versions: a number means nothing without them."""
    return {
        "cpu": cpu_name(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": default_threads(),
        "level": level(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def describe_machine() -> str:
    """The same in two lines."""
    facts = machine()
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    return f"{facts['cpu']}, {facts['threads']} threads, level {facts['level']}\n{versions}"


def cpu_name() -> str:
    """The processor's name; empty if the system does not know it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def level() -> str | None:
    """The kernel's CPU level."""
    from attnscope import kernels

    return kernels.level()


def version(name: str) -> str | None:
    """An installed package's version; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
