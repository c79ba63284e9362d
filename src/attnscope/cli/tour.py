"""The command `attnscope tour`: what attention does on a real text."""

from dataclasses import asdict
from pathlib import Path

import click

from attnscope.cli.refusals import explained
from attnscope.cli.terminal import bar, json_option, print_json, terminal

TEXT_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command(short_help="Show what attention does on a real text.")
@click.argument("file", required=False, type=TEXT_FILE)
@json_option
def tour(file: Path | None, as_json: bool) -> None:
    """Show what attention does on FILE, on standard input ("-"), or on the README.

    A transformer with hand-written weights reads the text and continues it. The tour shows what its heads
    read, what is lost without one of them, how a mask that leaks is detected, and what the kernel saves. It
    takes some seconds, and every number is computed when it runs. Of longer texts, the first 8,192 bytes are
    read.

    \b
    Examples:
      attnscope tour
      attnscope tour src/attnscope/cli/tour.py
      git log | attnscope tour -
      attnscope tour --json | jq .leak
    """  # noqa: D301 - click needs \b before lines that it must not wrap
    from attnscope.tour import most_bytes, print_page, read_text
    from attnscope.tour import tour as run

    with explained(), bar("tour") as progress:
        facts = run(read_text(file, most_bytes=most_bytes()), progress)
    if as_json:
        print_json(asdict(facts))
    else:
        print_page(facts, terminal())
