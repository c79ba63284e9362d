"""Masks that compare where the query stands with where the key stands."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnscope.arguments import whole_number
from attnscope.problem.mask import Bools, Mask
from attnscope.problem.per_batch import PerBatch, rows_of, written
from attnscope.problem.positions import check_offset, position_of, query_positions, read_offset, standing
from attnscope.problem.runs import Runs, runs_from
from attnscope.problem.sizes import Sizes, Slot

MOST_KEYS_DRAWN = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Causal(Mask):
    """A query sees the keys up to its own position, and none that comes later.

    visible(i, j)  =  j <= i + offset,    offset = key_len - query_len unless given

    So the last query meets the last key, which is what decoding with a cache needs. `Causal(offset=0)` aligns the
    first query with the first key. One offset a batch row where the rows differ.

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
            return shown, f"Causal, key {slot.key} stands where query {slot.query} stands"
        verb = "comes before" if shown else "comes after"
        return shown, f"Causal, key {slot.key} {verb} {standing(slot, position)}"

    def standing_at(self, offset: PerBatch) -> Mask:
        return self if self.offset is not None else replace(self, offset=offset)

    def implied_sizes(self) -> Sizes:
        return Sizes(rows_of(self.offset), 0, 0, 0)


@dataclass(frozen=True, eq=False, repr=False)
class Window(Mask):
    """A query sees its neighbours: so many keys to the left of its position, so many to the right, and itself.

    visible(i, j)  =  p - left <= j <= p + right,    p = i + offset,    offset = key_len - query_len unless given

    None leaves a side open. The position itself is not counted: a model config's `sliding_window: W` with causal
    attention is Window(left=W - 1, right=0).

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
        keys, positions = (
            np.arange(sizes.key_len),
            query_positions(self.offset, sizes, queries)[:, None, :, None],
        )
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
            return True, f"Window, key {slot.key} stands where query {slot.query} stands"
        side, reach = ("left", self.left) if slot.key < position else ("right", self.right)
        distance = abs(slot.key - position)
        where = f"key {slot.key} is {distance} to the {side} of {standing(slot, position)}"
        if reach is None:
            return True, f"Window, {where}, and the window is open on that side"
        shown = distance <= reach
        return shown, f"Window, {where}, {'and' if shown else 'but'} the window reaches {reach}"

    def standing_at(self, offset: PerBatch) -> Mask:
        return self if self.offset is not None else replace(self, offset=offset)

    def implied_sizes(self) -> Sizes:
        return Sizes(rows_of(self.offset), 0, 0, 0)

    def keys_to_draw(self) -> int:
        return min(max(8, 2 * ((self.left or 0) + (self.right or 0) + 1)), MOST_KEYS_DRAWN)
