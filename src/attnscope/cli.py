"""The command line: one verb for each thing that attnscope is for.

What is heavy is imported inside the verbs, so that --help and completion answer at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnscope.errors import AttentionError
from attnscope.sizing_command import size

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.console import Console

FORMATS = ("float32", "bfloat16", "float16", "float64")
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
TEXT_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
POSITIVE = click.IntRange(min=1)


class InputError(click.ClickException):
    """What the caller gave cannot be used: exit code 2, as for a wrong option."""

    exit_code = 2


@contextmanager
def explained() -> Iterator[None]:
    """What attnscope says about its input becomes a message and a code, not a traceback."""
    try:
        yield
    except AttentionError as error:
        raise InputError(str(error)) from error
    except MemoryError as error:
        raise InputError(f"this does not fit into memory: {error}. Use smaller sizes.") from error


def print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from attnscope.machine import this_machine

    with explained():
        click.echo(str(this_machine()))
    context.exit()


@click.group(context_settings=HELP)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print version, CPU level and threads.",
)
def main() -> None:
    """Softmax attention to compute, see, check, size and learn.

    \b
    Examples:
      attnscope tour                 what attention does, on the README
      attnscope tour notes.txt       the same, on your own text
      attnscope bench --causal       how fast it runs here
      attnscope size config.json     what a model's cache takes
    """  # noqa: D301 - click reads \b as: keep these lines
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "█" shows "?", and the tour goes on


main.add_command(size)


@main.command(short_help="Show what attention does on a real text.")
@click.argument("file", required=False, type=TEXT_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
def tour(file: Path | None, as_json: bool) -> None:
    """Show what attention does on a real text: FILE, "-" for standard input, or the README.

    A transformer with hand-written weights reads the text and writes on; one sees where its heads look, what
    ablating one of them costs, how a leaking mask shows, and what the kernel saves. Takes some seconds; every
    number is computed there and then. Texts longer than 8,192 bytes are cut.

    \b
    Examples:
      attnscope tour
      attnscope tour src/attnscope/cli.py
      git log | attnscope tour -
      attnscope tour --json | jq .leak
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope import tour as rooms

    with explained(), rooms.progress(terminal(stderr=True)) as step:
        facts = rooms.tour(rooms.read_text(file, most_bytes=rooms.most_bytes()), step)
    if as_json:
        print_json(facts)
    else:
        rooms.print_page(facts, terminal())


@main.command(short_help="Time attention() on any shape, beside this machine's limits.")
@click.option("--batch", type=POSITIVE, metavar="N", default=1, show_default=True)
@click.option("--query-heads", type=POSITIVE, metavar="N", default=8, show_default=True)
@click.option("--kv-heads", type=POSITIVE, metavar="N", help="As many as query heads unless given.")
@click.option("--query-len", type=POSITIVE, metavar="N", default=2048, show_default=True, help="1: decoding.")
@click.option("--key-len", type=POSITIVE, metavar="N", help="As long as the queries unless given.")
@click.option("--key-dim", type=POSITIVE, metavar="N", default=128, show_default=True)
@click.option("--value-dim", type=POSITIVE, metavar="N", help="As the keys' unless given.")
@click.option("--dtype", "number_format", type=click.Choice(FORMATS), default="float32", show_default=True)
@click.option("--causal", is_flag=True, help="The last query meets the last key.")
@click.option("--window", type=POSITIVE, metavar="N", help="Causal, over the last N keys, its own included.")
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="All CPUs unless given.")
@click.option(
    "--repeat", type=POSITIVE, metavar="N", default=9, show_default=True, help="Calls to take the median of."
)
@click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
def bench(as_json: bool, **sizes: int | str | bool | None) -> None:
    """Time attention() on random arrays of any shape, beside this machine's own limits.

    Floating-point operations are counted over the visible (query, key) pairs only; the shares are of a loop
    of multiply-adds on registers, and of a streaming read, both measured in the same run.

    \b
    Examples:
      attnscope bench --causal
      attnscope bench --query-heads 32 --kv-heads 8 --query-len 1 --key-len 32768
      attnscope bench --query-len 16384 --window 512 --dtype bfloat16 --json
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope.bench import case_of, measure, print_measurement

    with explained():
        measurement = measure(case_of(sizes))
    if as_json:
        print_json(measurement)
    else:
        print_measurement(measurement, terminal())


def terminal(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


def print_json(facts: "DataclassInstance") -> None:
    import json
    from dataclasses import asdict

    click.echo(json.dumps(asdict(facts), indent=2, ensure_ascii=False))
