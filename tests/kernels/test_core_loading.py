"""A compiled core that is missing, foreign or broken: `import attnscope` states which, in one sentence."""

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from attnscope import kernels
from attnscope.kernels.core import why_not_loaded
from tests.conventions.source_tree import PACKAGE

SUFFIX = EXTENSION_SUFFIXES[0]
OF_AN_OLDER_VERSION = "def usable_levels(): return []"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The Python files, installed without the compiled core."""
    shutil.copytree(
        PACKAGE, tmp_path / "attnscope", ignore=shutil.ignore_patterns("__pycache__", "_core.*.so")
    )
    return tmp_path


def run_import(installed: Path) -> "subprocess.CompletedProcess[str]":
    """A Python that imports it. -S leaves the editable install out, whose finder would win."""
    program = f"import sys; sys.path[:0] = {[str(installed), *sys.path]}; import attnscope"
    return subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False)


def failed_import(installed: Path) -> str:
    """The last line of the traceback."""
    finished = run_import(installed)
    assert finished.returncode == 1
    return finished.stderr.strip().splitlines()[-1]


def test_a_copy_of_the_python_files_lacks_the_core(installed: Path) -> None:
    assert failed_import(installed) == (
        f"ImportError: attnscope's compiled core is missing in {installed / 'attnscope' / 'kernels'}: "
        f"expected _core{SUFFIX}. Install a wheel, or run `pip install .` in a clone."
    )


def test_a_core_of_another_python_is_named(installed: Path) -> None:
    (installed / "attnscope/kernels/_core.cpython-39-riscv64-linux-gnu.so").touch()
    message = failed_import(installed)
    assert "built for another Python or platform: found _core.cpython-39-riscv64-linux-gnu.so, and" in message
    assert f"{'.'.join(map(str, sys.version_info[:3]))}, 64 bits, on {sys.platform}" in message


def test_a_core_that_the_loader_refuses_is_named_with_the_loader_s_reason(installed: Path) -> None:
    (installed / f"attnscope/kernels/_core{SUFFIX}").write_bytes(b"\x7fELF")
    message = failed_import(installed)
    assert "attnscope's compiled core cannot be loaded: " in message
    assert f"_core{SUFFIX}" in message


def test_python_files_and_a_core_of_two_versions_are_named(installed: Path) -> None:
    (installed / "attnscope/kernels/_core.py").write_text(OF_AN_OLDER_VERSION, encoding="utf-8")
    message = failed_import(installed)
    assert "are of two versions: cannot import name 'Plan'" in message
    assert message.endswith("Uninstall attnscope until pip finds none, then install it once.")


def test_an_older_core_in_another_folder_is_no_missing_one(tmp_path: Path) -> None:
    """An editable installation keeps its core away from the Python files, and this process has loaded it."""
    message = why_not_loaded(tmp_path, ImportError("cannot import name 'Plan'"))
    assert "are of two versions: cannot import name 'Plan'" in message


def test_a_core_that_loads_is_no_error(installed: Path) -> None:
    """So the messages above come from the core, and not from how this test imports."""
    shutil.copy(str(kernels._core.__file__), installed / "attnscope/kernels")
    finished = run_import(installed)
    assert finished.returncode == 0, finished.stderr
