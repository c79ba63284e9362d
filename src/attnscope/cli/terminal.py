"""What every verb writes to: the terminal, a bar on its error stream, or JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


def terminal(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


@contextmanager
def bar(label: str) -> Iterator[Callable[[float, str], None]]:
    """A bar on the terminal's error stream, gone when it is done; yields what moves it: share, next step."""
    from rich.progress import Progress

    console = terminal(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda share, step: progress.update(task, completed=share, description=f"{label}: {step}")


def print_json(facts: object) -> None:
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
