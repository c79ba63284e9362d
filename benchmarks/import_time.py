"""Claim: importing attnscope takes less than 0.15 s more than NumPy's import, and its wheel has less than 3 MB."""

import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.peers.call import OURS
from benchmarks.report import duration, run_alone, write_json

PROCESSES = 15
PROGRAM = """
from time import perf_counter
start = perf_counter()
import numpy
numpy_is_there = perf_counter()
import attnscope
print(numpy_is_there - start, perf_counter() - numpy_is_there)
"""


def import_seconds() -> tuple[float, float]:
    """Medians over fresh processes: of NumPy's import, and of ours after it."""
    numpy_seconds, our_seconds = [], []
    for _ in range(PROCESSES):
        finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        numpys, ours = map(float, finished.stdout.split())
        numpy_seconds.append(numpys)
        our_seconds.append(ours)
    return median(numpy_seconds), median(our_seconds)


def rows() -> list[tuple[str, ...]]:
    """Two rows: seconds, and the size of the wheel in dist/ if there is one."""
    numpys, ours = import_seconds()
    wheels = [path.stat().st_size for path in sorted(Path("dist").glob("attnscope-*.whl"))]
    write_json("import_time", {"numpy_seconds": numpys, "attnscope_seconds": ours, "wheel_bytes": wheels})
    timed = (
        "import, beyond NumPy's",
        OURS,
        "import attnscope",
        duration(ours),
        f"NumPy {duration(numpys)}",
        "",
        "",
    )
    return [timed, *(("wheel", OURS, "", f"{size / 1e6:.2f} MB", "", "", "") for size in wheels)]


if __name__ == "__main__":
    run_alone(rows())
