"""The mask of packed texts: each query sees its own document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionMaskError
from attnscope.problem.mask import Bools, Mask, PerBatch, Sizes, Slot
from attnscope.problem.position_masks import (
    Offset,
    batch_of,
    position_of,
    query_positions,
    read_offset,
    standing,
)
from attnscope.problem.runs import Runs, runs_from


@dataclass(frozen=True, eq=False, repr=False)
class Documents(Mask):
    """A query sees the keys of its own document: several texts packed into one row stay strangers.

    visible(i, j)  =  ids[i + offset] == ids[j],    offset = key_len - query_len unless given

    A query that stands outside the keys belongs to no document and sees nothing.

    Shapes
        ids    (key_len,), or (batch, key_len)      integers; a document's keys need not be neighbours

    >>> Documents([7, 7, 9]).visible(3, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [0, 0, 1]])
    """

    ids: Sequence[int] | NDArray[np.integer[Any]]
    offset: Offset = None

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids)
        if ids.ndim not in (1, 2) or (ids.dtype.kind not in "iu" and ids.size > 0):
            raise AttentionMaskError(
                f"Documents(ids): expected integers [key_len] or [batch, key_len], got {ids.dtype} {list(ids.shape)}."
            )
        kept = np.array(ids, np.int64, ndmin=2)
        kept.setflags(write=False)
        object.__setattr__(self, "ids", kept)
        object.__setattr__(self, "_offset", read_offset(self.offset))

    @property
    def first_position(self) -> PerBatch | None:
        """The offset as it was read."""
        found: PerBatch | None = self.__dict__["_offset"]
        return found

    @property
    def table(self) -> NDArray[np.int64]:
        """The ids, (batch or 1, key_len)."""
        return np.asarray(self.ids)

    def __str__(self) -> str:
        rows = [
            str(row.tolist()) if row.size <= 16 else f"[{', '.join(map(str, row[:8]))}, ... {row.size} ids]"
            for row in self.table[:4]
        ]
        ids = (
            rows[0]
            if len(self.table) == 1
            else f"[{', '.join(rows)}{', ...' if len(self.table) > 4 else ''}]"
        )
        return f"Documents({ids}{'' if self.first_position is None else f', offset={self.first_position}'})"

    def identity(self) -> tuple[Any, ...]:
        return (self.table.shape, self.table.tobytes(), self.first_position)

    def check(self, sizes: Sizes) -> None:
        rows, key_len = self.table.shape
        if key_len != sizes.key_len:
            raise AttentionMaskError(
                f"Documents(ids) names {key_len} keys, expected key_len={sizes.key_len}."
            )
        if rows not in (1, sizes.batch):
            raise AttentionMaskError(f"Documents(ids) has {rows} rows, expected 1 or batch={sizes.batch}.")
        if self.first_position is not None:
            self.first_position.check("Documents(offset=)", sizes.batch)

    def sees(self, sizes: Sizes) -> Bools:
        rows = max(len(self.table), 1 if self.first_position is None else len(self.first_position.numbers))
        ids = np.broadcast_to(self.table, (rows, sizes.key_len))
        positions = np.broadcast_to(query_positions(self.first_position, sizes), (rows, sizes.query_len))
        inside = (positions >= 0) & (positions < sizes.key_len)
        if sizes.key_len == 0:
            return np.zeros((rows, 1, sizes.query_len, 0), bool)
        own = np.take_along_axis(ids, np.where(inside, positions, 0), axis=1)
        same: Bools = own[:, None, :, None] == ids[:, None, None, :]
        return same & inside[:, None, :, None]

    def runs(self, sizes: Sizes) -> Runs | None:
        positions = query_positions(self.first_position, sizes)
        rows = max(len(self.table), len(positions))
        found = []
        for row in range(rows):
            runs = _runs_of_own_document(self.table[row % len(self.table)], positions[row % len(positions)])
            if runs is None:
                return None
            found.append(runs)
        widest = max((first.shape[-1] for first, _ in found), default=1)

        def stacked(index: int) -> NDArray[np.int64]:
            padded = [np.pad(pair[index], ((0, 0), (0, widest - pair[index].shape[-1]))) for pair in found]
            return np.stack(padded) if padded else np.zeros((1, sizes.query_len, 1), np.int64)

        return runs_from(stacked(0), stacked(1), sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        ids = self.table[slot.batch if len(self.table) > 1 else 0]
        position = position_of(slot, self.first_position, sizes)
        if not 0 <= position < sizes.key_len:
            return False, (
                f"Documents, key {slot.key} belongs to a document, and query {slot.query}, which stands at position "
                f"{position} outside the keys, to none"
            )
        own, other = int(ids[position]), int(ids[slot.key])
        if own == other:
            return (
                True,
                f"Documents, key {slot.key} and {standing(slot, position)} both belong to document {own}",
            )
        return (
            False,
            f"Documents, key {slot.key} belongs to document {other} and {standing(slot, position)} to {own}",
        )

    def natural_sizes(self) -> Sizes:
        return Sizes(max(len(self.table), batch_of(self.first_position)), 1, 0, self.table.shape[1])


def _runs_of_own_document(
    ids: NDArray[np.int64], positions: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """(first, end), each (query_len, runs): the runs of keys that hold each query's id; None beyond two."""
    if ids.size == 0:
        return np.zeros((positions.size, 1), np.int64), np.zeros((positions.size, 1), np.int64)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    ends = np.append(starts[1:], ids.size)
    _, document = np.unique(ids[starts], return_inverse=True)  # of each run
    order = np.argsort(document, kind="stable")
    counts = np.bincount(document)
    if counts.max() > 2:
        return None
    rank = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.zeros((counts.size, int(counts.max())), np.int64)
    end = np.zeros_like(first)
    first[document[order], rank], end[document[order], rank] = starts[order], ends[order]
    inside = (positions >= 0) & (positions < ids.size)
    run = np.searchsorted(starts, np.where(inside, positions, 0), side="right") - 1
    own = document[run]
    return np.where(inside[:, None], first[own], 0), np.where(inside[:, None], end[own], 0)
