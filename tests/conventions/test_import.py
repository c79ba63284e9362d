"""`import attnscope` loads nothing that it does not need. `benchmarks.import_time` measures its seconds."""

import subprocess
import sys
from pathlib import Path

from attnscope import kernels
from tests.conventions.source_tree import PACKAGE

HEAVY = {"torch", "jax", "onnx", "pandas", "matplotlib", "pytest", "hypothesis", "click", "rich", "IPython"}
TELL_HEAVY = f"import sys, attnscope; print(*sorted({HEAVY!r} & set(sys.modules)))"


def in_a_fresh_process(program: str) -> str:
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return finished.stdout.strip()


def test_the_import_loads_nothing_heavy() -> None:
    assert in_a_fresh_process(TELL_HEAVY) == ""


def test_the_compiled_core_is_small() -> None:
    """The wheel holds this and a few Python files: below 3 MB while this is."""
    compiled = Path(str(kernels._core.__file__))
    assert compiled.stat().st_size < 2_500_000


def test_type_checkers_read_the_annotations_of_an_installed_package() -> None:
    """PEP 561: without this file they treat every name as untyped."""
    assert (PACKAGE / "py.typed").is_file()
