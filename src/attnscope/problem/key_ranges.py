"""Masks that depend on the index of the key alone: which keys are real, and which form a prefix."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.errors import AttentionMaskError
from attnscope.problem.mask import Mask
from attnscope.problem.per_batch import (
    PerBatch,
    check_per_batch,
    column,
    in_batch_row,
    last_end,
    of_batch,
    read_per_batch,
    rows_of,
    written,
)
from attnscope.problem.rule import Bools
from attnscope.problem.runs import Runs, runs_from
from attnscope.problem.shape import Sizes, Slot

MOST_KEYS_DRAWN = 4096


@dataclass(frozen=True, eq=False, repr=False)
class KeyRanges(Mask):
    """Show every query the keys first, ..., end - 1: padding on the left, or on both sides.

    visible(i, j) = first <= j < end

    Parameters
    ----------
    first, end : int or sequence of int
        The first real key, and the one behind the last. One for all batch rows, or one for each.

    Raises
    ------
    AttentionMaskError
        If first lies after end, end beyond the keys, or there is not one of each per batch row.

    Examples
    --------
    >>> KeyRanges(first=1, end=3).visible(1, 4).astype(int)
    array([[0, 1, 1, 0]])
    """

    first: PerBatch
    end: PerBatch

    def __post_init__(self) -> None:
        for name in ("first", "end"):
            numbers = read_per_batch(getattr(self, name), f"KeyRanges({name}=)", minimum=0)
            object.__setattr__(self, name, numbers)
        lengths = {len(each) for each in (self.first, self.end) if not isinstance(each, int)}
        if len(lengths) > 1:
            raise AttentionMaskError(
                f"KeyRanges: first has {rows_of(self.first)} entries and end has {rows_of(self.end)}, "
                "expected one of each per batch row."
            )
        for batch in range(max(lengths, default=1)):
            first, end = of_batch(self.first, batch), of_batch(self.end, batch)
            if first > end:
                raise AttentionMaskError(
                    f"KeyRanges: first={first} lies after "
                    f"end={end}{in_batch_row(batch, self.first, self.end)}. "
                    "Pass first == end if no key is real."
                )

    def __str__(self) -> str:
        return f"KeyRanges(first={written(self.first)}, end={written(self.end)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.first, self.end)

    def check(self, sizes: Sizes) -> None:
        check_per_batch(self.first, "KeyRanges(first=)", sizes.batch)
        check_per_batch(self.end, "KeyRanges(end=)", sizes.batch)
        self._check_end(sizes)

    def _check_end(self, sizes: Sizes) -> None:
        longest = last_end(self.end)
        if longest > sizes.key_len:
            raise AttentionMaskError(
                f"{self} asks for {longest} keys, expected at most key_len={sizes.key_len}: it counts the "
                "keys of this "
                "call, including cached ones."
            )

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        first, end = (column(each)[:, None, :, None] for each in (self.first, self.end))
        keys = np.arange(sizes.key_len)
        return (first <= keys) & (keys < end)

    def runs(self, sizes: Sizes) -> Runs | None:
        return runs_from(column(self.first)[..., None], column(self.end)[..., None], sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        first, end = of_batch(self.first, slot.batch), of_batch(self.end, slot.batch)
        shown = first <= slot.key < end
        real = f"keys {first} to {end - 1} are real"
        if end - first < 2:
            real = f"only key {first} is real" if first < end else "no key is real"
        row = in_batch_row(slot.batch, self.first, self.end)
        return shown, f"key {slot.key} is {'no padding' if shown else 'padding'}: {real}{row}"

    def implied_sizes(self) -> Sizes:
        return Sizes(max(rows_of(self.first), rows_of(self.end)), 0, 0, last_end(self.end))

    def keys_to_draw(self) -> int:
        return last_end(self.end) + 2


class KeyLengths(KeyRanges):
    """Show every query the first `lengths` keys: padding on the right.

    visible(i, j) = j < length

    Parameters
    ----------
    lengths : int or sequence of int
        The number of real keys; one for all batch rows, or one for each.

    Raises
    ------
    AttentionMaskError
        If a length is negative, exceeds the keys, or there is not one per batch row.

    Examples
    --------
    >>> KeyLengths(2).visible(1, 4).astype(int)
    array([[1, 1, 0, 0]])
    """

    def __init__(self, lengths: PerBatch) -> None:
        super().__init__(0, read_per_batch(lengths, "KeyLengths(lengths)", minimum=0))

    def __str__(self) -> str:
        return f"KeyLengths({written(self.end)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.end,)

    def check(self, sizes: Sizes) -> None:
        check_per_batch(self.end, "KeyLengths(lengths)", sizes.batch)
        self._check_end(sizes)


@dataclass(frozen=True, eq=False, repr=False)
class Prefix(Mask):
    """Show every query the first `length` keys. `Causal() | Prefix(length)` is a prefix language model.

    visible(i, j) = j < length

    Parameters
    ----------
    length : int or sequence of int
        The length of the prefix; one for all batch rows, or one for each. It may exceed the number of keys.

    Raises
    ------
    AttentionMaskError
        If a length is negative, or there is not one per batch row.

    Examples
    --------
    >>> from attnscope.problem import Causal
    >>> (Causal() | Prefix(2)).visible(3, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """

    length: PerBatch

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", read_per_batch(self.length, "Prefix(length)", minimum=0))

    def __str__(self) -> str:
        return f"Prefix({written(self.length)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.length,)

    def check(self, sizes: Sizes) -> None:
        check_per_batch(self.length, "Prefix(length)", sizes.batch)

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        return np.arange(sizes.key_len) < column(self.length)[:, None, :, None]

    def runs(self, sizes: Sizes) -> Runs | None:
        end = column(self.length)[..., None]
        return runs_from(np.zeros_like(end), end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        length = of_batch(self.length, slot.batch)
        shown = slot.key < length
        verb = "belongs" if shown else "does not belong"
        keys = {0: "which is empty", 1: "key 0"}.get(length, f"keys 0 to {length - 1}")
        row = in_batch_row(slot.batch, self.length)
        return shown, f"key {slot.key} {verb} to the prefix, {keys}{row}"

    def implied_sizes(self) -> Sizes:
        return Sizes(rows_of(self.length), 0, 0, 0)

    def keys_to_draw(self) -> int:
        return min(max(8, last_end(self.length) + 2), MOST_KEYS_DRAWN)
