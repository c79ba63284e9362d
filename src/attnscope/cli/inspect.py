"""The verb `attnscope inspect`: where the heads of a model look on a text."""

import json
from pathlib import Path
from typing import Any

import click

from attnscope.cli.refusals import InputError, explained
from attnscope.cli.terminal import bar, terminal

MEASURES = (
    "normalized_entropy", "entropy", "effective_keys", "max_weight", "first_mass", "mean_distance", "previous_token",
    "first_token", "duplicate_token", "induction",
)  # fmt: skip  # of attnscope.inspection.measures, which is not loaded to print the help; a test compares them
PATH = click.Path(path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
STANDARD_OUTPUT = Path("-")


@click.command(short_help="Show where every head of a model looks on a text.")
@click.argument("text", metavar="[TEXT or FILE]", required=False)
@click.option(
    "--model", type=PATH, metavar="DIR or GGUF", help="A causal model or an encoder that Transformers loads."
)
@click.option(
    "--chat", type=PATH, metavar="FILE.json", help='Messages: [{"role": ..., "content": ...}, ...].'
)
@click.option(
    "--document", "documents", type=PATH, multiple=True, metavar="FILE",
    help="A retrieved document: put before TEXT, or found in the chat. May be repeated.",
)  # fmt: skip
@click.option(
    "--segments",
    multiple=True,
    metavar="NAME:START-END",
    help="A segment by its tokens. May be repeated, or joined by commas.",
)
@click.option("--rest", metavar="NAME", help="What tokens are called that --segments leave out.")
@click.option("--layers", metavar="0-3,7", help="The layers to observe. [default: all]")
@click.option(
    "--new-tokens",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let the model write N tokens first.",
)
@click.option(
    "--measure",
    type=click.Choice(MEASURES),
    default=MEASURES[0],
    metavar="NAME",
    help=f"What the printed grid shows: {', '.join(MEASURES[:-1])} or {MEASURES[-1]}. [default: {MEASURES[0]}]",
)
@click.option(
    "--reads", metavar="NAME", help="The grid shows what the last segment reads from this one, instead."
)
@click.option(
    "--html", type=NEW_FILE, metavar="OUT", help="Write a page to explore: one file that fetches nothing."
)
@click.option(
    "--json",
    "json_out",
    type=NEW_FILE,
    metavar="OUT",
    help='Write the numbers as JSON; "-" prints them instead.',
)
def inspect(text: str | None, html: Path | None, json_out: Path | None, measure: str, **given: Any) -> None:
    """Show where every head of a model looks on a text: given here, in a FILE, or "-" for standard input.

    Prints a grid of layers by heads, the sharpest and the most diffuse heads, what kind of head they are, the tokens that
    draw the weight, and what each segment reads from each: system prompt, documents, question, answer. Without --model the
    hand-written model reads it, byte by byte; without a text it reads an example and answers it. Models are loaded
    from this disk, in float32, and nothing is downloaded.

    Segments are the messages of --chat by their roles, the files of --document, or token ranges by --segments.
    Ends with 0, or with 2 for what cannot be read.

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
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope import inspection

    check_outputs(html, json_out)
    ranges = tuple(each for joined in given.pop("segments") for each in joined.split(","))
    request = inspection.Request(text=text, segments=ranges, **given)
    with explained(), bar("inspect") as progress:
        found = inspection.inspect(request, progress)
    if html is not None:
        from attnscope.inspection.viewer import page

        write(html, page(found), "html")
    if json_out is not None:
        from attnscope.inspection.facts import facts_of_inspection

        facts = json.dumps(facts_of_inspection(found), ensure_ascii=False)
        if json_out == STANDARD_OUTPUT:
            click.echo(facts)
            return
        write(json_out, facts + "\n", "json")
    from attnscope.inspection.terminal import print_report

    print_report(found, terminal(), measure, request.reads)
    if html is not None:
        click.echo(f"\nwritten: {html}, to be opened in a browser")


def check_outputs(*paths: Path | None) -> None:
    """Before minutes are spent on what cannot be written."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}. Make it, or write elsewhere.")


def write(path: Path, content: str, option: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{option}={str(path)!r} cannot be written: {error.strerror}.") from error
