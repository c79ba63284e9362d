"""Failures whose cause is not known, in sentences."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.comparing import wrong_entries
from attnscope.lesson.question import Arrays, Expected, Question
from attnscope.lesson.verdict import spelled


def amiss(came: Arrays, expected: tuple[Expected, ...], names: tuple[str, ...]) -> str:
    """The first entry that is wrong, or what kind of number it is."""
    for array, right, name in zip(came, expected, names, strict=True):
        wrong = wrong_entries(array, right)
        if not wrong.any():
            continue
        if array.dtype.kind == "f" and np.isnan(array[wrong]).any():
            return f"{name} holds NaN, as 0 / 0 and inf - inf give."
        return f"{entry(array, right, wrong, name)}{share(wrong)}"
    return "the result is not what was asked for."


def entry(array: NDArray[Any], right: Expected, wrong: NDArray[np.bool_], name: str) -> str:
    """One entry, came and expected."""
    first = tuple(int(index) for index in np.argwhere(wrong)[0])
    place = f"{name}[{', '.join(map(str, first))}]" if first else name
    return f"{place} is {spelled(array[first])}, expected {spelled(right.value[first])}"


def share(wrong: NDArray[np.bool_]) -> str:
    """How many entries are wrong."""
    return "." if wrong.size == 1 else f"; {wrong.sum()} of {wrong.size} entries are wrong."


def elsewhere(question: Question, wrong: int, put: int) -> str:
    """What kind of question fails, where most others do not."""
    if 2 * wrong > put:
        return ""
    return f" It fails for {question.draw.name}; {put - wrong} of {put} questions are right."


def where(question: Question) -> str:
    """The sizes of a question: "tokens=1024, block=32"."""
    return ", ".join(f"{name}={size}" for name, size in question.sizes.items())
