"""Imports point one way, file by file, also inside functions and under TYPE_CHECKING."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.conventions.source_tree import PACKAGE, imported_modules

FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for pattern in ("*.py", "*.pyi")  # a stub stands for a compiled module
    for path in PACKAGE.rglob(pattern)
}


def module_of(name: str) -> str | None:
    """The module that a dotted name is, or is in: `a.b` for a function `a.b.c`."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


def imported_files(source: str) -> set[str]:
    """A name of a package counts as its `__init__`, unless it is a file of the package."""
    found = (module_of(name) for name in imported_modules(source))
    return {module for module in found if module is not None}


def circle(imports: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not circle({module: imported_files(path.read_text("utf-8")) for module, path in FILES.items()})


def test_a_file_that_imports_its_own_package_is_a_circle() -> None:
    imports = {
        "attnscope.kernels": imported_files("from attnscope.kernels.run import why_not as why_not"),
        "attnscope.kernels.run": imported_files("def f():\n    from attnscope.kernels import level"),
    }
    assert imports["attnscope.kernels.run"] == {"attnscope.kernels.level"}  # the file level.py
    assert not circle(imports)
    imports["attnscope.kernels.run"] = imported_files("from attnscope.kernels import default_threads")
    assert set(circle(imports)) == {"attnscope.kernels", "attnscope.kernels.run"}


def test_paths_become_modules() -> None:
    assert FILES["attnscope.kernels"] == PACKAGE / "kernels" / "__init__.py"
    assert Path(FILES["attnscope.kernels._core"]).suffix == ".pyi"
    assert imported_files("from attnscope.kernels._core import Plan") == {"attnscope.kernels._core"}
