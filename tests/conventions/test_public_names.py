"""What users may rely on: every public name, pinned in public_names.txt, importable and documented."""

import ast
import inspect
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

import attnscope
from tests.conventions.source_tree import PACKAGE

PINNED = (Path(__file__).parent / "public_names.txt").read_text(encoding="utf-8").split()
PUBLIC_ROOMS = ("audit", "cache", "kernels", "lesson", "models", "observation", "reference")
INDEXES = sorted(PACKAGE.rglob("__init__.py"))


def exported(index: Path) -> list[str]:
    """The public names of an __init__.py: its __all__, or all that it imports as `X as X`."""
    body = ast.parse(index.read_text(encoding="utf-8")).body
    imported = [
        alias.asname or "" for node in body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    listed = [ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)]
    assert all(set(names) <= set(imported) for names in listed), (
        f"{index}: __all__ names what it does not import"
    )
    return listed[0] if listed else imported


def public_names() -> list[str]:
    rooms = (f"{room}.{name}" for room in PUBLIC_ROOMS for name in exported(PACKAGE / room / "__init__.py"))
    return sorted([*exported(PACKAGE / "__init__.py"), *rooms])


def resolve(name: str) -> Any:
    return reduce(getattr, name.split("."), attnscope)


def test_the_public_names_are_exactly_these() -> None:
    assert public_names() == PINNED


@pytest.mark.parametrize("index", INDEXES, ids=lambda path: path.parent.relative_to(PACKAGE).as_posix())
def test_an_index_only_hands_names_on(index: Path) -> None:
    text, *imports = ast.parse(index.read_text(encoding="utf-8")).body
    assert isinstance(text, ast.Expr)
    if imports and isinstance(last := imports[-1], ast.Assign):
        assert [target.id for target in last.targets if isinstance(target, ast.Name)] == ["__all__"]
        imports.pop()
    for node in imports:
        assert isinstance(node, ast.ImportFrom), f"line {node.lineno} is no `from ... import X as X`"
        assert [alias.asname for alias in node.names] == [alias.name for alias in node.names]


@pytest.mark.parametrize("name", PINNED)
def test_a_public_name_has_a_docstring_of_its_own(name: str) -> None:
    named = resolve(name)
    assert is_documented(named), f"{name} has no docstring"
    if inspect.isclass(named):
        for method, function in public_methods(named):
            assert is_documented(function), f"{name}.{method} has no docstring"


def is_documented(named: Any) -> bool:
    """A dataclass without a docstring is given its signature for one."""
    text = named.__doc__ or ""
    return bool(text.strip()) and not text.startswith(f"{getattr(named, '__name__', '')}(")


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == PACKAGE.name


def public_methods(named: type) -> Iterator[tuple[str, Any]]:
    """Its own, and those of a base that is no public name. A public base documents its own."""
    public = {each.rsplit(".")[-1] for each in PINNED}
    own = [
        each for each in named.__mro__ if each is named or (_is_ours(each) and each.__name__ not in public)
    ]
    bases = [each for each in named.__mro__ if each not in own]
    for method, member in (each for owner in own for each in vars(owner).items()):
        inherited = any(hasattr(base, method) for base in bases)
        if not method.startswith("_") and not inherited and callable(getattr(member, "__func__", member)):
            yield method, member


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), (
        f"{path.relative_to(PACKAGE)} has no docstring"
    )
