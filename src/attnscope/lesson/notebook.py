"""A notebook as a file: its code cells, as plain Python."""

import json
from pathlib import Path
from typing import Any

from attnscope.lesson.verdict import LessonError, printable

RUN_ANYWAY = ("time", "timeit", "capture", "prun")  # cell magics whose cell is Python


def code_cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells, without what only IPython understands.

    Errors
        LessonError where the file is no notebook of format 4, or not one of Python.
    """
    notebook = parsed(path)
    cells = notebook.get("cells")
    if notebook.get("nbformat") != 4 or not isinstance(cells, list):
        raise LessonError(
            f"{path} is no notebook of format 4: expected a JSON object with nbformat=4 and a list of cells. "
            "Save it anew with Jupyter."
        )
    language = of_dictionaries(notebook, "metadata", "kernelspec").get("language", "python")
    if language != "python":
        raise LessonError(f"{path} is a notebook in {printable(str(language))}, expected Python.")
    return [
        plain_python(source_of(cell))
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]


def parsed(path: Path) -> dict[str, Any]:
    """The file as a JSON object."""
    try:
        # Python refuses to read an int of more than 4300 digits; a float becomes inf, and no number matters here
        notebook = json.loads(path.read_text(encoding="utf-8-sig"), parse_int=float)
    except OSError as error:
        raise LessonError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise LessonError(f"{path} is no notebook: it holds no JSON ({error}).") from error
    if not isinstance(notebook, dict):
        raise LessonError(f"{path} is no notebook: expected a JSON object, not a {type(notebook).__name__}.")
    return notebook


def of_dictionaries(value: Any, *names: str) -> dict[str, Any]:
    """What lies under these names, or nothing where something else does."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def source_of(cell: dict[str, Any]) -> str:
    """A cell's text, which is kept as one or as a list of lines."""
    source = cell.get("source", "")
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def plain_python(source: str) -> str:
    """Without magics, shell commands and questions; unchanged where it is Python as it stands.

    >>> print(plain_python("%matplotlib inline" + chr(10) + "x = 1"))
    pass
    x = 1
    """
    if compiles(source):
        return source
    first, _, rest = source.partition("\n")
    if first.startswith("%%"):
        return plain_python(rest) if first[2:].split(" ")[0].strip() in RUN_ANYWAY else ""
    lines = source.split("\n")
    return "\n".join(silenced(line) if is_of_ipython(line) else line for line in lines)


def compiles(source: str) -> bool:
    """Whether Python can read it."""
    try:
        compile(source, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def is_of_ipython(line: str) -> bool:
    """Whether a line is a magic, a shell command or a question."""
    bare = line.strip()
    return bare.startswith(("%", "!", "?")) or (bare.endswith("?") and not bare.startswith("#"))


def silenced(line: str) -> str:
    """A line that does nothing, at the same indentation."""
    return f"{line[: len(line) - len(line.lstrip())]}pass"
