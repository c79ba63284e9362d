"""Output of all commands: the terminal, a progress bar on the error stream, and JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")


def terminal(*, stderr: bool = False) -> "Console":
    """A console on standard output or on the error stream."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


@contextmanager
def bar(label: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar that vanishes at the end. Call what it yields with the share done and the next step."""
    from rich.progress import Progress

    console = terminal(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda share, step: progress.update(task, completed=share, description=f"{label}: {step}")


def print_json(facts: object) -> None:
    """Print JSON that people can read, too."""
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
