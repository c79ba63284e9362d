"""Results beside the right ones, and beside those of a known mistake."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.question import Arguments, Arrays, Expected, Mistake

# Two readings of a call are told apart by half of float32's digits: rounding lies far below, a misreading far above.
HALF_THE_DIGITS = 2.0**-12


@dataclass(frozen=True)
class Misshapen:
    """Which result has a shape that it should not have."""

    part: int
    came: tuple[int, ...]
    expected: tuple[int, ...]


def misshapen(came: Arrays, expected: tuple[Expected, ...]) -> Misshapen | None:
    """The first result of another shape."""
    for part, (array, right) in enumerate(zip(came, expected, strict=True)):
        if array.shape != right.value.shape:
            return Misshapen(part, array.shape, right.value.shape)
    return None


def differences(came: Arrays, expected: tuple[Expected, ...]) -> list[NDArray[np.bool_]] | None:
    """Which entries are wrong, result by result; None where none is."""
    if misshapen(came, expected) is not None:
        return [np.ones(array.shape, dtype=bool) for array in came]
    wrong = [wrong_entries(array, right) for array, right in zip(came, expected, strict=True)]
    return wrong if any(each.any() for each in wrong) else None


def wrong_entries(came: NDArray[Any], right: Expected) -> NDArray[np.bool_]:
    """Farther from what is right than rounding explains; what is no number is wrong unless expected."""
    if right.value.dtype.kind in "bO":
        return np.asarray(came != right.value, dtype=bool)
    with np.errstate(invalid="ignore"):
        near = np.abs(came - right.value) <= right.bound
    return np.asarray(~(near | (came == right.value) | (np.isnan(came) & np.isnan(right.value))))


def gap(came: Arrays, expected: tuple[Expected, ...]) -> float:
    """How far off the worst entry is, as a share of the largest one that was expected; inf for what is no number."""
    if misshapen(came, expected) is not None:
        return np.inf
    return max(gap_of(array, right.value) for array, right in zip(came, expected, strict=True))


def gap_of(came: NDArray[Any], right: NDArray[Any]) -> float:
    """The same of one result."""
    if right.dtype.kind in "bO":
        return np.inf if np.any(came != right) else 0.0
    same = (came == right) | (np.isnan(came) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        off = np.where(same, 0.0, np.abs(came - right))
    largest = np.max(np.abs(right[np.isfinite(right)]), initial=0.0)
    worst = float(np.max(off, initial=0.0))
    return worst / float(largest) if largest > 0 and np.isfinite(worst) else (np.inf if worst else 0.0)


def agree(mistake: Mistake, arguments: Arguments, came: Arrays) -> bool:
    """Whether a mistake gives these results; one that cannot read the call gives none."""
    with np.errstate(all="ignore"):
        try:
            raw = mistake.reading(*(copied(value) for value in arguments.values()))
            mistaken = raw if isinstance(raw, tuple) else (raw,)
            arrays = tuple(np.asarray(part) for part in mistaken)
        except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError):
            return False
        return len(arrays) == len(came) and all(close(*pair) for pair in zip(came, arrays, strict=True))


def copied(value: Any) -> Any:
    """A mistake may write into what it is given."""
    return value.copy() if isinstance(value, np.ndarray) else value


def close(came: NDArray[Any], other: NDArray[Any]) -> bool:
    """The same reading, up to half the digits of its largest number."""
    if came.shape != other.shape:
        return False
    if came.dtype.kind in "bO":
        return bool(np.all(came == other))
    came, other = came.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(other)
    if not np.array_equal(np.isfinite(came), finite):
        return False
    same_oddities = np.array_equal(came[~finite], other[~finite], equal_nan=True)
    largest = np.max(np.abs(other[finite]), initial=0.0)
    return same_oddities and bool(np.all(np.abs(came[finite] - other[finite]) <= HALF_THE_DIGITS * largest))
