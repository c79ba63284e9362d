"""Masks that compare where the query stands with where the key stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.problem.mask import Bools, Mask, PerBatch, Sizes, Slot, whole_number
from attnscope.problem.runs import Runs, runs_from

Offset = int | Sequence[int] | None


def read_offset(offset: Any) -> PerBatch | None:
    return None if offset is None else PerBatch.read(offset, "offset")


def batch_of(offset: PerBatch | None) -> int:
    """How many batch rows an offset names."""
    return 1 if offset is None else len(offset.numbers)


def query_positions(offset: PerBatch | None, sizes: Sizes) -> NDArray[np.int64]:
    """Where each query stands among the keys, (batch or 1, query_len): the last at the last key unless said."""
    start = np.array([[sizes.key_len - sizes.query_len]]) if offset is None else offset.column()
    return start + np.arange(sizes.query_len)


def position_of(slot: Slot, offset: PerBatch | None, sizes: Sizes) -> int:
    """Where the slot's query stands among the keys."""
    start = sizes.key_len - sizes.query_len if offset is None else offset.of(slot.batch)
    return start + slot.query


def standing(slot: Slot, position: int) -> str:
    """Name the query, and its position where that is another number."""
    return f"query {slot.query}" + (
        "" if position == slot.query else f", which stands at position {position}"
    )


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

    offset: Offset = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_offset", read_offset(self.offset))

    @property
    def first_position(self) -> PerBatch | None:
        """The offset as it was read."""
        found: PerBatch | None = self.__dict__["_offset"]
        return found

    def __str__(self) -> str:
        return "Causal()" if self.first_position is None else f"Causal(offset={self.first_position})"

    def identity(self) -> tuple[Any, ...]:
        return (self.first_position,)

    def check(self, sizes: Sizes) -> None:
        if self.first_position is not None:
            self.first_position.check("Causal(offset=)", sizes.batch)

    def sees(self, sizes: Sizes) -> Bools:
        positions = query_positions(self.first_position, sizes)[:, None, :, None]
        return np.arange(sizes.key_len) <= positions

    def runs(self, sizes: Sizes) -> Runs | None:
        end = query_positions(self.first_position, sizes)[..., None] + 1
        return runs_from(np.zeros_like(end), end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        position = position_of(slot, self.first_position, sizes)
        shown = slot.key <= position
        verb = "is not after" if shown else "comes after"
        return shown, f"Causal, key {slot.key} {verb} {standing(slot, position)}"

    def natural_sizes(self) -> Sizes:
        return Sizes(batch_of(self.first_position), 1, 0, 0)


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
    offset: Offset = None

    def __post_init__(self) -> None:
        for side in ("left", "right"):
            given = getattr(self, side)
            if given is not None:
                object.__setattr__(self, side, whole_number(given, f"Window({side}=)", minimum=0))
        object.__setattr__(self, "_offset", read_offset(self.offset))

    @property
    def first_position(self) -> PerBatch | None:
        """The offset as it was read."""
        found: PerBatch | None = self.__dict__["_offset"]
        return found

    def __str__(self) -> str:
        offset = "" if self.first_position is None else f", offset={self.first_position}"
        return f"Window(left={self.left}, right={self.right}{offset})"

    def identity(self) -> tuple[Any, ...]:
        return (self.left, self.right, self.first_position)

    def check(self, sizes: Sizes) -> None:
        if self.first_position is not None:
            self.first_position.check("Window(offset=)", sizes.batch)

    def sees(self, sizes: Sizes) -> Bools:
        ahead = np.arange(sizes.key_len) - query_positions(self.first_position, sizes)[:, None, :, None]
        shown: Bools = np.ones_like(ahead, dtype=bool)
        if self.left is not None:
            shown &= ahead >= -self.left
        if self.right is not None:
            shown &= ahead <= self.right
        return shown

    def runs(self, sizes: Sizes) -> Runs | None:
        positions = query_positions(self.first_position, sizes)[..., None]
        first = np.zeros_like(positions) if self.left is None else positions - self.left
        end = np.full_like(positions, sizes.key_len) if self.right is None else positions + self.right + 1
        return runs_from(first, end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        position = position_of(slot, self.first_position, sizes)
        who = standing(slot, position)
        for side, reach, distance in (
            ("left", self.left, position - slot.key),
            ("right", self.right, slot.key - position),
        ):
            if reach is not None and distance > reach:
                return (
                    False,
                    f"Window, key {slot.key} is {distance} to the {side} of {who}: it reaches {reach}",
                )
        return True, f"Window, key {slot.key} is within reach of {who}"

    def natural_sizes(self) -> Sizes:
        tokens = min(2 * ((self.left or 0) + (self.right or 0) + 1), 4096)
        return Sizes(batch_of(self.first_position), 1, tokens, tokens)
