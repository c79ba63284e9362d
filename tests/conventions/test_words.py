"""Public text uses the field's terms: words that ARCHITECTURE.md's glossary retires do not come back.

Public text is what a reader sees: documents, docstrings, comments, messages and the viewer's labels.
"""

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conventions.source_tree import PACKAGE, ROOT

ARCHITECTURE = ROOT / "ARCHITECTURE.md"
RETIRED_WORDS = "### Retired words"


def table_below(heading: str, text: str) -> list[list[str]]:
    """The cells of the rows of the first table below a heading, without its head."""
    lines = text.split(heading, 1)[1].lstrip("\n").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def retired() -> dict[str, str]:
    """Each retired word and the term to use in its place."""
    rows = table_below(RETIRED_WORDS, ARCHITECTURE.read_text(encoding="utf-8"))
    return {word.strip(): term for words, term in rows for word in words.split(",")}


PATTERN = re.compile(
    rf"(?<![\w-])({'|'.join(sorted(map(re.escape, retired()), key=len, reverse=True))})(?![\w-])",
    re.IGNORECASE,
)


def text_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings, comments and strings of a file, each with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def text_of_cpp(source: str) -> Iterator[tuple[int, str]]:
    """Comments and strings of a file of C++, JavaScript or CSS."""
    for found in re.finditer(r"//.*|/\*.*?\*/|\"[^\"\n]*\"|`[^`]*`", source, re.DOTALL):
        yield source[: found.start()].count("\n") + 1, found.group()


def text_of_document(source: str) -> Iterator[tuple[int, str]]:
    """All of a document; of ARCHITECTURE.md not the table of retired words itself."""
    kept = source.split(RETIRED_WORDS, 1)[0]
    yield from enumerate(kept.splitlines(), 1)


def text_of_notebook(source: str) -> Iterator[tuple[int, str]]:
    """Markdown cells, and docstrings, comments and strings of code cells, each with its cell's number."""
    for number, cell in enumerate(json.loads(source)["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield number, text
        else:
            yield from ((number, found) for _, found in text_of_python(text))


READERS = {
    ".py": text_of_python,
    ".md": text_of_document,
    ".ipynb": text_of_notebook,
    ".html": text_of_document,
    ".cpp": text_of_cpp,
    ".hpp": text_of_cpp,
    ".js": text_of_cpp,
    ".css": text_of_cpp,
}


def public_files() -> list[Path]:
    folders = (path for folder in (PACKAGE, ROOT / "csrc", ROOT / "docs") for path in folder.rglob("*"))
    return sorted(path for path in (*ROOT.glob("*.md"), *folders) if path.suffix in READERS)


def found_in(path: Path, source: str) -> list[str]:
    """Lines with a retired word, and the term to use."""
    terms = {word.lower(): term for word, term in retired().items()}
    return [
        f"{path.name}:{line + text[: match.start()].count(chr(10))}: {match[0]!r}: "
        f"use {terms[match[0].lower()]}"
        for line, text in READERS[path.suffix](source)
        for match in PATTERN.finditer(text)
    ]


@pytest.mark.parametrize("path", public_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_text_uses_the_field_s_terms(path: Path) -> None:
    assert found_in(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.hpp", "a.js"])
def test_a_retired_word_is_found_in_text_and_not_in_names(name: str) -> None:
    word = next(iter(retired()))
    comment = {"a.py": "#", "a.md": "", "a.hpp": "//", "a.js": "//"}[name]
    assert len(found_in(Path(name), f"x = 1\n{comment} one {word} here\n")) == 1
    assert found_in(Path(name), f"x_{word.split()[0]} = 1\n") == []


def test_a_retired_word_is_found_in_a_notebook_s_text_and_comments_and_not_in_its_code() -> None:
    word = next(iter(retired()))
    cells = [
        ("markdown", f"one {word} here"),
        ("code", f"x = 1  # {word}"),
        ("code", f"x_{word.split()[0]} = 1"),
    ]
    source = json.dumps({"cells": [{"cell_type": kind, "source": [text]} for kind, text in cells]})
    assert [line.split(":")[1] for line in found_in(Path("a.ipynb"), source)] == ["0", "1"]
