"""Integers that all batch rows share, or one for each of them; and the positions of queries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionMaskError
from attnscope.problem.arrays import is_masked
from attnscope.problem.shape import Sizes, Slot

PerBatch = int | Sequence[int] | NDArray[np.integer[Any]]  # once read, an int or a tuple
MOST_WRITTEN = 8


def read_per_batch(given: Any, name: str, *, minimum: int | None = None) -> int | tuple[int, ...]:
    """Read an int, or a sequence or NumPy array of ints; raise AttentionMaskError for anything else."""
    if issubclass(type(given), np.ndarray):
        if given.ndim > 1 or given.dtype.kind not in "iu" or is_masked(given):
            raise AttentionMaskError(f"{name} is {brief(given)}: expected an integer, or [batch] integers.")
        given = given.tolist()
    if not isinstance(given, list | tuple | range):
        return whole_number(given, name, minimum=minimum)
    return tuple([whole_number(each, name, minimum=minimum) for each in given])


def check_per_batch(numbers: PerBatch, name: str, batch: int) -> None:
    """Raise AttentionMaskError unless there is one number for all batch rows, or one for each."""
    if not isinstance(numbers, int) and len(numbers) != batch:
        raise AttentionMaskError(
            f"{name} has {len(numbers)} entries, expected {batch}, one for each batch row. "
            "Pass a single integer if all batch rows share it."
        )


def of_batch(numbers: PerBatch, batch: int) -> int:
    """The number of one batch row."""
    return int(numbers if isinstance(numbers, int) else numbers[batch])


def in_batch_row(batch: int, *numbers: PerBatch) -> str:
    """Words that name the batch row; empty if all rows share the numbers."""
    return "" if all(isinstance(each, int) for each in numbers) else f" in batch row {batch}"


def column(numbers: PerBatch) -> NDArray[np.int64]:
    """An array (batch or 1, 1) that broadcasts over tokens."""
    return np.array(numbers, np.int64).reshape(-1, 1)


def rows_of(numbers: PerBatch | None) -> int:
    """The batch size that the numbers imply; 0 if they fit any."""
    return 0 if numbers is None or isinstance(numbers, int) else len(numbers)


def last_end(end: PerBatch) -> int:
    """The largest number of all batch rows; 0 if there is no row."""
    return end if isinstance(end, int) else max((int(each) for each in end), default=0)


def written(numbers: PerBatch) -> str:
    """The numbers as a constructor takes them; long sequences are cut short."""
    if isinstance(numbers, int):
        return str(numbers)
    if len(numbers) <= 2 * MOST_WRITTEN:
        return str(list(numbers))
    return f"[{', '.join(map(str, numbers[:MOST_WRITTEN]))}, ... {len(numbers)} in all]"


# Positions of queries: query i is at position i + offset, offset = key_len - query_len if it is None.


def read_offset(given: Any, name: str) -> PerBatch | None:
    """Read the position of the first query: an int, one for each batch row, or None."""
    return None if given is None else read_per_batch(given, name)


def check_offset(offset: PerBatch | None, name: str, sizes: Sizes) -> None:
    """Raise AttentionMaskError if there are several offsets, but not one for each batch row."""
    if offset is not None:
        check_per_batch(offset, name, sizes.batch)


def query_positions(offset: PerBatch | None, sizes: Sizes, queries: range) -> NDArray[np.int64]:
    """The positions of some queries, (batch or 1, queries)."""
    first = column(sizes.key_len - sizes.query_len if offset is None else offset)
    return first + np.arange(queries.start, queries.stop)


def position_of(slot: Slot, offset: PerBatch | None, sizes: Sizes) -> int:
    """The position of the slot's query."""
    first = sizes.key_len - sizes.query_len if offset is None else of_batch(offset, slot.batch)
    return first + slot.query


def query_at(slot: Slot, position: int) -> str:
    """Words that name the query, with its position if that is another number."""
    return f"query {slot.query}" + ("" if position == slot.query else f", which is at position {position}")
