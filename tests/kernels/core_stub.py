"""The stub of the compiled core, generated from the module; `python -m tests.kernels.core_stub` writes it."""

import subprocess
import sys

from nanobind.stubgen import StubGen

from attnscope.kernels import _core
from tests.conventions.source_tree import PACKAGE

STUB = PACKAGE / "kernels" / "_core.pyi"


def generated() -> str:
    generator = StubGen(_core)
    generator.put(_core)
    text: str = generator.get()
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    formatted = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return formatted.stdout


if __name__ == "__main__":
    STUB.write_text(generated(), encoding="utf-8")
