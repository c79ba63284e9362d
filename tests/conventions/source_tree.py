"""Where the project's files are, and what a Python file imports."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "attnscope"
INDEX = "the public index"


def room_of(path: Path) -> str:
    """The folder or single file of the package that holds this file."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms() -> dict[str, list[Path]]:
    """Every room with its files; the index is no room."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent != PACKAGE or not path.name.startswith("__"):
            found.setdefault(room_of(path), []).append(path)
    return found


def imported_modules(source: str) -> set[str]:
    """Dotted names of all that a file imports, also inside functions; `from a import b` is a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides the room it reads from"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_rooms(source: str) -> set[str]:
    known = rooms()
    own = [name.split(".") for name in imported_modules(source) if name.split(".")[0] == "attnscope"]
    return {parts[1] if len(parts) > 1 and parts[1] in known else INDEX for parts in own}


def imported_packages(source: str) -> set[str]:
    return {name.split(".")[0] for name in imported_modules(source)}
