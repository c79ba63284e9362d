"""The lesson's pages and notebooks, copied to where a learner works; never over what a learner wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attnscope.lesson.verdict import LessonError

HERE = Path(__file__).parent
JUPYTERLAB_SETTINGS = HERE / "jupyterlab"  # a folder as JUPYTER_CONFIG_PATH names them
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
    content = source.read_bytes()
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        same = target.is_file() and target.read_bytes() == content
        return "there already" if same else "kept as it is"
    return "copied"
