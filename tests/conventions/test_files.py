"""Files: their size, their names, and no trace of the machine that they were written on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conventions.source_tree import ROOT

FOLDERS = ("src", "csrc", "tests", "benchmarks", "docs", "release", ".ci")
CODE = {".py", ".pyi", ".cpp", ".hpp"}
SAYS_NOTHING = {"utils", "util", "common", "helpers", "misc", "base"}
LONGEST = 400
WIDEST = 110
OF_A_MACHINE = re.compile(r"/(home|root|Users|work|farm)/\w|[A-Z]:\\\\?Users")


def files() -> Iterator[Path]:
    # a worktree of git's has a file .git, which says where the repository is
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


CODE_FILES = sorted(path.relative_to(ROOT) for path in files() if path.suffix in CODE)


@pytest.mark.parametrize("path", CODE_FILES, ids=str)
def test_a_file_holds_one_concept_and_is_named_after_it(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= LONGEST
    names = {part.split(".")[0] for part in path.parts}
    assert not names & SAYS_NOTHING, f"{path}: name it after what it holds"


@pytest.mark.parametrize("path", [path for path in CODE_FILES if path.suffix in {".cpp", ".hpp"}], ids=str)
def test_a_line_of_cpp_has_at_most_110_columns(path: Path) -> None:
    """clang-format wraps code, and leaves comments alone."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert not [number for number, line in enumerate(lines, start=1) if len(line) > WIDEST]


def test_no_file_names_a_path_of_somebody_s_machine() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in files()
        if OF_A_MACHINE.search(path.read_text(encoding="utf-8", errors="replace"))
    }
    assert not found


@pytest.mark.parametrize("text", ["see /" + "home/ada/notes", "/" + "Users/ada", "C:\\" + "Users\\ada"])
def test_a_path_of_somebody_s_machine_is_found(text: str) -> None:
    assert OF_A_MACHINE.search(text)
