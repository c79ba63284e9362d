"""Masks that compare the position of the query with the position of the key."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from attnscope.arguments import whole_number
from attnscope.problem.mask import Mask
from attnscope.problem.per_batch import (
    PerBatch,
    check_offset,
    position_of,
    query_at,
    query_positions,
    read_offset,
    rows_of,
    written,
)
from attnscope.problem.rule import Bools
from attnscope.problem.runs import Runs, runs_from
from attnscope.problem.shape import Sizes, Slot

MOST_KEYS_DRAWN = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Causal(Mask):
    """Show a query the keys up to its own position, and no later key.

    visible(i, j) = j <= i + offset

    Parameters
    ----------
    offset : int or sequence of int, default key_len - query_len
        The position of the first query; one for all batch rows, or one for each. The default aligns the
        last query with the last key (bottom-right), as decoding with a cache requires. 0 aligns the first
        query with the first key (top-left).

    Raises
    ------
    AttentionMaskError
        If the offset is not an integer, or not one for each batch row.

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3.

    Examples
    --------
    >>> Causal().visible(2, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])
    """

    offset: PerBatch | None = None

    def __post_init__(self) -> None:
        if self.offset is not None:
            object.__setattr__(self, "offset", read_offset(self.offset, "Causal(offset=)"))

    def __str__(self) -> str:
        return "Causal()" if self.offset is None else f"Causal(offset={written(self.offset)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.offset,)

    def check(self, sizes: Sizes) -> None:
        check_offset(self.offset, "Causal(offset=)", sizes)

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        positions = query_positions(self.offset, sizes, queries)[:, None, :, None]
        return np.arange(sizes.key_len) <= positions

    def runs(self, sizes: Sizes) -> Runs | None:
        end = query_positions(self.offset, sizes, sizes.queries)[..., None] + 1
        return runs_from(np.zeros_like(end), end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        position = position_of(slot, self.offset, sizes)
        shown = slot.key <= position
        if slot.key == position:
            return shown, f"key {slot.key} is at the position of query {slot.query}"
        verb = "comes before" if shown else "comes after"
        return shown, f"key {slot.key} {verb} {query_at(slot, position)}"

    def standing_at(self, offset: PerBatch) -> Self:
        return self if self.offset is not None else replace(self, offset=offset)

    def implied_sizes(self) -> Sizes:
        return Sizes(rows_of(self.offset), 0, 0, 0)


@dataclass(frozen=True, eq=False, repr=False)
class Window(Mask):
    """Show a query the keys near its own position, and the key at that position.

    visible(i, j) = p - left <= j <= p + right,    p = i + offset

    Parameters
    ----------
    left, right : int, optional
        How many keys are visible on each side of the position, the position itself not counted. None: all.
    offset : int or sequence of int, default key_len - query_len
        The position of the first query, as in Causal.

    Raises
    ------
    AttentionMaskError
        If a side is negative or not an integer, or the offset is not one for each batch row.

    Notes
    -----
    The `sliding_window: W` of a causal model's config counts the position itself: it is Window(left=W - 1,
    right=0).

    References
    ----------
    Beltagy et al. 2020, arXiv:2004.05150, section 3.1.

    Examples
    --------
    >>> Window(left=1, right=0).visible(3, 3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [0, 1, 1]])
    """

    left: int | None = None
    right: int | None = None
    offset: PerBatch | None = None

    def __post_init__(self) -> None:
        for side in ("left", "right"):
            given = getattr(self, side)
            if given is not None:
                object.__setattr__(self, side, whole_number(given, f"Window({side}=)", minimum=0))
        if self.offset is not None:
            object.__setattr__(self, "offset", read_offset(self.offset, "Window(offset=)"))

    def __str__(self) -> str:
        offset = "" if self.offset is None else f", offset={written(self.offset)}"
        return f"Window(left={self.left}, right={self.right}{offset})"

    def identity(self) -> tuple[Any, ...]:
        return (self.left, self.right, self.offset)

    def check(self, sizes: Sizes) -> None:
        check_offset(self.offset, "Window(offset=)", sizes)

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        keys = np.arange(sizes.key_len)
        positions = query_positions(self.offset, sizes, queries)[:, None, :, None]
        shown: Bools = np.ones((len(positions), 1, len(queries), sizes.key_len), np.bool_)
        if self.left is not None:
            shown &= keys >= positions - self.left
        if self.right is not None:
            shown &= keys <= positions + self.right
        return shown

    def runs(self, sizes: Sizes) -> Runs | None:
        positions = query_positions(self.offset, sizes, sizes.queries)[..., None]
        first = np.zeros_like(positions) if self.left is None else positions - self.left
        end = np.full_like(positions, sizes.key_len) if self.right is None else positions + self.right + 1
        return runs_from(first, end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        position = position_of(slot, self.offset, sizes)
        if slot.key == position:
            return True, f"key {slot.key} is at the position of query {slot.query}"
        side, reach = ("left", self.left) if slot.key < position else ("right", self.right)
        distance = abs(slot.key - position)
        place = f"key {slot.key} is {distance} to the {side} of {query_at(slot, position)}"
        if reach is None:
            return True, f"{place}, and the window is open on that side"
        shown = distance <= reach
        return shown, f"{place}, {'and' if shown else 'but'} the window reaches {reach}"

    def standing_at(self, offset: PerBatch) -> Self:
        return self if self.offset is not None else replace(self, offset=offset)

    def implied_sizes(self) -> Sizes:
        return Sizes(rows_of(self.offset), 0, 0, 0)

    def keys_to_draw(self) -> int:
        return min(max(8, 2 * ((self.left or 0) + (self.right or 0) + 1)), MOST_KEYS_DRAWN)
