"""The verb `attnscope learn`: copy the lesson to a folder, and open it in JupyterLab."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from posixpath import normpath
from typing import Literal

import click

from attnscope.cli.refusals import InputError, explained

LESSON = Path(str(files("attnscope.lesson")))
JUPYTERLAB_SETTINGS = LESSON / "jupyterlab"  # a folder for JUPYTER_CONFIG_PATH
LINK_TO_CODE = re.compile(r"\[(`[^`]+`)\]\(((?:\.\./)+[\w/.]+)#L(\d+)-L(\d+)\)")
FIRST = ("overview.md", "exercises.ipynb")  # JupyterLab opens the first of these that is there
Done = Literal["copied", "there already", "kept as it is"]


@click.command(short_help="Copy the lesson to a folder, and open it in JupyterLab.")
@click.argument("folder", metavar="[DIR]", default="attnscope-lesson", type=click.Path(path_type=Path))
@click.argument("options", metavar="[-- JUPYTERLAB'S OPTIONS]", nargs=-1)
@click.option("--open/--no-open", "opened", default=True, help="Open JupyterLab there, or copy only.")
def learn(folder: Path, options: tuple[str, ...], opened: bool) -> None:
    """Copy the lesson's pages and notebooks to DIR (default: attnscope-lesson), and open JupyterLab there.

    A file that is already there and differs is yours, and is kept. So you can run the command again to
    continue.

    \b
    Examples:
      attnscope learn
      attnscope learn ~/attention
      attnscope learn ~/attention -- --no-browser --port 8889
      attnscope learn --no-open && attnscope check attnscope-lesson/exercises.ipynb
    """  # noqa: D301 - click reads \b as: keep these lines
    with explained():
        for copy in copy_lesson(folder):
            click.echo(f"{copy.done:<15} {folder / copy.name}")
    if opened:
        open_jupyterlab(folder, options)


@dataclass(frozen=True)
class Copy:
    """What was done with one file."""

    name: str
    done: Done


def lesson_files() -> list[Path]:
    """Pages and notebooks, in the order in which a folder lists them."""
    return sorted(path for path in LESSON.iterdir() if path.suffix in (".md", ".ipynb"))


def copy_lesson(folder: Path) -> Iterator[Copy]:
    """Copy the files that are missing. A file that is there and differs is a learner's, and is kept.

    Raises InputError if the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in lesson_files():
            yield Copy(source.name, copied(source, folder / source.name))
    except OSError as error:
        raise InputError(
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
    """The page with links to code replaced by file names and lines: a learner's folder has no code."""

    def named(link: re.Match[str]) -> str:
        symbol, path, first, last = link.groups()
        file = normpath(f"src/attnscope/lesson/{path}").removeprefix("src/")
        return f"{symbol} ({file}, lines {first} to {last})"

    return LINK_TO_CODE.sub(named, page)


def open_jupyterlab(folder: Path, options: tuple[str, ...]) -> None:
    """Run JupyterLab in the folder until it is closed, with pages shown as pages, not as their source.

    Raises InputError if JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        raise InputError(
            "JupyterLab is not installed here. Use pip install 'jupyterlab>=4.2', or open "
            f"{folder} with an editor that supports notebooks."
        )
    shown = next((name for name in FIRST if (folder / name).exists()), "")
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{shown}", *options]
    paths = [str(JUPYTERLAB_SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    settings = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}
    try:
        sys.exit(subprocess.run(command, cwd=folder, env=settings, check=False).returncode)
    except KeyboardInterrupt:
        sys.exit(130)
