"""What a check returns: passed or not, why, and the smallest call that shows it."""

import traceback
from dataclasses import dataclass
from pathlib import Path

from attnscope.errors import AttentionError
from attnscope.probing import Counterexample


class LessonError(AttentionError):
    """A check that cannot be made: there is no such exercise, or it has another number of functions."""


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
        f"({Path(frame.filename).name}, line {frame.lineno}). Please report it. Other exercises are not "
        "affected."
    )


def named(number: int | str) -> str:
    """Its name in a sentence: exercise 3, project A."""
    return f"exercise {number}" if isinstance(number, int) else f"project {number}"
