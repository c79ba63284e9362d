"""The command `attnscope` itself: its help, its version, and its verbs, a file each.

What is heavy is imported inside the verbs, so that --help and completion answer at once.
"""

import sys

import click

from attnscope.cli.audit import audit
from attnscope.cli.bench import bench
from attnscope.cli.check import check
from attnscope.cli.learn import learn
from attnscope.cli.refusals import explained
from attnscope.cli.size import size
from attnscope.cli.tour import tour

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


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
      attnscope bench --decode       how fast the cache decodes
      attnscope audit m.py:attend    what is wrong with a function of yours
      attnscope size config.json     what a model's cache takes
      attnscope learn                the lesson, in JupyterLab
      attnscope check lesson.ipynb   which exercises are right
    """  # noqa: D301 - click reads \b as: keep these lines
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "█" shows "?", and the tour goes on


for verb in (tour, audit, bench, size, learn, check):
    main.add_command(verb)
