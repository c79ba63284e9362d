"""A notebook as a file: its code cells, as plain Python; and the limits under which they run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.arguments import content_of, one_line
from attnscope.lesson.verdict import LessonError

MOST_BYTES = 64 << 20  # of a notebook's file
PYTHON_MAGICS = ("time", "timeit", "capture", "prun")  # cell magics whose cell is Python


@dataclass(frozen=True)
class Limits:
    """What a notebook may use.

    Parameters
    ----------
    seconds : float
        For the whole notebook.
    cell_seconds : float
        For a cell.
    call_seconds : float
        For a call of one of its functions.
    memory_bytes : int
        Beyond what the library itself uses.
    """

    seconds: float = 60.0
    cell_seconds: float = 15.0
    call_seconds: float = 5.0
    memory_bytes: int = 2 << 30


def code_cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells.

    Raises LessonError if the file is not a notebook of format 4, or its language is not Python.
    """
    notebook = parsed(path)
    cells = notebook.get("cells")
    if notebook.get("nbformat") != 4 or not isinstance(cells, list):
        raise LessonError(
            f"{path} is no notebook of format 4: expected a JSON object with nbformat=4 and a list of cells. "
            "Save it again with Jupyter."
        )
    language = nested(notebook, "metadata", "kernelspec").get("language", "python")
    if language != "python":
        raise LessonError(f"{path} is a notebook in {one_line(language)}, expected Python.")
    return [source_of(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def parsed(path: Path) -> dict[str, Any]:
    """The file as a JSON object."""
    content = content_of(path, MOST_BYTES, LessonError)
    try:
        # Python refuses to read an int of more than 4300 digits; as a float it is inf, and harmless
        notebook = json.loads(content.decode("utf-8-sig"), parse_int=float)
    except (ValueError, RecursionError, MemoryError) as error:
        raise LessonError(f"{path} is no notebook: it holds no JSON ({error}).") from error
    if not isinstance(notebook, dict):
        raise LessonError(f"{path} is no notebook: expected a JSON object, not a {type(notebook).__name__}.")
    return notebook


def nested(value: Any, *names: str) -> dict[str, Any]:
    """The dictionary under these names, or an empty one."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def source_of(cell: dict[str, Any]) -> str:
    """A cell's text, which is stored as one string or as a list of lines."""
    source = cell.get("source", "")
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def plain_python(source: str) -> str:
    """The source without magics, shell commands and questions; unchanged if Python can compile it.

    >>> print(plain_python("%matplotlib inline" + chr(10) + "x = 1"))
    pass
    x = 1
    """
    if compiles(source):
        return source
    first, _, rest = source.partition("\n")
    if first.startswith("%%"):
        return plain_python(rest) if first[2:].split(" ")[0].strip() in PYTHON_MAGICS else ""
    lines = source.split("\n")
    return "\n".join(silenced(line) if is_for_ipython(line) else line for line in lines)


def compiles(source: str) -> bool:
    """Whether Python can compile it."""
    try:
        compile(source, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def is_for_ipython(line: str) -> bool:
    """Whether a line is a magic, a shell command or a question."""
    bare = line.strip()
    return bare.startswith(("%", "!", "?")) or (bare.endswith("?") and not bare.startswith("#"))


def silenced(line: str) -> str:
    """A `pass` with the same indentation."""
    return f"{line[: len(line) - len(line.lstrip())]}pass"
