"""What a caller gave: read as a whole number, or named in the words of an error."""

import reprlib
from typing import Any

import numpy as np

from attnscope.errors import AttentionError, AttentionMaskError

LARGEST_NUMBER = 2**40  # no array has an axis that long


def brief(given: Any) -> str:
    """Name anything in one short line, also what is huge, or fails to print itself."""
    if issubclass(type(given), np.ndarray):
        return f"an array of {given.dtype} {list(given.shape)}"
    try:
        return " ".join(reprlib.repr(given).split())
    except Exception:  # noqa: BLE001  # a foreign __repr__ may raise anything, and is not what the error is about
        return f"a {kind_of(given)}"


def printable(text: object) -> str:
    r"""Text for any output: control characters, escape sequences and lone surrogates are written as escapes.

    Line feeds stay. Marks that change the direction of text are escaped, too.

    >>> print(printable(chr(27) + "[31m"), printable("a" + chr(0x202E) + "b"))
    \x1b[31m a\u202eb
    """
    given = str(text)
    if given.isprintable():
        return given
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in given)


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
