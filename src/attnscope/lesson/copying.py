"""The lesson's pages and notebooks, copied to where a learner works; never over what a learner wrote."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Literal

from attnscope.lesson.verdict import LessonError

HERE = Path(__file__).parent
JUPYTERLAB_SETTINGS = HERE / "jupyterlab"  # a folder as JUPYTER_CONFIG_PATH names them
LINK_TO_CODE = re.compile(r"\[(`[^`]+`)\]\(((?:\.\./)+[\w/.]+)#L(\d+)-L(\d+)\)")
Done = Literal["copied", "there already", "kept as it is"]


@dataclass(frozen=True)
class Copy:
    """What became of one file."""

    name: str
    done: Done


def lesson_files() -> list[Path]:
    """Pages and notebooks, in the order in which a folder shows them."""
    return sorted(path for path in HERE.iterdir() if path.suffix in (".md", ".ipynb"))


def copy_lesson(folder: Path) -> Iterator[Copy]:
    """Copy what is missing; a file that is there and differs is a learner's, and stays.

    Errors
        LessonError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in lesson_files():
            yield Copy(source.name, copied(source, folder / source.name))
    except OSError as error:
        raise LessonError(
            f"{folder} cannot hold the lesson: {error.strerror or error}. Name another folder."
        ) from error


def copied(source: Path, target: Path) -> Done:
    """Copy one file, unless something is there."""
    content = for_a_learner(source.read_text(encoding="utf-8")).encode()
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        same = target.is_file() and target.read_bytes() == content
        return "there already" if same else "kept as it is"
    return "copied"


def for_a_learner(page: str) -> str:
    """The page, naming the lines of code that it links to: the library does not lie beside a learner's folder."""

    def named(link: re.Match[str]) -> str:
        symbol, path, first, last = link.groups()
        file = normpath(f"src/attnscope/lesson/{path}").removeprefix("src/")
        return f"{symbol} ({file}, lines {first} to {last})"

    return LINK_TO_CODE.sub(named, page)
