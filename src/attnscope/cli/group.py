"""The command `attnscope`: its help, its version, and its subcommands, one file each.

Subcommands import large modules when they run, so that --help and completion are fast.
"""

import sys

import click

from attnscope.cli.attribute import attribute
from attnscope.cli.audit import audit
from attnscope.cli.bench import bench
from attnscope.cli.check import check
from attnscope.cli.doctor import doctor
from attnscope.cli.inspect import inspect
from attnscope.cli.learn import learn
from attnscope.cli.refusals import explained
from attnscope.cli.size import size
from attnscope.cli.tour import tour

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print the version and end, before any subcommand runs."""
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
      attnscope inspect              what the heads of a model read
      attnscope attribute            which part of a prompt the answer depends on
      attnscope bench --causal       how fast attention runs here
      attnscope bench --decode       how fast decoding from the cache runs
      attnscope audit m.py:attend    find bugs in an attention function
      attnscope size config.json     the size of a model's KV cache
      attnscope learn                the lesson, on one local page
      attnscope check lesson.ipynb   check the exercises of a notebook
      attnscope doctor               is this installation sound
    """  # noqa: D301 - click needs \b before lines that it must not wrap
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without "█" shows "?" instead of an error


for verb in (tour, inspect, attribute, audit, bench, size, learn, check, doctor):
    main.add_command(verb)
