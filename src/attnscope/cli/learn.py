"""The verb `attnscope learn`: copy the lesson to a folder, and open it as a local page or in JupyterLab."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
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
PAGE_SOURCES = {".md", ".ipynb", ".py", ".js", ".css", ".json", ".svg"}
Done = Literal["copied", "there already", "kept as it is"]


@click.command(short_help="Read, run and check the lesson on one local page.")
@click.argument("folder", metavar="[DIR]", default="attnscope-lesson", type=click.Path(path_type=Path))
@click.argument("options", metavar="[-- JUPYTERLAB'S OPTIONS]", nargs=-1)
@click.option("--open/--no-open", "opened", default=True, help="Open the lesson, or copy its files only.")
@click.option("--lab", is_flag=True, help="Open JupyterLab instead of the local page.")
@click.option("--browser/--no-browser", default=True, help="Open a browser, or print the address only.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Port. Default: a free one from 8888 on."
)
def learn(
    folder: Path, options: tuple[str, ...], opened: bool, lab: bool, browser: bool, port: int | None
) -> None:
    """Copy the lesson to DIR (default: attnscope-lesson), and open it as one local page.

    The page has the text, its figures, cells that run on this machine, and the exercises with their verdicts.
    Your answers are saved in DIR/exercises.ipynb. A file that is already there and differs is yours, and is
    kept: run the command again to continue. The pages are built once, and served on 127.0.0.1 with a token.

    \b
    Examples:
      attnscope learn
      attnscope learn ~/attention --no-browser --port 8889
      attnscope learn ~/attention --lab -- --port 8889
      attnscope learn --no-open && attnscope check attnscope-lesson/exercises.ipynb
    """  # noqa: D301 - click reads \b as: keep these lines
    if options and not lab:
        raise click.UsageError("options after -- are JupyterLab's: add --lab, or leave them out.")
    with explained():
        for copy in copy_lesson(folder):
            click.echo(f"{copy.done:<15} {folder / copy.name}")
        if opened and lab:
            of_ours = [*([f"--port={port}"] if port else []), *([] if browser else ["--no-browser"])]
            open_jupyterlab(folder, (*of_ours, *options))
        elif opened:
            open_page(folder, port, browser)


@dataclass(frozen=True)
class Copy:
    """What was done with one file."""

    name: str
    done: Done


def lesson_files() -> list[Path]:
    """Pages, notebooks and drawings, in the order in which a folder lists them."""
    drawings = (LESSON / "figures").glob("*.svg")
    return sorted([*(path for path in LESSON.iterdir() if path.suffix in (".md", ".ipynb")), *drawings])


def copy_lesson(folder: Path) -> Iterator[Copy]:
    """Copy the files that are missing. A file that is there and differs is a learner's, and is kept.

    Raises InputError if the folder cannot be written to.
    """
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for source in lesson_files():
            name = source.relative_to(LESSON)
            yield Copy(str(name), copied(source, folder / name))
    except OSError as error:
        raise InputError(
            f"{folder} cannot hold the lesson: {error.strerror or error}. Name another folder."
        ) from error


def copied(source: Path, target: Path) -> Done:
    """Copy one file, unless something is there. A copy that fails leaves nothing."""
    content = for_a_learner(source.read_text(encoding="utf-8")).encode()
    if os.path.lexists(target):
        same = target.is_file() and target.read_bytes() == content
        return "there already" if same else "kept as it is"
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(content)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return "copied"


def for_a_learner(page: str) -> str:
    """The page with links to code replaced by file names and lines: a learner's folder has no code."""

    def named(link: re.Match[str]) -> str:
        symbol, path, first, last = link.groups()
        file = normpath(f"src/attnscope/lesson/{path}").removeprefix("src/")
        return f"{symbol} ({file}, lines {first} to {last})"

    return LINK_TO_CODE.sub(named, page)


def open_page(folder: Path, port: int | None, browser: bool) -> None:
    """Build the pages if they are not there yet, and serve them until Ctrl-C.

    Raises InputError if what builds or serves them is not installed.
    """
    missing = [
        name for name in ("sphinx", "myst_nb", "jupyter_server", "ipykernel") if find_spec(name) is None
    ]
    if missing:
        raise InputError(
            f"{', '.join(missing)} is not installed here, and the local page needs it. Install it with "
            f"pip install 'attnscope[lesson]', or open {folder} with any program for notebooks."
        )
    from attnscope.site.live import serve

    site = built_site()
    serve(site, folder, first="index.html", port=port, browser=browser)


def built_site() -> Path:
    """The folder of the built pages: that of this version of the lesson, in the user's cache.

    Raises InputError if they cannot be built.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attnscope"
    site = cache / f"site-{digest_of_the_lesson()}"
    if (site / "index.html").exists():
        return site
    click.echo("Building the pages; the first time takes about half a minute.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
        made = Path(scratch) / "html"
        done = subprocess.run([sys.executable, "-m", "attnscope.site.build", str(made)], check=False)
        if done.returncode != 0:
            raise InputError(
                "the pages could not be built, for the reasons above. Use attnscope learn --lab."
            )
        shutil.rmtree(site, ignore_errors=True)  # one without its index was left by an interrupted copy
        made.rename(site)
    return site


def digest_of_the_lesson() -> str:
    """A digest of every file that the pages are made of: the lesson's, and the library's docstrings."""
    digest = hashlib.sha256()
    sources = (path for path in LESSON.parent.rglob("*") if path.suffix in PAGE_SOURCES)
    for path in sorted(sources):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
