"""The interpreters whose headers the wheels are compiled against: CPython 3.11, and a later one for abi3."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

DESCRIBE = """
import json, pathlib, sys, sysconfig
headers = pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
print(json.dumps([sys.implementation.name, list(sys.version_info[:2]), headers]))
"""


PYTHONS = {  # tag of a wheel: the variable that names its interpreter, the lowest version, the highest
    "cp311-cp311": ("PYTHON_311", (3, 11), (3, 11)),
    "cp312-abi3": ("PYTHON_ABI3", (3, 12), (3, 99)),
}


def python_of(tag: str) -> Path:
    """The interpreter for the wheels of a tag."""
    return with_headers(*PYTHONS[tag])


def with_headers(name: str, lowest: tuple[int, int], highest: tuple[int, int]) -> Path:
    """The interpreter that the environment variable `name` names, or the first suitable one that is found."""
    given = os.environ.get(name)
    for python in [Path(given)] if given else candidates():
        if suits(python, lowest, highest):
            return python
    wanted = ".".join(map(str, lowest)) + ("" if lowest == highest else " or newer")
    raise SystemExit(
        f"release: no CPython {wanted} with its headers was found. "
        f"Install one, or name it: {name}=/path/to/python."
    )


def candidates() -> Iterator[Path]:
    """Interpreters on the path, then those of pyenv."""
    found = (shutil.which(name) for name in ("python3", *(f"python3.{minor}" for minor in range(11, 16))))
    yield from (Path(path) for path in found if path)
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    yield from sorted(root.glob("versions/3.*/bin/python3"))


def suits(python: Path, lowest: tuple[int, int], highest: tuple[int, int]) -> bool:
    """Whether it runs, is a CPython of these versions, and has its headers."""
    finished = subprocess.run([python, "-c", DESCRIBE], capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        return False
    implementation, version, headers = json.loads(finished.stdout)
    return implementation == "cpython" and lowest <= tuple(version) <= highest and headers
