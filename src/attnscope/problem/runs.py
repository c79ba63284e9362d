"""Runs of visible keys, row by row: the algebra by which masks become spans.

A `Runs` holds, for each row, a few intervals [first, end) of keys: sorted, disjoint, not touching, the empty ones
last and written (0, 0). All of it is arithmetic on arrays of rows, never on the score matrix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_RUNS = 8  # beyond, a row of a combined mask is no longer worth describing by its runs

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Intervals of keys that rows see.

    Shapes
        first, end    (batch or 1, query_len or 1, runs)
    """

    first: Ints
    end: Ints

    @property
    def count(self) -> int:
        """The most runs of any row."""
        return int(self.first.shape[-1])


def runs_from(first: Ints, end: Ints, key_len: int) -> Runs:
    """Bring any intervals (overlapping, empty, in any order, beyond the keys) into the form of Runs."""
    first, end = np.broadcast_arrays(np.clip(first, 0, key_len), np.clip(end, 0, key_len))
    empty = first >= end
    if first.shape[-1] == 1:
        return Runs(np.where(empty, 0, first), np.where(empty, 0, end))
    return _merged(np.where(empty, key_len, first), np.where(empty, key_len, end))


def _merged(first: Ints, end: Ints) -> Runs:
    """Sort the intervals of each row and join those that meet; empty ones begin at the end of the keys."""
    order = np.argsort(first, axis=-1, kind="stable")
    first, end = np.take_along_axis(first, order, -1), np.take_along_axis(end, order, -1)
    reach = np.maximum.accumulate(end, axis=-1)
    begins = first < end  # a run begins where its first key lies beyond all that came before
    begins[..., 1:] &= first[..., 1:] > reach[..., :-1]
    last = np.ones_like(
        begins
    )  # and it has reached its end where the next begins, or nothing but empty ones follow
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
    """The keys that both see; None where that takes too many runs."""
    first = np.maximum(a.first[..., :, None], b.first[..., None, :])
    end = np.minimum(a.end[..., :, None], b.end[..., None, :])
    pairs = (*first.shape[:-2], a.count * b.count)
    return few(runs_from(first.reshape(pairs), end.reshape(pairs), key_len))


def union(a: Runs, b: Runs, key_len: int) -> Runs | None:
    """The keys that either sees; None where that takes too many runs."""
    rows = np.broadcast_shapes(a.first.shape[:-1], b.first.shape[:-1])

    def side_by_side(x: Ints, y: Ints) -> Ints:
        both = [np.broadcast_to(each, (*rows, each.shape[-1])) for each in (x, y)]
        return np.concatenate(both, axis=-1)

    return few(runs_from(side_by_side(a.first, b.first), side_by_side(a.end, b.end), key_len))


def few(runs: Runs) -> Runs | None:
    """The runs, unless they are too many."""
    return runs if runs.count <= MOST_RUNS else None
