"""Claim: importing attnscope takes at most 0.15 s more than importing NumPy; its wheel has at most 3 MB."""

import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.claim import Claim, Floor, Results, Row, at_most, duration
from benchmarks.peers.call import OURS
from benchmarks.report import run

PROCESSES = 15
PROGRAM = """
from time import perf_counter
start = perf_counter()
import numpy
numpy_is_imported = perf_counter()
import attnscope
print(numpy_is_imported - start, perf_counter() - numpy_is_imported)
"""


def measure() -> Results:
    """Medians over new processes of NumPy's import, and ours after it; the size of the wheel in dist/."""
    numpy_seconds, our_seconds = [], []
    for _ in range(PROCESSES):
        finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        numpys, ours = map(float, finished.stdout.split())
        numpy_seconds.append(numpys)
        our_seconds.append(ours)
    wheels = [path.stat().st_size for path in sorted(Path("dist").glob("attnscope-*.whl"))]
    return [
        {
            "numpy_seconds": median(numpy_seconds),
            "attnscope_seconds": median(our_seconds),
            "wheel_bytes": wheels[-1] if wheels else None,
        }
    ]


def rows(results: Results) -> list[Row]:
    """Seconds, and the size of the wheel."""
    (found,) = results
    seconds, numpys = duration(found["attnscope_seconds"]), duration(found["numpy_seconds"])
    timed = ("import, beyond NumPy's", OURS, "import attnscope", seconds, f"NumPy {numpys}", "", "")
    wheel = found["wheel_bytes"]
    return [timed] if wheel is None else [timed, ("wheel", OURS, "", f"{wheel / 1e6:.2f} MB", "", "", "")]


def floors(results: Results) -> list[Floor]:
    """Seconds, and megabytes."""
    (found,) = results
    wheel = found["wheel_bytes"]
    return [
        at_most("import: seconds beyond NumPy's", found["attnscope_seconds"], 0.15),
        at_most("wheel: MB", None if wheel is None else wheel / 1e6, 3),
    ]


CLAIM = Claim("import_time", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
