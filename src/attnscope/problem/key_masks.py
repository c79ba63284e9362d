"""Masks that are about the keys themselves: how many are real, which document they belong to, or any bits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionMaskError
from attnscope.problem.mask import Bools, Mask, PerBatch, Sizes, Slot
from attnscope.problem.position_masks import Offset, position_of, query_positions, read_offset, standing
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
        """first and end as they were read."""
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

    >>> (Causal(offset=0) | Prefix(2)).visible(3, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [1, 1, 1]])
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
        return shown, f"Prefix, key {slot.key} {verb} the first {self.lengths.of(slot.batch)}, which all queries see"

    def natural_sizes(self) -> Sizes:
        return Sizes(len(self.lengths.numbers), 1, 0, min(max(self.lengths.numbers) + 2, 4096))


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
        """(batch or 1, key_len)"""
        return np.asarray(self.ids)

    def __str__(self) -> str:
        rows = [
            str(row.tolist()) if row.size <= 16 else f"[{', '.join(map(str, row[:8]))}, ... {row.size} ids]"
            for row in self.table[:4]
        ]
        ids = rows[0] if len(self.table) == 1 else f"[{', '.join(rows)}{', ...' if len(self.table) > 4 else ''}]"
        return f"Documents({ids}{'' if self.first_position is None else f', offset={self.first_position}'})"

    def identity(self) -> tuple[Any, ...]:
        return (self.table.shape, self.table.tobytes(), self.first_position)

    def check(self, sizes: Sizes) -> None:
        rows, key_len = self.table.shape
        if key_len != sizes.key_len:
            raise AttentionMaskError(f"Documents(ids) names {key_len} keys, expected key_len={sizes.key_len}.")
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
            return False, f"Documents, {standing(slot, position)} stands outside the keys"
        own, other = int(ids[position]), int(ids[slot.key])
        if own == other:
            return True, f"Documents, key {slot.key} and {standing(slot, position)} both belong to document {own}"
        return False, f"Documents, key {slot.key} belongs to document {other} and {standing(slot, position)} to {own}"

    def natural_sizes(self) -> Sizes:
        return Sizes(len(self.table), 1, 0, self.table.shape[1])


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


class Dense(Mask):
    """Any bits: a NumPy bool array, True = visible. Kept as bits, an eighth of the array's memory.

    Shapes
        visible    broadcasts to (batch, query_heads, query_len, key_len)

    >>> Dense(np.array([[True, False]])).visible(1, 2).astype(int)
    array([[1, 0]])
    """

    def __init__(self, visible: Bools) -> None:
        if not isinstance(visible, np.ndarray) or visible.dtype != np.bool_:
            raise AttentionMaskError(_not_bool(visible))
        if not 1 <= visible.ndim <= 4:
            raise AttentionMaskError(
                f"mask has shape {list(visible.shape)}, expected 1 to 4 axes that broadcast to "
                "[batch, query_heads, query_len, key_len]."
            )
        self.__dict__["shape"] = (1,) * (4 - visible.ndim) + visible.shape
        bits = np.packbits(visible.reshape(self.shape), axis=-1, bitorder="little")
        bits.setflags(write=False)
        self.__dict__["bits"] = bits

    shape: tuple[int, int, int, int]
    bits: NDArray[np.uint8]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Dense is immutable: make a new one instead of setting {name}")

    def __str__(self) -> str:
        return f"Dense({list(self.shape)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.shape, self.bits.tobytes())

    def check(self, sizes: Sizes) -> None:
        for axis, name in enumerate(("batch", "query_heads", "query_len", "key_len")):
            if self.shape[axis] not in (1, sizes[axis]):
                raise AttentionMaskError(
                    f"mask has shape {list(self.shape)}: its axis {axis - 4} is {self.shape[axis]}, expected {name}="
                    f"{sizes[axis]} or 1. A mask broadcasts to [batch, query_heads, query_len, key_len]; a padding mask "
                    "[batch, key_len] is mask[:, None, None, :]."
                )

    def sees(self, sizes: Sizes) -> Bools:
        return np.unpackbits(self.bits, axis=-1, count=self.shape[-1], bitorder="little").view(np.bool_)

    def runs(self, sizes: Sizes) -> Runs | None:
        return None

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        batch, head, query, key = (i if n > 1 else 0 for i, n in zip(slot, self.shape, strict=True))
        shown = bool(self.bits[batch, head, query, key // 8] >> (key % 8) & 1)
        return shown, f"Dense, the array holds {shown} for query {slot.query} and key {slot.key}"

    def natural_sizes(self) -> Sizes:
        batch, heads, query_len, key_len = self.shape
        return Sizes(batch, heads, query_len, key_len)


def _not_bool(given: Any) -> str:
    if isinstance(given, np.ndarray) and given.dtype.kind == "f":
        return (
            f"mask is an array of {given.dtype}, expected bool with True = visible. "
            "Scores that are added are a bias: pass bias=."
        )
    if isinstance(given, np.ndarray):
        return f"mask is an array of {given.dtype}, expected bool with True = visible. Pass mask.astype(bool)."
    return (
        f"mask is a {type(given).__name__}, expected a mask such as Causal(), or a NumPy bool array with True = visible."
    )
