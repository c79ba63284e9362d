"""Files import each other in one direction; what a room keeps to itself is imported by no other room.

Imports inside functions and under TYPE_CHECKING count: a circle that an `if` hides is still a circle.
"""

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conventions.source_tree import PACKAGE, room_of
from tests.conventions.test_rooms import OF_ANOTHER_TOOL


def module_of(path: Path) -> str:
    """The dotted name by which a file is imported."""
    parts = ("attnscope", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def exported_by(package: str) -> set[str]:
    """The names that a package's __init__ takes from its files: `from package import name` means these.

    A name that it takes from itself is a file or folder, and its import is the import of that file.
    """
    return {
        alias.asname or alias.name
        for node in ast.parse(MODULES[package].read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module != package
        for alias in node.names
    }


EXPORTED = {package: exported_by(package) for package in PACKAGES}


def imports_of(source: str) -> set[str]:
    """The project's modules that a file names in its imports, wherever they stand in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                exported = alias.name in EXPORTED.get(node.module or "", set())
                found.add(submodule if submodule in MODULES and not exported else node.module or "")
    return {name for name in found if name in MODULES}


IMPORTS = {name: imports_of(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def circle_in(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules of one circle, the first one repeated at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_through_others() -> None:
    assert circle_in({name: found - {name} for name, found in IMPORTS.items()}) == []


@pytest.mark.parametrize(
    "hidden",
    [
        "def run():\n    from attnscope.problem.mask import Mask",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from attnscope.problem.mask import Mask",
        "import attnscope.problem.mask",
    ],
)
def test_a_hidden_circle_is_found(hidden: str) -> None:
    graph = {
        "attnscope.problem.mask": {"attnscope.problem.drawing"},
        "attnscope.problem.drawing": imports_of(hidden),
    }
    assert set(circle_in(graph)) == set(graph)


def test_no_file_imports_the_package_that_it_is_in() -> None:
    found = [
        f"{name} imports {package}"
        for name in MODULES
        for package in PACKAGES & IMPORTS[name]
        if name.startswith(f"{package}.")
    ]
    assert found == []


def past_the_door(room: str, source: str) -> set[str]:
    """The files of other rooms that a source imports although their room's __init__ is the way in.

    Files for users of another tool (torch, matplotlib) are ways in of their own: their room cannot import
    them.
    """
    doors = {module_of(PACKAGE / path) for path in OF_ANOTHER_TOOL}
    return {
        name
        for name in imports_of(source)
        if name.count(".") > 1 and room_of(MODULES[name]) != room and name not in doors
    }


def test_other_rooms_are_entered_by_their_init() -> None:
    found = {
        name: past_the_door(room_of(path), path.read_text(encoding="utf-8")) for name, path in MODULES.items()
    }
    assert {name: files for name, files in found.items() if files} == {}


def test_an_import_past_a_room_s_init_is_found() -> None:
    assert past_the_door("cache", "from attnscope.problem.mask import Mask") == {"attnscope.problem.mask"}
    assert past_the_door("problem", "from attnscope.problem.mask import Mask") == set()
    assert past_the_door("cache", "from attnscope.problem import Mask") == set()
    assert past_the_door("cli", "from attnscope.sizing.plot import draw_caches") == set()
