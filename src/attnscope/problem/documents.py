"""The mask of several texts that are packed into one row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief
from attnscope.errors import AttentionMaskError
from attnscope.problem.arrays import is_masked
from attnscope.problem.mask import Mask
from attnscope.problem.per_batch import (
    PerBatch,
    check_offset,
    position_of,
    query_positions,
    read_offset,
    rows_of,
    written,
)
from attnscope.problem.rule import Bools
from attnscope.problem.runs import MOST_RUNS, Ints, Runs, runs_from
from attnscope.problem.shape import Sizes, Slot

MOST_ROWS_WRITTEN = 4


@dataclass(frozen=True, eq=False, repr=False)
class Documents(Mask):
    """Show a query the keys of its own document, when several texts are packed into one row.

    visible(i, j) = ids[i + offset] == ids[j]

    A query whose position lies outside the keys belongs to no document and sees no key.

    Parameters
    ----------
    ids : array_like of int, shape (key_len,) or (batch, key_len)
        The document of each key. The keys of a document need not be adjacent.
    offset : int or sequence of int, default key_len - query_len
        The position of the first query, as in Causal.

    Raises
    ------
    AttentionMaskError
        If the ids are not integers, or their number differs from that of the keys.

    Examples
    --------
    >>> Documents([7, 7, 9]).visible(3, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [0, 0, 1]])
    """

    ids: Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer[Any]]
    offset: PerBatch | None = None

    def __post_init__(self) -> None:
        ids = read_ids(self.ids)
        content = ids.tobytes()  # bytes, and an array that views them: both are read-only
        object.__setattr__(self, "_content", content)
        object.__setattr__(self, "ids", np.frombuffer(content, np.int64).reshape(ids.shape))
        object.__setattr__(self, "offset", read_offset(self.offset, "Documents(offset=)"))
        object.__setattr__(self, "held_bytes", len(content))

    @property
    def table(self) -> Ints:
        """The ids as an array (batch or 1, key_len)."""
        return np.asarray(self.ids)

    def __str__(self) -> str:
        rows = [written(tuple(row.tolist())) for row in self.table[:MOST_ROWS_WRITTEN]]
        more = f", ... {len(self.table)} rows in all" if len(self.table) > MOST_ROWS_WRITTEN else ""
        ids = rows[0] if len(self.table) == 1 else f"[{', '.join(rows)}{more}]"
        return f"Documents({ids}{'' if self.offset is None else f', offset={written(self.offset)}'})"

    def identity(self) -> tuple[Any, ...]:
        return (self.table.shape, self.__dict__["_content"], self.offset)

    def __reduce__(self) -> tuple[Any, ...]:
        return Documents, (self.ids, self.offset)

    def check(self, sizes: Sizes) -> None:
        rows, key_len = self.table.shape
        if key_len != sizes.key_len:
            raise AttentionMaskError(
                f"Documents(ids) has {key_len} ids in a row, expected one for each of "
                f"key_len={sizes.key_len} keys."
            )
        if rows not in (1, sizes.batch):
            raise AttentionMaskError(f"Documents(ids) has {rows} rows, expected 1 or batch={sizes.batch}.")
        check_offset(self.offset, "Documents(offset=)", sizes)

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        ids, positions = self._ids_and_positions(sizes, queries)
        if sizes.key_len == 0:
            return np.zeros((len(ids), 1, len(queries), 0), np.bool_)
        inside = (positions >= 0) & (positions < sizes.key_len)
        own = np.take_along_axis(ids, np.where(inside, positions, 0), axis=1)
        same: Bools = own[:, None, :, None] == ids[:, None, None, :]
        return same & inside[:, None, :, None]

    def runs(self, sizes: Sizes) -> Runs | None:
        ids, positions = self._ids_and_positions(sizes, sizes.queries)
        found = []
        for row_ids, row_positions in zip(ids, positions, strict=True):
            intervals = intervals_of_own_document(row_ids, row_positions)
            if intervals is None:
                return None
            found.append(intervals)
        widest = max((first.shape[-1] for first, _ in found), default=1)
        first, end = np.zeros((2, len(ids), sizes.query_len, widest), np.int64)
        for row, (row_first, row_end) in enumerate(found):
            first[row, :, : row_first.shape[-1]] = row_first
            end[row, :, : row_end.shape[-1]] = row_end
        return runs_from(first, end, sizes.key_len)

    def _ids_and_positions(self, sizes: Sizes, queries: range) -> tuple[Ints, Ints]:
        """Ids and positions with the same number of rows: (batch or 1, key_len), (batch or 1, queries)."""
        ids, positions = self.table, query_positions(self.offset, sizes, queries)
        (rows,) = np.broadcast_shapes(ids.shape[:1], positions.shape[:1])
        positions = np.broadcast_to(positions, (rows, len(queries)))
        return np.broadcast_to(ids, (rows, sizes.key_len)), positions

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        ids = self.table[slot.batch if len(self.table) > 1 else 0]
        position = position_of(slot, self.offset, sizes)
        query = f"query {slot.query}" + ("" if position == slot.query else f" (position {position})")
        other = int(ids[slot.key])
        belongs = f"key {slot.key} belongs to document {other}"
        if not 0 <= position < sizes.key_len:
            return False, f"{belongs}, {query} to none: it is not among the keys"
        own = int(ids[position])
        if own == other:
            return True, f"key {slot.key} and {query} both belong to document {own}"
        return False, f"{belongs}, {query} to document {own}"

    def standing_at(self, offset: PerBatch) -> Self:
        return self if self.offset is not None else replace(self, offset=offset)

    def implied_sizes(self) -> Sizes:
        rows, key_len = self.table.shape
        return Sizes(max(rows if rows > 1 else 0, rows_of(self.offset)), 0, 0, key_len)

    def keys_to_draw(self) -> int:
        return int(self.table.shape[1])


def read_ids(given: Any) -> Ints:
    """Read document ids as an array (batch or 1, key_len); raise AttentionMaskError for anything else."""
    if is_masked(given):
        raise AttentionMaskError(
            "Documents(ids) is a masked array, whose mask would be lost. Pass ids.filled(-1)."
        )
    try:
        ids = np.asarray(given)
    except Exception:  # noqa: BLE001  # a foreign object may raise anything; it is not an array of integers
        ids = np.asarray(None)
    empty_list = ids.size == 0 and isinstance(given, list | tuple)  # NumPy makes floats of it
    if ids.ndim not in (1, 2) or (ids.dtype.kind not in "iu" and not empty_list):
        raise AttentionMaskError(
            f"Documents(ids) is {brief(given)}, expected integers [key_len] or [batch, key_len], rows of "
            "one length."
        )
    return np.array(ids, np.int64, ndmin=2, order="C")


def intervals_of_own_document(ids: Ints, positions: Ints) -> tuple[Ints, Ints] | None:
    """The runs of keys with each query's id, as (first, end), each (query_len, runs); None if too many."""
    if ids.size == 0:
        return np.zeros((positions.size, 1), np.int64), np.zeros((positions.size, 1), np.int64)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    ends = np.append(starts[1:], ids.size)
    _, document = np.unique(ids[starts], return_inverse=True)  # of each run
    counts = np.bincount(document)
    inside = (positions >= 0) & (positions < ids.size)
    own = document[np.searchsorted(starts, np.where(inside, positions, 0), side="right") - 1]
    most = int(counts[own].max(initial=1))  # of the documents that queries belong to
    if most > MOST_RUNS:
        return None
    order = np.argsort(document, kind="stable")
    place = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)  # among its document's runs
    order, place = order[place < most], place[place < most]
    first, end = np.zeros((2, counts.size, most), np.int64)
    first[document[order], place], end[document[order], place] = starts[order], ends[order]
    return np.where(inside[:, None], first[own], 0), np.where(inside[:, None], end[own], 0)
