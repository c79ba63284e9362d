"""A compiled core that is missing, foreign or broken: `import attnscope` states which, in one sentence."""

import platform
import re
import shutil
import struct
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from attnscope import kernels
from attnscope.kernels import core
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


@pytest.mark.skipif(sys.platform != "linux", reason="versions of symbols are glibc's")
def test_a_core_for_a_later_glibc_is_named_with_the_version_that_it_needs(installed: Path) -> None:
    compiled = Path(str(kernels._core.__file__)).read_bytes()
    needed = re.findall(rb"\0(GLIBC_2(?:\.\d+)+)(?=\0)", compiled)[0]
    later = b"GLIBC_9." + b"9" * (len(needed) - 8)
    changed = compiled.replace(needed + b"\0", later + b"\0")
    (installed / f"attnscope/kernels/_core{SUFFIX}").write_bytes(changed)
    message = failed_import(installed)
    assert "attnscope's compiled core cannot be loaded: " in message
    assert f"version `{later.decode()}' not found" in message
    assert message.endswith("Build it on this machine: `pip install .` in a clone.")


@pytest.mark.parametrize(
    ("suffix", "libc", "pointer", "named"),
    [
        (".cpython-311-x86_64-linux-musl.so", ("", ""), 8, "64 bits, on linux x86_64 (no glibc)"),
        (".cpython-311-i386-linux-gnu.so", ("glibc", "2.36"), 4, "32 bits, on linux i686 (glibc 2.36)"),
    ],
)
def test_a_core_for_another_c_library_or_word_size_is_named(
    suffix: str,
    libc: tuple[str, str],
    pointer: int,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "_core.cpython-311-x86_64-linux-gnu.so").touch()
    monkeypatch.delitem(sys.modules, core.CORE)
    monkeypatch.setattr(core, "EXTENSION_SUFFIXES", [suffix])
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64" if pointer == 8 else "i686")
    monkeypatch.setattr(struct, "calcsize", lambda code: pointer)
    message = core.why_not_loaded(tmp_path, ImportError("No module named 'attnscope.kernels._core'"))
    assert "built for another Python or platform: found _core.cpython-311-x86_64-linux-gnu.so, and" in message
    assert named in message
    assert message.endswith("Install attnscope with this Python.")


def test_python_files_and_a_core_of_two_versions_are_named(installed: Path) -> None:
    (installed / "attnscope/kernels/_core.py").write_text(OF_AN_OLDER_VERSION, encoding="utf-8")
    message = failed_import(installed)
    assert "are of two versions: cannot import name 'Plan'" in message
    assert message.endswith("Uninstall attnscope until pip finds none, then install it once.")


def test_an_older_core_in_another_folder_is_no_missing_one(tmp_path: Path) -> None:
    """An editable installation keeps its core away from the Python files, and this process has loaded it."""
    message = core.why_not_loaded(tmp_path, ImportError("cannot import name 'Plan'"))
    assert "are of two versions: cannot import name 'Plan'" in message


def test_a_core_that_loads_is_no_error(installed: Path) -> None:
    """So the messages above come from the core, and not from how this test imports."""
    shutil.copy(str(kernels._core.__file__), installed / "attnscope/kernels")
    finished = run_import(installed)
    assert finished.returncode == 0, finished.stderr


# A file system that may not be written, for a root user too, whom permissions do not stop
READ_ONLY = """
import errno, os, sys
sys.path[:0] = {path}
def refuse(event, arguments):
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    changes = event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.truncate")
    if (writes or changes) and str(arguments[0]).startswith({folder!r}):
        refused.append(arguments[0])
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), arguments[0])
refused = []
sys.dont_write_bytecode = False
sys.addaudithook(refuse)
import attnscope
from attnscope.doctor import examine
wrong = [each.found for each in examine().findings if each.status == "problem"]
print("only bytecode was to be written:", all("__pycache__" in str(each) for each in refused), bool(refused))
sys.exit(", ".join(wrong) or 0)
"""


def test_read_only_site_packages_are_no_problem(installed: Path) -> None:
    """Only Python's own bytecode would be written there, and Python goes on without."""
    shutil.copy(str(kernels._core.__file__), installed / "attnscope/kernels")
    program = READ_ONLY.format(path=[str(installed), *sys.path], folder=str(installed))
    finished = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "only bytecode was to be written: True True\n"
