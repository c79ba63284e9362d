"""Masks by where a key stands in its row, whoever asks: which keys are real, and which come first."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.errors import AttentionMaskError
from attnscope.problem.mask import Bools, Mask
from attnscope.problem.per_batch import (
    PerBatch,
    check_per_batch,
    column,
    in_batch_row,
    of_batch,
    read_per_batch,
    rows_of,
    written,
)
from attnscope.problem.runs import Runs, runs_from
from attnscope.problem.sizes import Sizes, Slot

MOST_KEYS_DRAWN = 4096


@dataclass(frozen=True, eq=False, repr=False)
class KeyRanges(Mask):
    """Only the keys from `first` to before `end` are real, for every query: padding to the left, or on both sides.

    visible(i, j)  =  first <= j < end         one pair of numbers, or one for each batch row

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
                "expected one of each for a batch row."
            )
        for batch in range(max(lengths, default=1)):
            first, end = of_batch(self.first, batch), of_batch(self.end, batch)
            if first > end:
                raise AttentionMaskError(
                    f"KeyRanges: first={first} lies after end={end}{in_batch_row(batch, self.first, self.end)}. "
                    "Pass first == end where no key is real."
                )

    def __str__(self) -> str:
        return f"KeyRanges(first={written(self.first)}, end={written(self.end)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.first, self.end)

    def check(self, sizes: Sizes) -> None:
        check_per_batch(self.first, "KeyRanges(first=)", sizes.batch)
        check_per_batch(self.end, "KeyRanges(end=)", sizes.batch)
        self.check_end(sizes)

    def check_end(self, sizes: Sizes) -> None:
        """Raise AttentionMaskError for real keys that are not there."""
        longest = last_end(self.end)
        if longest > sizes.key_len:
            raise AttentionMaskError(
                f"{self} asks for {longest} keys, expected at most key_len={sizes.key_len}: it counts the keys of this "
                "call, the cached ones included."
            )

    def sees(self, sizes: Sizes, _: range) -> Bools:
        first, end = (column(each)[:, None, :, None] for each in (self.first, self.end))
        keys = np.arange(sizes.key_len)
        return (first <= keys) & (keys < end)

    def runs(self, sizes: Sizes) -> Runs | None:
        return runs_from(column(self.first)[..., None], column(self.end)[..., None], sizes.key_len)

    def reason(self, slot: Slot, _: Sizes) -> tuple[bool, str]:
        first, end = of_batch(self.first, slot.batch), of_batch(self.end, slot.batch)
        return real_or_padding(
            type(self).__name__, slot, first, end, in_batch_row(slot.batch, self.first, self.end)
        )

    def implied_sizes(self) -> Sizes:
        return Sizes(max(rows_of(self.first), rows_of(self.end)), 0, 0, last_end(self.end))

    def keys_to_draw(self) -> int:
        return last_end(self.end) + 2


class KeyLengths(KeyRanges):
    """Only the first `lengths` keys are real, for every query: padding to the right.

    visible(i, j)  =  j < length              one length, or one for each batch row

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
        self.check_end(sizes)


@dataclass(frozen=True, eq=False, repr=False)
class Prefix(Mask):
    """Every query sees the first `length` keys: `Causal() | Prefix(length)` is a prefix language model.

    visible(i, j)  =  j < length              one length, or one for each batch row; it may exceed the keys there are

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

    def sees(self, sizes: Sizes, _: range) -> Bools:
        return np.arange(sizes.key_len) < column(self.length)[:, None, :, None]

    def runs(self, sizes: Sizes) -> Runs | None:
        end = column(self.length)[..., None]
        return runs_from(np.zeros_like(end), end, sizes.key_len)

    def reason(self, slot: Slot, _: Sizes) -> tuple[bool, str]:
        length = of_batch(self.length, slot.batch)
        shown = slot.key < length
        verb = "belongs" if shown else "does not belong"
        keys = {0: "which is empty", 1: "key 0"}.get(length, f"keys 0 to {length - 1}")
        return (
            shown,
            f"Prefix, key {slot.key} {verb} to the prefix, {keys}{in_batch_row(slot.batch, self.length)}",
        )

    def implied_sizes(self) -> Sizes:
        return Sizes(rows_of(self.length), 0, 0, 0)

    def keys_to_draw(self) -> int:
        return min(max(8, last_end(self.length) + 2), MOST_KEYS_DRAWN)


def last_end(end: PerBatch) -> int:
    """The last of all batch rows; 0 for none."""
    return end if isinstance(end, int) else max((int(each) for each in end), default=0)


def real_or_padding(name: str, slot: Slot, first: int, end: int, where: str) -> tuple[bool, str]:
    """Whether a key lies among the real ones, first ... end - 1, in words."""
    real = f"keys {first} to {end - 1} are real"
    if end - first < 2:
        real = f"only key {first} is real" if first < end else "no key is real"
    if first <= slot.key < end:
        return True, f"{name}, key {slot.key} is no padding: {real}{where}"
    return False, f"{name}, key {slot.key} is padding: {real}{where}"
