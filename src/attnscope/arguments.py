"""What a caller gave: read as a whole number or a file, or named in the words of an error."""

import os
import reprlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from attnscope.errors import AttentionError, AttentionMaskError

LARGEST_NUMBER = 2**40  # no array has an axis that long
LONGEST_NAME = 300  # characters of foreign text in an error


def brief(given: Any) -> str:
    """Name anything in one short line, also what is huge, or fails to print itself."""
    if issubclass(type(given), np.ndarray):
        return f"an array of {given.dtype} {list(given.shape)}"
    try:
        return " ".join(reprlib.repr(given).split())
    except Exception:  # noqa: BLE001  # a foreign __repr__ may raise anything, and is not what the error is about
        return f"a {kind_of(given)}"


def printable(text: object, *, line_feeds: bool = True) -> str:
    r"""Text for any output: control characters, escape sequences and lone surrogates are written as escapes.

    Marks that change the direction of text are escaped, too, and line feeds if they may not stay.

    >>> print(printable(chr(27) + "[31m"), printable("a" + chr(0x202E) + "b"))
    \x1b[31m a\u202eb
    """
    given = str(text)
    if given.isprintable():
        return given
    kept = "\n" if line_feeds else ""
    return "".join(each if each.isprintable() or each in kept else ascii(each)[1:-1] for each in given)


def one_line(text: object) -> str:
    """Foreign text in an error, such as a path: printable() without line feeds, shortened if it is long."""
    shown = printable(str(text)[: LONGEST_NAME + 1], line_feeds=False)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}..."


def kind_of(given: Any) -> str:
    """The type's name as one would import it: list, torch.Tensor."""
    kind = type(given)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def whole_number(
    given: Any, name: str, *, minimum: int | None = None, error: type[AttentionError] = AttentionMaskError
) -> int:
    """Read an int.

    Errors
        `error` when it is none, below the minimum or beyond every array.
    """
    if type(given) is not int:
        if not issubclass(type(given), int | np.integer) or type(given) is bool:
            raise error(f"{name}={brief(given)}: expected an integer, got {kind_of(given)}.")
        given = int(given)
    if minimum is not None and given < minimum:
        raise error(f"{name}={brief(given)}: expected {minimum} or more.")
    if abs(given) >= LARGEST_NUMBER:
        raise error(f"{name}={brief(given)}: expected less than 2**40, no array is that long.")
    number: int = given
    return number


@contextmanager
def regular_file(path: Path, error: type[AttentionError]) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file for reading, without waiting; yields it and its size.

    Errors
        `error` if it cannot be opened, or is a FIFO, a device or a folder.
    """
    name = one_line(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as reason:
        raise error(f"{name} cannot be read: {one_line(reason)}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise error(f"{name} is not a regular file. Give the path of a file on a disk.")
    with os.fdopen(descriptor, "rb") as file:
        yield file, status.st_size


def content_of(path: Path, most_bytes: int, error: type[AttentionError]) -> bytes:
    """The bytes of a file. Errors: as regular_file(), and if it has more bytes than that."""
    with regular_file(path, error) as (file, _):
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        name = one_line(path)
        raise error(f"{name} has more than {most_bytes:,} bytes, which is the most that is read.")
    return content
