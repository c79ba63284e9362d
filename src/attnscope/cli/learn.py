"""The verb `attnscope learn`: the lesson, copied to a folder of one's own and opened in JupyterLab."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from attnscope.cli.refusals import InputError, explained

FIRST = ("overview.md", "exercises.ipynb")  # what JupyterLab shows first, where it is there


@click.command(short_help="Copy the lesson to a folder, and open it in JupyterLab.")
@click.argument("folder", metavar="[DIR]", default="attnscope-lesson", type=click.Path(path_type=Path))
@click.option("--open/--no-open", "opened", default=True, help="Open JupyterLab there, or copy only.")
def learn(folder: Path, opened: bool) -> None:
    """Copy the lesson's pages and notebooks to DIR, or to attnscope-lesson, and open JupyterLab there.

    A file that is there already and differs is yours: it stays as it is. So the command may be given again, to go on.

    \b
    Examples:
      attnscope learn
      attnscope learn ~/attention
      attnscope learn --no-open && attnscope check attnscope-lesson/exercises.ipynb
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope.lesson.copying import copy_lesson

    with explained():
        for copy in copy_lesson(folder):
            click.echo(f"{copy.done:<15} {folder / copy.name}")
    if opened:
        open_jupyterlab(folder)


def open_jupyterlab(folder: Path) -> None:
    """JupyterLab in the folder, until it is closed.

    Errors
        InputError where JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        raise InputError(
            "JupyterLab is not installed here. Use pip install 'attnscope[lesson]', or open "
            f"{folder} with an editor that knows notebooks."
        )
    shown = next((name for name in FIRST if (folder / name).exists()), "")
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{shown}"]
    try:
        sys.exit(subprocess.run(command, cwd=folder, check=False).returncode)
    except KeyboardInterrupt:
        sys.exit(130)
