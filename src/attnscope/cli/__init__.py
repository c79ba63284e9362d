"""The command `attnscope`: a verb a file."""

from attnscope.cli.group import main as main
