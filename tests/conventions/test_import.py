"""`import attnscope` is light: it loads nothing that it does not need, and takes no time to speak of."""

import subprocess
import sys
from pathlib import Path

from attnscope import kernels

HEAVY = {"torch", "jax", "onnx", "pandas", "matplotlib", "pytest", "hypothesis", "click", "rich", "IPython"}
TELL_HEAVY = f"import sys, attnscope; print(*sorted({HEAVY!r} & set(sys.modules)))"
TIME_BOTH = """
from time import process_time
import numpy
numpy_is_there = process_time()
import attnscope
print(process_time() - numpy_is_there)
"""


def in_a_fresh_process(program: str) -> str:
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return finished.stdout.strip()


def test_the_import_loads_nothing_heavy() -> None:
    assert in_a_fresh_process(TELL_HEAVY) == ""


def test_the_import_takes_less_than_150_ms_more_than_numpy_s() -> None:
    """The least of several, of the processor's own time: whatever else this machine does can only add to it."""
    seconds = [float(in_a_fresh_process(TIME_BOTH)) for _ in range(7)]
    assert min(seconds) < 0.15, f"seconds beyond NumPy's own: {sorted(seconds)}"


def test_the_compiled_core_is_small() -> None:
    """The wheel holds this and a few Python files: below 3 MB while this is."""
    compiled = Path(str(kernels._core.__file__))
    assert compiled.stat().st_size < 2_500_000
