"""Where queries stand among the keys."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.problem.per_batch import PerBatch, check_per_batch, column, of_batch, read_per_batch
from attnscope.problem.sizes import Sizes, Slot


def read_offset(given: Any, name: str) -> PerBatch | None:
    """Read where the first query stands: an int, one for each batch row, or None, the last query at the last key."""
    return None if given is None else read_per_batch(given, name)


def check_offset(offset: PerBatch | None, name: str, sizes: Sizes) -> None:
    """Raise AttentionMaskError where there are offsets, but not one for each batch row."""
    if offset is not None:
        check_per_batch(offset, name, sizes.batch)


def query_positions(offset: PerBatch | None, sizes: Sizes, queries: range) -> NDArray[np.int64]:
    """Where each of some queries stands, (batch or 1, queries)."""
    first = column(sizes.key_len - sizes.query_len if offset is None else offset)
    return first + np.arange(queries.start, queries.stop)


def position_of(slot: Slot, offset: PerBatch | None, sizes: Sizes) -> int:
    """Where the slot's query stands."""
    first = sizes.key_len - sizes.query_len if offset is None else of_batch(offset, slot.batch)
    return first + slot.query


def standing(slot: Slot, position: int) -> str:
    """Name the query, and its position where that is another number."""
    return f"query {slot.query}" + (
        "" if position == slot.query else f", which stands at position {position}"
    )
