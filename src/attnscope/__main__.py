"""python -m attnscope: the command line, where no script is installed."""

from attnscope.cli import main

main(prog_name="attnscope")
