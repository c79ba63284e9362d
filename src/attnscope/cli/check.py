"""The verb `attnscope check`: a learner's notebook, graded; or a folder of them."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnscope.cli.options import json_option
from attnscope.cli.refusals import explained
from attnscope.cli.terminal import bar, print_json, terminal

if TYPE_CHECKING:
    from attnscope.lesson.grading import Graded
    from attnscope.lesson.process import Limits


def memory(_context: click.Context, _option: click.Parameter, given: str) -> int:
    """Bytes, written as for --memory of `attnscope size`."""
    from attnscope.errors import AttentionError
    from attnscope.sizing import read_bytes

    try:
        return read_bytes(given, "memory")
    except AttentionError as error:
        raise click.BadParameter(str(error)) from error


@click.command(short_help="Grade a learner's exercises.ipynb, or a folder of them.")
@click.argument("path", metavar="FILE.ipynb|DIR", type=click.Path(exists=True, path_type=Path))
@json_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    metavar="N",
    default=60,
    show_default=True,
    help="For a notebook.",
)
@click.option(
    "--memory", callback=memory, metavar="BYTES", default="2GiB", show_default=True, help="For a notebook."
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", default=2, show_default=True, help="Notebooks at once."
)
def check(path: Path, as_json: bool, seconds: float, memory: int, jobs: int) -> None:
    """Grade the ten exercises of a learner's notebook, or of all notebooks in a folder.

    The notebook runs in a process of its own; its functions are found by their names, wherever they stand, and judged
    from outside: what it prints, or makes of check(), is no verdict. Ends with 0 where all ten passed, 1 where some did
    not, 2 where there is no notebook. The limits guard against mistakes; they are no sandbox: run only what you would open.

    \b
    Examples:
      attnscope check attnscope-lesson/exercises.ipynb
      attnscope check exercises.ipynb --json | jq '.grades[] | select(.passed | not) | .message'
      attnscope check handed-in/ --jobs 4
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope.lesson.process import Limits

    limits = Limits(seconds, seconds / 4, memory_bytes=memory)
    with explained():
        complete = of_folder(path, limits, jobs, as_json) if path.is_dir() else of_file(path, limits, as_json)
    sys.exit(0 if complete else 1)


def of_file(path: Path, limits: "Limits", as_json: bool) -> bool:
    """Ten lines and a total; whether all passed."""
    from attnscope.lesson.grading import grade

    with bar("check") as progress:
        graded = grade(path, limits, shares(10, progress))
    if as_json:
        print_json(facts(graded))
    else:
        print_grades(graded)
    return graded.complete


def shares(count: int, progress: Callable[[float, str], None]) -> Callable[[str], None]:
    """What moves a bar by one of `count` steps each time."""
    steps = iter(range(count))
    return lambda step: progress(next(steps, count) / count, step)


def facts(graded: "Graded") -> dict[str, Any]:
    """All that is known of a notebook."""
    from attnscope.lesson.verdict import printable

    found = {**asdict(graded), "passed": graded.passed, "complete": graded.complete}
    return {**found, "file": printable(graded.file), "trouble": graded.trouble and printable(graded.trouble)}


def print_grades(graded: "Graded") -> None:
    """A line for each exercise, and how many passed."""
    from rich.markup import escape
    from rich.table import Table

    console = terminal()
    if graded.trouble is not None:
        console.print(shown(graded.trouble))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column()
    for grade in graded.grades:
        mark = "[green]passed[/]" if grade.passed else "[red]not yet[/]"
        said = grade.title if grade.passed else escape(grade.message)
        table.add_row(str(grade.number), mark, said)
    console.print(table)
    for note in graded.notes:
        console.print(escape(note), style="yellow")
    console.print(f"{graded.passed} of {len(graded.grades)} exercises passed")


def of_folder(folder: Path, limits: "Limits", jobs: int, as_json: bool) -> bool:
    """A table for a class: a row for each notebook; whether all passed all."""
    from attnscope.lesson.grading import grade_all, notebooks_in

    paths = notebooks_in(folder)
    graded = []
    with bar("check") as progress:
        for done in grade_all(paths, limits, jobs):
            graded.append(done)
            progress(len(graded) / len(paths), Path(done.file).name)
    graded.sort(key=lambda each: each.file)
    if as_json:
        print_json([facts(each) for each in graded])
    else:
        print_class(folder, graded)
    return all(each.complete for each in graded)


def print_class(folder: Path, graded: list["Graded"]) -> None:
    """A column for each exercise, and below the table why a notebook could not be graded."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("notebook", overflow="fold")
    for number in range(1, 11):
        table.add_column(str(number), justify="center")
    table.add_column("passed", justify="right")
    for each in graded:
        name = shown(str(Path(each.file).relative_to(folder)))
        if each.trouble is not None:
            table.add_row(name, *[""] * 10, "not graded")
            continue
        marks = ["[green]+[/]" if grade.passed else "[red]-[/]" for grade in each.grades]
        table.add_row(name, *marks, str(each.passed))
    by_exercise = [sum(each.grades[n].passed for each in graded if each.grades) for n in range(10)]
    table.add_section()
    table.add_row(
        f"{len(graded)} notebooks", *map(str, by_exercise), str(sum(each.passed for each in graded))
    )
    console = terminal()
    console.print(table)
    for each in graded:
        if each.trouble is not None:
            console.print(shown(each.trouble), style="yellow")


def shown(text: str) -> str:
    """Foreign text for the terminal: nothing in it is markup or a control character."""
    from rich.markup import escape

    from attnscope.lesson.verdict import printable

    return escape(printable(text))
