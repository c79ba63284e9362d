"""Runs of visible keys, row by row: the algebra that turns masks into spans.

A `Runs` holds a few intervals [first, end) of keys for each row. They are sorted, disjoint and not
adjacent; empty ones come last, as (0, 0). All arithmetic is on arrays of rows, never on the score matrix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_RUNS = 8  # per row; a combined mask with more is described by its bits instead

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Intervals of visible keys: first and end, each (batch or 1, query_len or 1, runs)."""

    first: Ints
    end: Ints

    @property
    def count(self) -> int:
        """The largest number of runs of any row."""
        return int(self.first.shape[-1])


def runs_from(first: Ints, end: Ints, key_len: int) -> Runs:
    """Make Runs of any intervals: they may overlap, be empty, unsorted, or reach beyond the keys."""
    first, end = np.broadcast_arrays(np.clip(first, 0, key_len), np.clip(end, 0, key_len))
    empty = first >= end
    if first.shape[-1] == 1:
        return Runs(np.where(empty, 0, first), np.where(empty, 0, end))
    return _merged(np.where(empty, key_len, first), np.where(empty, key_len, end))


def _merged(first: Ints, end: Ints) -> Runs:
    """Sort the intervals of each row and join those that touch; empty ones start at the end of the keys."""
    order = np.argsort(first, axis=-1, kind="stable")
    first, end = np.take_along_axis(first, order, -1), np.take_along_axis(end, order, -1)
    reach = np.maximum.accumulate(end, axis=-1)
    begins = first < end  # a run begins if its first key lies beyond everything before it
    begins[..., 1:] &= first[..., 1:] > reach[..., :-1]
    last = np.ones_like(begins)  # a run ends before the next one begins, or before only empty intervals
    last[..., :-1] = begins[..., 1:] | (first[..., 1:] >= end[..., 1:])
    last &= first < end
    run = np.cumsum(begins, axis=-1) - 1
    count = int(run.max(initial=0)) + 1
    merged_first = np.zeros((*first.shape[:-1], count), np.int64)
    merged_end = np.zeros_like(merged_first)
    for source, picked, target in ((first, begins, merged_first), (reach, last, merged_end)):
        *rows, _ = at = np.nonzero(picked)
        target[*rows, run[at]] = source[at]
    return Runs(merged_first, merged_end)


def intersection(a: Runs, b: Runs, key_len: int) -> Runs | None:
    """The keys in both; None if that takes too many runs."""
    first = np.maximum(a.first[..., :, None], b.first[..., None, :])
    end = np.minimum(a.end[..., :, None], b.end[..., None, :])
    pairs = (*first.shape[:-2], a.count * b.count)
    return few(runs_from(first.reshape(pairs), end.reshape(pairs), key_len))


def union(a: Runs, b: Runs, key_len: int) -> Runs | None:
    """The keys in either; None if that takes too many runs."""
    rows = np.broadcast_shapes(a.first.shape[:-1], b.first.shape[:-1])

    def side_by_side(x: Ints, y: Ints) -> Ints:
        both = [np.broadcast_to(each, (*rows, each.shape[-1])) for each in (x, y)]
        return np.concatenate(both, axis=-1)

    return few(runs_from(side_by_side(a.first, b.first), side_by_side(a.end, b.end), key_len))


def few(runs: Runs) -> Runs | None:
    """The runs; None if they are too many."""
    return runs if runs.count <= MOST_RUNS else None


def runs_of_rows(visible: NDArray[np.bool_]) -> Runs | None:
    """The runs of an array (rows, key_len), with an axis of queries; None if a row has too many."""
    edges = np.diff(visible, axis=-1, prepend=False, append=False)  # a run's first key, and the one behind it
    counts = np.count_nonzero(edges, axis=-1) // 2
    most = int(counts.max(initial=1))
    if most > MOST_RUNS:
        return None
    row, key = (index.reshape(-1, 2) for index in np.nonzero(edges))
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)  # among its row's runs
    first, end = np.zeros((2, len(visible), 1, most), np.int64)
    first[row[:, 0], 0, place], end[row[:, 0], 0, place] = key.T
    return Runs(first, end)
