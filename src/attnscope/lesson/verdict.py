"""What a check returns: passed or not, why, and the smallest call that shows it."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attnscope.errors import AttentionError

MOST_PRINTED = 36  # entries of an array; a longer one is shown as its shape


class LessonError(AttentionError):
    """A check that cannot be made: there is no such exercise, or it has another number of functions."""


@dataclass(frozen=True, eq=False)
class Counterexample:
    """The smallest call that was found to go wrong. Prints as its arguments, its results, and the expected ones.

    Parameters
    ----------
    call : str
        As one would write it: "softmax(scores)".
    arguments : mapping of str to object
        The arguments by name.
    came : mapping of str to object
        The results by name; empty if there were none.
    expected : mapping of str to object
        The right results by name; empty if more than one result is right.
    """

    call: str
    arguments: Mapping[str, Any]
    came: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{name} = {written(value, len(name) + 3)}" for name, value in self.arguments.items()]
        lines.append(f"{self.call}")
        for verb, results in (("gives", self.came), ("expected", self.expected)):
            for name, value in results.items():
                start = f"  {verb} {name} = "
                lines.append(start + written(value, len(start)))
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a check found. It is true if the check passed, and prints as its message and its counterexample.

    Parameters
    ----------
    passed : bool
        Whether all questions were answered correctly.
    message : str
        What is wrong, in one or two sentences. It never contains the solution.
    counterexample : Counterexample, optional
        The smallest call that shows it. None if no call is needed to see it.

    Examples
    --------
    >>> print(Verdict(False, "softmax: the rows do not sum to 1."))
    not yet: softmax: the rows do not sum to 1.
    """

    passed: bool
    message: str
    counterexample: Counterexample | None = None

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        line = f"{'passed' if self.passed else 'not yet'}: {self.message}"
        if self.counterexample is None:
            return line
        example = "\n".join(f"    {each}" for each in str(self.counterexample).splitlines())
        return f"{line}\n\n{example}"

    __repr__ = __str__  # a notebook shows the last expression of a cell by it


def internal_error(error: Exception) -> str:
    """The name and place of an error of attnscope itself, for the report of a class."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:160]
    return (
        f"internal error of attnscope, {type(error).__name__}{f': {text}' if text else ''}, in {frame.name} "
        f"({Path(frame.filename).name}, line {frame.lineno}). Please report it. Other exercises are not affected."
    )


def printable(text: str) -> str:
    r"""Foreign text, with every character escaped that a terminal would obey or that no encoding holds.

    >>> printable("\x1b[2J \ud800")
    '\\x1b[2J \\ud800'
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def written(value: Any, indent: int = 0) -> str:
    """An array as one would type it, or its shape if it is long.

    >>> written(np.array([[1.0, -np.inf]]))
    '[[1, -inf]]'
    """
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > MOST_PRINTED:
        return f"<{value.dtype} array of shape {value.shape}>"
    if value.ndim == 0:
        return spelled(value[()])
    rows = np.array2string(
        value, separator=", ", prefix=" " * indent, formatter={"all": spelled}, max_line_width=100
    )
    return str(rows)


def spelled(entry: Any) -> str:
    """A number with as many digits as a reader compares.

    >>> spelled(0.1 + 0.2), spelled(np.True_), spelled(12345678)
    ('0.3', 'True', '12345678')
    """
    if isinstance(entry, bool | np.bool_):
        return str(bool(entry))
    if isinstance(entry, int | np.integer):
        return str(int(entry))
    return f"{float(entry) + 0.0:.6g}"  # -0 becomes 0
