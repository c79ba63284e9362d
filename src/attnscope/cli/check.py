"""The verb `attnscope check`: grade a learner's notebook, or a folder of them."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnscope.arguments import printable
from attnscope.cli.refusals import explained
from attnscope.cli.terminal import bar, json_option, print_json, terminal

if TYPE_CHECKING:
    from rich.table import Table

    from attnscope.lesson import Grade, Graded, Limits


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
    help="Time limit per notebook.",
)
@click.option(
    "--memory",
    callback=memory,
    metavar="BYTES",
    default="2GiB",
    show_default=True,
    help="Memory limit per notebook.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    metavar="N",
    default=2,
    show_default=True,
    help="How many notebooks to grade at once.",
)
def check(path: Path, as_json: bool, seconds: float, memory: int, jobs: int) -> None:
    """Grade a learner's notebook, or all notebooks in a folder: exercises, stretch parts and projects.

    Each notebook runs in its own process. Its functions are found by name, in any cell, and judged from
    outside: what it prints, or replaces check() by, does not count. The exit code is 0 if all ten exercises
    passed, 1 if some did not, and 2 if there is no notebook. With bubblewrap (bwrap), a notebook has no
    network and does not see your files. Without it, only the limits hold: run only what you would open. The
    last line reports which bounds were in force.

    \b
    Examples:
      attnscope check attnscope-lesson/exercises.ipynb
      attnscope check exercises.ipynb --json | jq '.grades[] | select(.passed | not) | .message'
      attnscope check handed-in/ --jobs 4
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope.lesson import Limits

    limits = Limits(seconds, seconds / 4, memory_bytes=memory)
    with explained():
        complete = of_folder(path, limits, jobs, as_json) if path.is_dir() else of_file(path, limits, as_json)
    sys.exit(0 if complete else 1)


def of_file(path: Path, limits: "Limits", as_json: bool) -> bool:
    """Print ten lines and a total; returns whether all exercises passed."""
    from attnscope.lesson import grade

    with bar("check") as progress:
        graded = grade(path, limits, shares(13, progress))
    if as_json:
        print_json(facts(graded))
    else:
        print_grades(graded)
    return graded.complete


def shares(count: int, progress: Callable[[float, str], None]) -> Callable[[str], None]:
    """A callback that moves a progress bar by one of `count` steps each time."""
    steps = iter(range(count))
    return lambda step: progress(next(steps, count) / count, step)


def facts(graded: "Graded") -> dict[str, Any]:
    """A notebook's grades for JSON."""
    found = {
        **asdict(graded), "passed": graded.passed, "stretched": graded.stretched, "complete": graded.complete,
    }  # fmt: skip
    own = {name: found[name] and printable(found[name], line_feeds=False) for name in ("file", "trouble")}
    return {**found, **own}


def print_grades(graded: "Graded") -> None:
    """Print a line per exercise, and how many passed."""
    console = terminal()
    if graded.trouble is not None:
        console.print(shown(graded.trouble))
        return
    table = empty_table()
    for grade in graded.grades:
        mark = "[green]passed[/]" if grade.passed else "[red]not yet[/]"
        table.add_row(str(grade.number), mark, shown(grade.title if grade.passed else grade.message))
        if grade.stretch is not None:
            passed = grade.stretch == "passed"
            table.add_row("", "[green]stretch[/]" if passed else "[red]stretch[/]", shown(grade.stretch))
    console.print(table)
    for note in graded.notes:
        console.print(shown(note), style="yellow")
    kind = "exercises" if any(isinstance(grade.number, int) for grade in graded.grades) else "projects"
    stretched = f", {graded.stretched} stretch parts" if graded.stretched else ""
    console.print(f"{graded.passed} of {len(graded.grades)} {kind} passed{stretched}")
    print_bounds(graded)


def print_bounds(graded: "Graded") -> None:
    """Print which bounds were in force, and why others were not."""
    console = terminal()
    console.print(f"Bounds in force: {', '.join(graded.bounds)}.", style="dim")
    if graded.unconfined is not None:
        why = f"It could use the network and your files: {graded.unconfined}."
        console.print(shown(why), style="yellow")


def empty_table() -> "Table":
    """A table of three columns without a header."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column()
    return table


def of_folder(folder: Path, limits: "Limits", jobs: int, as_json: bool) -> bool:
    """Print a table for a class; returns whether all exercises of all notebooks passed."""
    from attnscope.lesson import grade_all, notebooks_in

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
    """Print a row per notebook and a column per exercise; below it, why a notebook could not be graded."""
    console = terminal()
    console.print(class_table(folder, graded))
    for each in graded:
        if each.trouble is not None:
            console.print(shown(each.trouble), style="yellow")
    for each in [each for each in graded if each.bounds][:1]:  # they are the same for all
        print_bounds(each)


def class_table(folder: Path, graded: list["Graded"]) -> "Table":
    """The rows and the totals of a class."""
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
        by_number = {grade.number: grade for grade in each.grades}
        table.add_row(name, *(mark_of(by_number.get(number)) for number in range(1, 11)), str(each.passed))
    by_exercise = [
        sum(grade.passed for each in graded for grade in each.grades if grade.number == number)
        for number in range(1, 11)
    ]
    table.add_section()
    total = str(sum(each.passed for each in graded))
    table.add_row(f"{len(graded)} notebooks", *map(str, by_exercise), total)
    return table


def mark_of(grade: "Grade | None") -> str:
    """A plus for a pass, a star for a pass with its stretch part, a minus, or nothing."""
    if grade is None:
        return ""
    return "[red]-[/]" if not grade.passed else "[green]*[/]" if grade.stretch == "passed" else "[green]+[/]"


def shown(text: str) -> str:
    """Foreign text for the terminal: nothing in it is markup or a control character."""
    from rich.markup import escape

    return escape(printable(text, line_feeds=False))
