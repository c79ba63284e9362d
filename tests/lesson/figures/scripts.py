"""The scripts that write the figures' data and drawings."""

import importlib.util
from types import ModuleType

from tests.conventions.source_tree import ROOT


def script(name: str) -> ModuleType:
    """A script of docs/figures as a module."""
    found = importlib.util.spec_from_file_location(
        f"figures_{name}", ROOT / "docs" / "figures" / f"{name}.py"
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


DATA, DRAW = script("data"), script("draw")
