"""The verb `attnscope tour`: what attention does, on a real text."""

from dataclasses import asdict
from pathlib import Path

import click

from attnscope.cli.options import json_option
from attnscope.cli.refusals import explained
from attnscope.cli.terminal import print_json, terminal

TEXT_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command(short_help="Show what attention does on a real text.")
@click.argument("file", required=False, type=TEXT_FILE)
@json_option
def tour(file: Path | None, as_json: bool) -> None:
    """Show what attention does on a real text: FILE, "-" for standard input, or the README.

    A transformer with hand-written weights reads the text and writes on; one sees where its heads look, what
    ablating one of them costs, how a leaking mask shows, and what the kernel saves. Takes some seconds; every
    number is computed there and then. Texts longer than 8,192 bytes are cut.

    \b
    Examples:
      attnscope tour
      attnscope tour src/attnscope/cli/tour.py
      git log | attnscope tour -
      attnscope tour --json | jq .leak
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope import tour as rooms

    with explained(), rooms.progress(terminal(stderr=True)) as step:
        facts = rooms.tour(rooms.read_text(file, most_bytes=rooms.most_bytes()), step)
    if as_json:
        print_json(asdict(facts))
    else:
        rooms.print_page(facts, terminal())
