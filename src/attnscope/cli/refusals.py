"""Errors that end a command with a message and exit code 2, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from attnscope.arguments import printable
from attnscope.errors import AttentionError


class InputError(click.ClickException):
    """The input cannot be used: exit code 2, as for a wrong option. Control characters are escaped."""

    exit_code = 2

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors about the input into a message and an exit code."""
    try:
        yield
    except AttentionError as error:
        raise InputError(str(error)) from error
    except MemoryError as error:
        raise InputError(f"not enough memory: {error}. Use smaller sizes.") from error
