"""The command `attnscope inspect`: what every head of a model reads on a text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnscope.cli.refusals import InputError, explained
from attnscope.cli.terminal import bar, terminal

if TYPE_CHECKING:
    from attnscope.inspection import Attribution, Inspection

# The keys of attnscope.inspection.measures, which the help does not load; a test compares them.
MEASURES = (
    "normalized_entropy",
    "entropy",
    "effective_keys",
    "max_weight",
    "first_mass",
    "mean_distance",
    "sink_mass",
    "previous_token",
    "first_token",
    "duplicate_token",
    "induction",
)
PATH = click.Path(path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
STANDARD_OUTPUT = Path("-")


@click.command(short_help="Show what every head of a model reads on a text.")
@click.argument("text", metavar="[TEXT or FILE]", required=False)
@click.option(
    "--model",
    type=PATH,
    metavar="DIR or GGUF",
    help="A causal model or an encoder, loaded by Transformers from this disk. Code in DIR is never run.",
)
@click.option(
    "--chat",
    type=PATH,
    metavar="FILE.json",
    help='A chat: [{"role": ..., "content": ...}, ...].',
)
@click.option(
    "--document",
    "documents",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="A retrieved document: put before TEXT, or found in the chat. Repeatable.",
)
@click.option(
    "--segments",
    multiple=True,
    metavar="NAME:START-END",
    help="A segment by its tokens. Repeatable, or several joined by commas.",
)
@click.option("--rest", metavar="NAME", help="The segment of the tokens that --segments leave out.")
@click.option("--layers", metavar="0-3,7", help="The layers to observe.  [default: all]")
@click.option(
    "--new-tokens",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Generate N tokens first, and inspect them too.",
)
@click.option(
    "--measure",
    type=click.Choice(MEASURES),
    default=MEASURES[0],
    metavar="NAME",
    help=f"The measure in the printed grid: {', '.join(MEASURES[:-1])} or {MEASURES[-1]}.  "
    f"[default: {MEASURES[0]}]",
)
@click.option(
    "--reads",
    metavar="NAME",
    help="Print in the grid the weight that the last segment gives to this one, instead.",
)
@click.option(
    "--html",
    type=NEW_FILE,
    metavar="OUT",
    help="Write a page to explore: one file that needs no network.",
)
@click.option(
    "--json",
    "json_out",
    type=NEW_FILE,
    metavar="OUT",
    help='Write the numbers as JSON. With "-", print them instead of the report.',
)
def inspect(text: str | None, html: Path | None, json_out: Path | None, measure: str, **given: Any) -> None:
    """Show what every head of a model reads on TEXT, on the text in FILE, or on standard input ("-").

    Prints a grid of layers by heads, the most peaked and most uniform heads, the kinds of heads, the tokens
    that receive the most weight, and the weight that each segment gives to each: system prompt, documents,
    question, answer.

    Without --model, the hand-written model reads the text byte by byte. Without a text, it reads an example
    and answers it. Models run in float32. Nothing is downloaded.

    Segments are the messages of --chat by their roles, the files of --document, or token ranges by
    --segments. The exit code is 0, or 2 if the input cannot be used.

    \b
    Examples:
      attnscope inspect
      attnscope inspect --html inspect.html
      attnscope inspect --reads hopper.txt
      attnscope inspect "the cat sat. the cat sat. the" --measure induction
      attnscope inspect notes.txt --segments notes:0-400 --rest question
      attnscope inspect "Who wrote Note G?" --document lovelace.txt --document hopper.txt --new-tokens 20
      attnscope inspect --chat chat.json --model path/to/model --layers 0-5 --html chat.html
      attnscope inspect README.md --model gemma-3-270m.gguf --json - | jq '.layers[0].heads[0]'
    """  # noqa: D301 - click needs \b before lines that it must not wrap
    from attnscope.inspection import Request, print_report
    from attnscope.inspection import inspect as run

    check_outputs(html, json_out)
    ranges = tuple(each for joined in given.pop("segments") for each in joined.split(","))
    with explained(), bar("inspect") as progress:
        request = Request(text=text, segments=ranges, **given)
        found = run(request, progress)
    hand_out(found, html, json_out, lambda: print_report(found, terminal(), measure, request.reads))


def check_outputs(*paths: Path | None) -> None:
    """Check before the inspection, which can take minutes, that its results can be written."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise InputError(
                f"{path}: the folder {path.parent} does not exist. Create it, or choose another path."
            )


def write(path: Path, content: str, option: str) -> None:
    """Write a file, or report why it cannot be written."""
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{option}={str(path)!r} cannot be written: {error.strerror}.") from error


def hand_out(
    found: "Inspection | Attribution", html: Path | None, json_out: Path | None, report: Callable[[], None]
) -> None:
    """Write the page and the numbers that were asked for; print the report, or the numbers in its place."""
    from attnscope.inspection import page

    if html is not None:
        write(html, page(found), "html")
    if json_out is not None:
        facts = json.dumps(found.as_json(), ensure_ascii=False)
        if json_out == STANDARD_OUTPUT:
            click.echo(facts)
            return
        write(json_out, facts + "\n", "json")
    report()
    if html is not None:
        click.echo(f"\nThe page is in {html}. Open it in a browser.")
