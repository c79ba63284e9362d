"""The command `attnscope attribute`: on which parts of a prompt an answer depends."""

from pathlib import Path
from typing import Any

import click

from attnscope.cli.inspect import NEW_FILE, PATH, check_outputs, hand_out
from attnscope.cli.refusals import explained
from attnscope.cli.terminal import bar, terminal

# Those of attnscope.inspection.attribution.request, which the help does not load; a test compares them.
METHODS = ("knockout", "removal", "attention", "gradient", "sampled")
ABLATIONS = ("knockout", "removal")
LEVELS = ("document", "message", "paragraph", "sentence")
NEW_TOKENS = 64


@click.command(short_help="Find the part of a prompt that an answer depends on.")
@click.argument("text", metavar="[TEXT or FILE]", required=False)
@click.option(
    "--model",
    type=PATH,
    metavar="DIR or GGUF",
    help="A causal model, loaded by Transformers from this disk. Code in DIR is never run.",
)
@click.option(
    "--document",
    "documents",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="A source: put before the question, or found in the chat. Repeatable.",
)
@click.option("--question", metavar="TEXT", help="The question after the documents.")
@click.option(
    "--chat",
    type=PATH,
    metavar="FILE.json",
    help='A chat: [{"role": ..., "content": ...}, ...]. An assistant\'s message at its end is the answer.',
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME:START-END",
    help="A source by the characters of TEXT. Repeatable.  [default: its paragraphs]",
)
@click.option(
    "--answer", metavar="TEXT", help="The answer, as it follows the prompt.  [default: generated greedily]"
)
@click.option(
    "--new-tokens",
    type=click.IntRange(min=1),
    default=NEW_TOKENS,
    show_default=True,
    metavar="N",
    help="The most tokens of a generated answer.",
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=METHODS[0],
    show_default=True,
    help="Hide a source from question and answer; cut it out of the text; only report the weights; "
    "multiply them by their gradients; fit a linear model to random subsets.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=16),
    metavar="N",
    help="Of the method sampled: the number of subsets.  [default: 64]",
)
@click.option(
    "--ablation",
    type=click.Choice(ABLATIONS),
    help="Of the method sampled: how a subset is ablated.  [default: knockout]",
)
@click.option(
    "--by",
    type=click.Choice(LEVELS),
    help="The level of the sources.  [default: as given, then the sentences of those that matter]",
)
@click.option(
    "--through-others",
    is_flag=True,
    help="Also run removal, and print what reached the answer through other tokens.",
)
@click.option(
    "--role-report",
    is_flag=True,
    help="Of a chat: also ablate all sources of a role together: system, user, tool, document.",
)
@click.option(
    "--html",
    type=NEW_FILE,
    metavar="OUT",
    help="Write a page to explore, with the text coloured by effect: one file that needs no network.",
)
@click.option(
    "--json",
    "json_out",
    type=NEW_FILE,
    metavar="OUT",
    help='Write the numbers as JSON. With "-", print them instead of the table.',
)
def attribute(html: Path | None, json_out: Path | None, **given: Any) -> None:
    """Find on which parts of a prompt an answer depends.

    Measures by how many nats the log probability of the answer falls without each source: a document, a
    message, a paragraph, a sentence. Prints a table of the sources, with their attention beside it, and the
    same per sentence of the answer.

    Without --model, the hand-written model answers, byte by byte. Without a prompt, it reads an example.
    Models run in float32. Nothing is downloaded. The exit code is 0, or 2 if the input cannot be used.

    \b
    Examples:
      attnscope attribute
      attnscope attribute --document a.txt --document b.txt --question "The A-0 system was"
      attnscope attribute --document a.txt --question "Who?" --model gemma-3-270m.gguf --answer " Ada."
      attnscope attribute --chat chat.json --by sentence --model path/to/model --html why.html
      attnscope attribute prompt.txt --source rules:0-120 --source data:121-480 --model path/to/model
      attnscope attribute --through-others --json - | jq '.sources[] | {name, drop}'
    """  # noqa: D301 - click needs \b before lines that it must not wrap
    from attnscope.inspection import AttributionRequest, print_attribution
    from attnscope.inspection import attribute as run

    check_outputs(html, json_out)
    with explained(), bar("attribute") as progress:
        found = run(AttributionRequest(inspected=html is not None, **given), progress)
    hand_out(found, html, json_out, lambda: print_attribution(found, terminal()))
