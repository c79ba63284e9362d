"""The right results of an attention, and comparison of an answer with them and with misconceptions.

`exact` asks the reference, and bounds the error of correct float32 code.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.question import Arguments, Arrays, Expected, Misconception, Question
from attnscope.probing import Arithmetic, InputErrors, bound_of, written
from attnscope.reference import masked_scores, mix, quietly, read, softmax

Floats = NDArray[np.float64]
FLOAT32 = Arithmetic("float32")
UNIT = FLOAT32.unit


@dataclass(frozen=True, eq=False)
class Rounded:
    """An array, and how far each of its entries may be from exact."""

    value: Floats
    error: Floats


@dataclass(frozen=True, eq=False)
class Exact:
    """An attention's results with their bounds, in the shapes of its arguments."""

    output: Expected
    weights: Expected
    logsumexp: Expected


def given(array: Any) -> Rounded:
    """An input, which an answer may round to float32 once."""
    value = np.asarray(array, dtype=np.float64)
    return Rounded(value, UNIT * np.abs(value))


@quietly
def exact(query: Any, key: Any, value: Any, visible: Any = None, bias: Any = None) -> Exact:
    """Attention over any leading axes. An argument that is `Rounded` carries its errors into the bounds."""
    rounded = [each if isinstance(each, Rounded) else given(each) for each in (query, key, value)]
    rows = rounded[0].value.shape[:-1]
    of_weights = (*rows, rounded[1].value.shape[-2])
    mask, added = (
        None if each is None else four_axes(np.broadcast_to(each, of_weights)) for each in (visible, bias)
    )
    _, _, inputs = read(*(four_axes(each.value) for each in rounded), mask=mask, bias=added)
    scores = masked_scores(inputs)
    weights, logsumexp = softmax(scores, inputs.visible, None)
    output = mix(weights, inputs.visible, inputs.value)
    carried = InputErrors(*(four_axes(each.error) for each in rounded))
    bound = bound_of(inputs, scores, (weights, output, logsumexp), FLOAT32, carried)
    of_output = (*rows, output.shape[-1])
    return Exact(
        Expected(output.reshape(of_output), bound.output.reshape(of_output)),
        Expected(weights.reshape(of_weights), bound.weights.reshape(of_weights)),
        Expected(logsumexp.reshape(rows), bound.logsumexp.reshape(rows)),
    )


def four_axes(array: NDArray[Any]) -> NDArray[Any]:
    """All leading axes as one batch, one head."""
    return array.reshape(-1, 1, *array.shape[-2:])


# Half of float32's digits tell two versions of a call apart: rounding is far smaller, a misconception larger.
HALF_THE_DIGITS = 2.0**-12


@dataclass(frozen=True)
class WrongShape:
    """Which result has the wrong shape."""

    part: int
    came: tuple[int, ...]
    expected: tuple[int, ...]


def wrong_shape(came: Arrays, expected: tuple[Expected, ...]) -> WrongShape | None:
    """The first result of another shape than expected."""
    for part, (array, right) in enumerate(zip(came, expected, strict=True)):
        if array.shape != right.value.shape:
            return WrongShape(part, array.shape, right.value.shape)
    return None


def is_wrong(came: Arrays, expected: tuple[Expected, ...]) -> bool:
    """Whether any entry of any result is wrong."""
    if wrong_shape(came, expected) is not None:
        return True
    return any(wrong_entries(array, right).any() for array, right in zip(came, expected, strict=True))


def wrong_entries(came: NDArray[Any], right: Expected) -> NDArray[np.bool_]:
    """Entries farther from the right value than the bound. NaN is wrong unless it is expected."""
    if right.value.dtype.kind in "bO":
        return np.asarray(came != right.value, dtype=bool)
    with np.errstate(invalid="ignore"):
        near = np.abs(came - right.value) <= right.bound
    return np.asarray(~(near | (came == right.value) | (np.isnan(came) & np.isnan(right.value))))


def relative_error(came: Arrays, expected: tuple[Expected, ...]) -> float:
    """The largest error, relative to the largest expected number; inf for NaN, inf or a wrong shape."""
    if wrong_shape(came, expected) is not None:
        return np.inf
    return max(error_of_one(array, right.value) for array, right in zip(came, expected, strict=True))


def error_of_one(came: NDArray[Any], right: NDArray[Any]) -> float:
    """The same for one result."""
    if right.dtype.kind in "bO":
        return np.inf if np.any(came != right) else 0.0
    same = (came == right) | (np.isnan(came) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        off = np.where(same, 0.0, np.abs(came - right))
    largest = np.max(np.abs(right[np.isfinite(right)]), initial=0.0)
    worst = float(np.max(off, initial=0.0))
    return worst / float(largest) if largest > 0 and np.isfinite(worst) else (np.inf if worst else 0.0)


def agree(misconception: Misconception, arguments: Arguments, came: Arrays) -> bool:
    """Whether a misconception returns these results. One that cannot handle the call does not."""
    with np.errstate(all="ignore"):
        try:
            raw = misconception.wrong(*(copied(value) for value in arguments.values()))
            wrong = raw if isinstance(raw, tuple) else (raw,)
            arrays = tuple(np.asarray(part) for part in wrong)
        except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError):
            return False
        return len(arrays) == len(came) and all(close(*pair) for pair in zip(came, arrays, strict=True))


def copied(value: Any) -> Any:
    """A copy of an array, since a misconception may write into it."""
    return value.copy() if isinstance(value, np.ndarray) else value


def close(came: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two results are the same, up to half the digits of the largest number."""
    if came.shape != other.shape:
        return False
    if came.dtype.kind in "bO":
        return bool(np.all(came == other))
    came, other = came.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(other)
    if not np.array_equal(np.isfinite(came), finite):
        return False
    same_non_finite = np.array_equal(came[~finite], other[~finite], equal_nan=True)
    largest = np.max(np.abs(other[finite]), initial=0.0)
    return same_non_finite and bool(np.all(np.abs(came[finite] - other[finite]) <= HALF_THE_DIGITS * largest))


def first_difference(came: Arrays, expected: tuple[Expected, ...], names: tuple[str, ...]) -> str:
    """A sentence about the first wrong entry, for a failure whose cause is unknown."""
    for array, right, name in zip(came, expected, names, strict=True):
        wrong = wrong_entries(array, right)
        if not wrong.any():
            continue
        if array.dtype.kind == "f" and np.isnan(array[wrong]).any():
            return f"{name} holds NaN, as 0 / 0 and inf - inf give."
        first = tuple(int(index) for index in np.argwhere(wrong)[0])
        place = f"{name}[{', '.join(map(str, first))}]" if first else name
        share = "." if wrong.size == 1 else f"; {wrong.sum()} of {wrong.size} entries are wrong."
        shown, expected_there = (written(np.asarray(each[first])) for each in (array, right.value))
        return f"{place} is {shown}, expected {expected_there}{share}"
    return "the result is not what was asked for."


def kind_that_fails(question: Question, wrong: int, asked: int) -> str:
    """Which kind of question fails, if most others do not."""
    if 2 * wrong > asked:
        return ""
    return f" It fails for {question.draw.name}; {asked - wrong} of {asked} questions are right."
