"""The command `attnscope doctor`: what an examination of this installation found, as a table or as JSON."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from attnscope.cli.terminal import json_option, print_json, terminal

if TYPE_CHECKING:
    from attnscope.doctor import Examination

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "problem": "[red]problem[/]"}


@click.command(short_help="Check this installation: level, threads, libraries, and the bits of a self-test.")
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check this installation, this CPU and this environment.

    The self-test computes small calls at each CPU level and compares their bits with a stored digest. Exit
    code 0: no problem, perhaps warnings; 1: a problem.

    \b
    Examples:
      attnscope doctor
      attnscope doctor --json | jq .digests
    """  # noqa: D301 - click needs \b before lines that it must not wrap
    from attnscope.doctor import examine

    examination = examine()
    if as_json:
        print_json({"is_sound": examination.is_sound, **asdict(examination)})
    else:
        print_examination(examination)
    context.exit(0 if examination.is_sound else 1)


def print_examination(examination: "Examination") -> None:
    """Print a table with one row per finding."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for finding in examination.findings:
        text = "\n".join(filter(None, (finding.found, finding.advice)))
        table.add_row(MARKS[finding.status], finding.subject, escape(text))
    terminal().print(table)
