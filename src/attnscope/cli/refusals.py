"""What a wrong call of the command ends with: a message and code 2, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from attnscope.errors import AttentionError


class InputError(click.ClickException):
    """What the caller gave cannot be used: exit code 2, as for a wrong option."""

    exit_code = 2


@contextmanager
def explained() -> Iterator[None]:
    """What attnscope says about its input becomes a message and a code, not a traceback."""
    try:
        yield
    except AttentionError as error:
        raise InputError(str(error)) from error
    except MemoryError as error:
        raise InputError(f"this does not fit into memory: {error}. Use smaller sizes.") from error
