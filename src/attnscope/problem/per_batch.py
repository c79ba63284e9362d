"""An integer that all batch rows share, or one for each of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionMaskError
from attnscope.problem.arrays import is_masked

PerBatch = int | Sequence[int] | NDArray[np.integer[Any]]  # once read, an int or a tuple
MOST_WRITTEN = 8


def read_per_batch(given: Any, name: str, *, minimum: int | None = None) -> int | tuple[int, ...]:
    """Read an int, or a sequence or NumPy array of ints; an empty one is for a batch of none.

    Errors
        AttentionMaskError.
    """
    if issubclass(type(given), np.ndarray):
        if given.ndim > 1 or given.dtype.kind not in "iu" or is_masked(given):
            raise AttentionMaskError(f"{name} is {brief(given)}: expected an integer, or [batch] integers.")
        given = given.tolist()
    if not isinstance(given, list | tuple | range):
        return whole_number(given, name, minimum=minimum)
    return tuple([whole_number(each, name, minimum=minimum) for each in given])


def check_per_batch(numbers: PerBatch, name: str, batch: int) -> None:
    """Raise AttentionMaskError where there is not one number for each batch row."""
    if not isinstance(numbers, int) and len(numbers) != batch:
        raise AttentionMaskError(
            f"{name} has {len(numbers)} entries, expected {batch}, one for each batch row. "
            "Pass a single integer where all batch rows share it."
        )


def of_batch(numbers: PerBatch, batch: int) -> int:
    """The number of one batch row."""
    return int(numbers if isinstance(numbers, int) else numbers[batch])


def in_batch_row(batch: int, *numbers: PerBatch) -> str:
    """Words that tell which batch row is meant, empty where the rows share the numbers."""
    return "" if all(isinstance(each, int) for each in numbers) else f" in batch row {batch}"


def column(numbers: PerBatch) -> NDArray[np.int64]:
    """As an array (batch or 1, 1) that broadcasts over tokens."""
    return np.array(numbers, np.int64).reshape(-1, 1)


def rows_of(numbers: PerBatch | None) -> int:
    """How many batch rows they are for; 0 where that is open."""
    return 0 if numbers is None or isinstance(numbers, int) else len(numbers)


def written(numbers: PerBatch) -> str:
    """As in a constructor, long ones cut short."""
    if isinstance(numbers, int):
        return str(numbers)
    if len(numbers) <= 2 * MOST_WRITTEN:
        return str(list(numbers))
    return f"[{', '.join(map(str, numbers[:MOST_WRITTEN]))}, ... {len(numbers)} in all]"
