"""A Sphinx extension: the project's docstrings, which are written for the terminal, as the site shows them.

A docstring is a sentence, formulas, then sections (Shapes, Precision, Errors, Source, ...), each a word and an indented
text, then an example. Formulas and tables of names keep their columns; sentences flow.
"""

import re
from inspect import cleandoc
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx

SECTION = re.compile(r"^[A-Z][a-z]+(, [a-z ]+)*$")
ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?(?:numpy\.)?dtype\[([^\]]*)\]\]"
)
COLUMNS = re.compile(r"\S {3,}\S")


def blocks(text: str) -> list[list[str]]:
    """Runs of lines without an empty one."""
    lines = text.splitlines()
    return [list(run) for filled, run in groupby(lines, key=lambda line: bool(line.strip())) if filled]


def readable(text: str) -> str:
    """The docstring as reStructuredText."""
    parts: list[str] = []
    for block in blocks(cleandoc(text)):
        if block[0].lstrip().startswith(">>>"):
            parts.append("\n".join(block))
        elif any(is_heading(block, number) for number in range(len(block))):
            parts += sections(block)
        else:
            parts.append(flowing_or_verbatim(block))
    return "\n\n".join(parts)


def is_heading(block: list[str], number: int) -> bool:
    """A word of its own, and an indented line below it."""
    return bool(
        SECTION.match(block[number]) and number + 1 < len(block) and block[number + 1].startswith("    ")
    )


def sections(block: list[str]) -> list[str]:
    """Each heading in bold, and what is indented below it."""
    parts: list[str] = []
    body: list[str] = []
    for number, line in enumerate(block):
        if is_heading(block, number):
            parts += [flowing_or_verbatim(body)] if body else []
            parts.append(f"**{line}**")
            body = []
        else:
            body.append(line)
    return [*parts, flowing_or_verbatim(body)] if body else parts


def flowing_or_verbatim(lines: list[str]) -> str:
    """Sentences; a table, where names stand in a column; or what has equations and must keep its lines."""
    lines = cleandoc("\n".join(lines)).splitlines()
    if lines[0].startswith("===="):
        return ruled_table(lines)
    if any(COLUMNS.search(line) for line in lines):
        return table(lines)
    if is_formula(lines) or any(line.startswith(" ") for line in lines):
        return ".. code-block:: text\n\n" + "\n".join(f"    {line}" for line in lines)
    return escaped("\n".join(lines))


def table(lines: list[str]) -> str:
    """Names and what is said of them, in columns; a line without columns is a sentence after the table."""
    rows: list[list[str]] = []
    sentences: list[str] = []
    for line in lines:
        cells = re.split(r" {3,}", line.strip())
        if len(cells) > 1 and not line.startswith(" "):
            rows.append(cells)
        elif line.startswith(" ") and rows:
            rows[-1][-1] += " " + " ".join(cells)
        else:
            sentences.append(line)
    return "\n".join([listed(rows), "", escaped("\n".join(sentences))])


def ruled_table(lines: list[str]) -> str:
    """A table between rules of ====, whose columns stand where the rules do; a long cell may run over the edge."""
    edges = [rule.start() for rule in re.finditer("=+", lines[0])]
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("===="):
            continue
        ends = [edge for edge in edges[1:] if edge > len(line) or not line[edge - 1 : edge].strip()]
        starts = [0, *(edge for edge in edges[1:] if edge in ends)]
        cells = dict.fromkeys(edges, "")
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            cells[start] = line[start:end].strip()
        if cells[0]:
            rows.append(list(cells.values()))
        else:
            rows[-1] = [
                f"{before} {more}".strip() for before, more in zip(rows[-1], cells.values(), strict=True)
            ]
    return listed(rows, header=1)


def listed(rows: list[list[str]], header: int = 0) -> str:
    """Rows as reStructuredText's list-table, the first column as code."""
    width = max(len(row) for row in rows)
    parts = [".. list-table::", f"   :header-rows: {header}", ""]
    for number, row in enumerate(rows):
        first, *rest = [*row, *[""] * (width - len(row))]
        parts += [f"   * - {first if number < header else f'``{first}``'}"]
        parts += [f"     - {escaped(cell)}".rstrip() for cell in rest]
    return "\n".join(parts)


def is_formula(lines: list[str]) -> bool:
    """An equation in every line, and no sentence that ends."""
    return all(re.search(r" = | -> |^[.:] ", line) for line in lines) and not lines[-1].endswith(".")


def escaped(text: str) -> str:
    """What reStructuredText would take for markup; a name in backticks is code."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"``{piece.strip('`')}``"
        if piece.startswith("`") and len(piece) > 1
        else re.sub(r"([*|]|_(?=\W|$))", r"\\\1", piece)
        for piece in pieces
    )


def process(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines in place, as autodoc expects."""
    lines[:] = [*readable("\n".join(lines)).splitlines(), ""]


def short_types(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Say NDArray[...], as the source does, and not what NumPy makes of it."""
    found = [each and ARRAY.sub(r"~numpy.typing.NDArray[\1]", each) for each in (signature, returns)]
    # "<factory>" is no Python: with it Sphinx gives up on the whole signature
    return found[0] and found[0].replace("<factory>", "..."), found[1]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", short_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
