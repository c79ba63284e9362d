"""Masks that are about the keys alone: which of them are real, and which everybody sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionMaskError
from attnscope.problem.mask import Bools, Mask, PerBatch, Sizes, Slot
from attnscope.problem.runs import Runs, runs_from

Lengths = int | Sequence[int] | NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class KeyRanges(Mask):
    """Only the keys from `first` to before `end` are real, for every query: padding to the left, or on both sides.

    visible(i, j)  =  first <= j < end         one pair of numbers, or one for each batch row

    >>> KeyRanges(first=1, end=3).visible(1, 4).astype(int)
    array([[0, 1, 1, 0]])
    """

    first: Lengths
    end: Lengths

    def __post_init__(self) -> None:
        name = type(self).__name__
        first = PerBatch.read(self.first, f"{name}(first=)", minimum=0)
        end = PerBatch.read(self.end, f"{name}(end=)", minimum=0)
        if not first.shared and not end.shared and len(first.numbers) != len(end.numbers):
            raise AttentionMaskError(
                f"{name}: first has {len(first.numbers)} entries and end has {len(end.numbers)}. Pass one of each a batch row."
            )
        for batch in range(max(len(first.numbers), len(end.numbers))):
            if first.of(batch) > end.of(batch):
                raise AttentionMaskError(
                    f"{name}: first={first.of(batch)} lies after end={end.of(batch)} in batch row {batch}. "
                    "Pass first == end where no key is real."
                )
        object.__setattr__(self, "_bounds", (first, end))

    @property
    def bounds(self) -> tuple[PerBatch, PerBatch]:
        """First and end as they were read."""
        found: tuple[PerBatch, PerBatch] = self.__dict__["_bounds"]
        return found

    def __str__(self) -> str:
        first, end = self.bounds
        return f"KeyRanges(first={first}, end={end})"

    def identity(self) -> tuple[Any, ...]:
        return self.bounds

    def check(self, sizes: Sizes) -> None:
        for name, numbers in zip(("first", "end"), self.bounds, strict=True):
            numbers.check(f"{type(self).__name__}({name}=)", sizes.batch)
        longest = max(self.bounds[1].numbers)
        if longest > sizes.key_len:
            raise AttentionMaskError(
                f"{self} reaches key {longest}, but there are {sizes.key_len} keys. Lengths count keys of this call."
            )

    def sees(self, sizes: Sizes) -> Bools:
        first, end = (numbers.column()[:, None, :, None] for numbers in self.bounds)
        keys = np.arange(sizes.key_len)
        return (first <= keys) & (keys < end)

    def runs(self, sizes: Sizes) -> Runs | None:
        first, end = (numbers.column()[..., None] for numbers in self.bounds)
        return runs_from(first, end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        first, end = (numbers.of(slot.batch) for numbers in self.bounds)
        name, where = type(self).__name__, self._where(slot)
        if slot.key < first:
            return False, f"{name}, key {slot.key} is padding before the first real key, {first}{where}"
        if slot.key >= end:
            return False, f"{name}, key {slot.key} is padding after the {end} keys that are real{where}"
        return True, f"{name}, key {slot.key} is a real key{where}"

    def _where(self, slot: Slot) -> str:
        return "" if all(numbers.shared for numbers in self.bounds) else f" in batch row {slot.batch}"

    def natural_sizes(self) -> Sizes:
        first, end = self.bounds
        batch = max(len(first.numbers), len(end.numbers))
        return Sizes(batch, 1, 0, min(max(end.numbers) + 2, 4096))


class KeyLengths(KeyRanges):
    """Only the first `lengths` keys are real, for every query: padding to the right.

    visible(i, j)  =  j < length              one length, or one for each batch row

    >>> KeyLengths(2).visible(1, 4).astype(int)
    array([[1, 1, 0, 0]])
    """

    def __init__(self, lengths: Lengths) -> None:
        PerBatch.read(lengths, "KeyLengths(lengths)", minimum=0)
        super().__init__(0, lengths)

    def __str__(self) -> str:
        return f"KeyLengths({self.bounds[1]})"


@dataclass(frozen=True, eq=False, repr=False)
class Prefix(Mask):
    """Every query sees the first `length` keys: `Causal() | Prefix(length)` is a prefix language model.

    visible(i, j)  =  j < length              one length, or one for each batch row; it may exceed the keys there are

    >>> Prefix(2).visible(1, 4).astype(int)
    array([[1, 1, 0, 0]])
    """

    length: Lengths

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lengths", PerBatch.read(self.length, "Prefix(length)", minimum=0))

    @property
    def lengths(self) -> PerBatch:
        """The length as it was read."""
        found: PerBatch = self.__dict__["_lengths"]
        return found

    def __str__(self) -> str:
        return f"Prefix({self.lengths})"

    def identity(self) -> tuple[Any, ...]:
        return (self.lengths,)

    def check(self, sizes: Sizes) -> None:
        self.lengths.check("Prefix(length)", sizes.batch)

    def sees(self, sizes: Sizes) -> Bools:
        return np.arange(sizes.key_len) < self.lengths.column()[:, None, :, None]

    def runs(self, sizes: Sizes) -> Runs | None:
        end = self.lengths.column()[..., None]
        return runs_from(np.zeros_like(end), end, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        shown = slot.key < self.lengths.of(slot.batch)
        verb = "is one of" if shown else "is not one of"
        return (
            shown,
            f"Prefix, key {slot.key} {verb} the first {self.lengths.of(slot.batch)}, which all queries see",
        )

    def natural_sizes(self) -> Sizes:
        return Sizes(len(self.lengths.numbers), 1, 0, min(max(self.lengths.numbers) + 2, 4096))
