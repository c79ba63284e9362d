"""The verb `attnscope learn`: the lesson, copied to a folder of one's own and opened in JupyterLab."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from attnscope.cli.refusals import InputError, explained

FIRST = ("overview.md", "exercises.ipynb")  # what JupyterLab shows first, where it is there


@click.command(short_help="Copy the lesson to a folder, and open it in JupyterLab.")
@click.argument("folder", metavar="[DIR]", default="attnscope-lesson", type=click.Path(path_type=Path))
@click.argument("options", metavar="[-- JUPYTERLAB'S OPTIONS]", nargs=-1)
@click.option("--open/--no-open", "opened", default=True, help="Open JupyterLab there, or copy only.")
def learn(folder: Path, options: tuple[str, ...], opened: bool) -> None:
    """Copy the lesson's pages and notebooks to DIR, or to attnscope-lesson, and open JupyterLab there.

    A file that is there already and differs is yours: it stays as it is. So the command may be given again, to go on.

    \b
    Examples:
      attnscope learn
      attnscope learn ~/attention
      attnscope learn ~/attention -- --no-browser --port 8889
      attnscope learn --no-open && attnscope check attnscope-lesson/exercises.ipynb
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope.lesson.copying import copy_lesson

    with explained():
        for copy in copy_lesson(folder):
            click.echo(f"{copy.done:<15} {folder / copy.name}")
    if opened:
        open_jupyterlab(folder, options)


def open_jupyterlab(folder: Path, options: tuple[str, ...]) -> None:
    """JupyterLab in the folder, until it is closed; pages open as pages, not as their source.

    Errors
        InputError where JupyterLab is not installed.
    """
    from attnscope.lesson.copying import JUPYTERLAB_SETTINGS

    if find_spec("jupyterlab") is None:
        raise InputError(
            "JupyterLab is not installed here. Use pip install 'attnscope[lesson]', or open "
            f"{folder} with an editor that knows notebooks."
        )
    shown = next((name for name in FIRST if (folder / name).exists()), "")
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{shown}", *options]
    paths = [str(JUPYTERLAB_SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    settings = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}
    try:
        sys.exit(subprocess.run(command, cwd=folder, env=settings, check=False).returncode)
    except KeyboardInterrupt:
        sys.exit(130)
