"""Which keys a query sees: what every mask can do, and how two of them combine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionMaskError
from attnscope.problem.drawing import draw
from attnscope.problem.runs import Runs, intersection, union

Bools = NDArray[np.bool_]


class Sizes(NamedTuple):
    """The sizes that a mask is asked about."""

    batch: int
    heads: int
    query_len: int
    key_len: int


class Slot(NamedTuple):
    """One entry of the score matrix."""

    batch: int
    head: int
    query: int
    key: int


class Mask:
    """A small symbolic statement about which keys a query sees: True means visible.

    Masks combine: `a & b` shows what both show, `a | b` what either shows. They are immutable, compare and hash by
    content, print as what made them, and draw themselves where they are shown.
    """

    def __and__(self, other: "Mask") -> "And":
        return And(self, other) if isinstance(other, Mask) else NotImplemented

    def __or__(self, other: "Mask") -> "Or":
        return Or(self, other) if isinstance(other, Mask) else NotImplemented

    def visible(self, query_len: int, key_len: int, *, batch: int = 1, heads: int = 1) -> Bools:
        """Write the mask out, entry by entry, from its definition.

        Shapes
            visible    (query_len, key_len), or (batch, heads, query_len, key_len) where batch or heads is above 1
        Errors
            AttentionMaskError when the mask does not fit these sizes.
        """
        sizes = Sizes(batch, heads, query_len, key_len)
        self.check(sizes)
        full = np.broadcast_to(self.sees(sizes), tuple(sizes))
        return full[0, 0].copy() if batch == heads == 1 else full.copy()

    def explain(
        self,
        *,
        query: int,
        key: int,
        query_len: int | None = None,
        key_len: int | None = None,
        batch: int = 0,
        head: int = 0,
    ) -> str:
        """Say in a sentence whether a query sees a key, and why. Without sizes the score matrix is square.

        Errors
            AttentionMaskError when the entry lies outside the sizes, or the mask does not fit them.
        """
        natural = self.natural_sizes()
        key_len = key_len or max(natural.key_len, key + 1, 0 if query_len else query + 1)
        query_len = query_len or max(key_len, query + 1)
        slot = Slot(batch, head, query, key)
        sizes = Sizes(max(natural.batch, batch + 1), max(natural.heads, head + 1), query_len, key_len)
        for name, index, size in zip(("batch", "head", "query", "key"), slot, sizes, strict=True):
            if not 0 <= index < size:
                raise AttentionMaskError(f"{name}={index}: expected an index from 0 to {size - 1}.")
        self.check(sizes)
        shown, reason = self.reason(slot, sizes)
        return f"{'visible' if shown else 'hidden'}: {reason}"

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self.identity() == other.identity())

    def __hash__(self) -> int:
        found = self.__dict__.get("_hash")
        if found is None:
            found = hash((type(self).__name__, self.identity()))
            object.__setattr__(self, "_hash", found)
        hashed: int = found
        return hashed

    def __repr__(self) -> str:
        sizes = self._sizes_to_draw()
        if sizes is None:
            return str(self)
        return f"{self}\n{draw(np.broadcast_to(self.sees(sizes), tuple(sizes))[0, 0])}"

    def _sizes_to_draw(self) -> Sizes | None:
        """The largest sizes that one of the parts implies and all of them fit."""
        natural = self.natural_sizes()
        for key_len in sorted({part.natural_sizes().key_len or 8 for part in self.leaves()}, reverse=True):
            sizes = natural._replace(key_len=key_len, query_len=natural.query_len or key_len)
            try:
                self.check(sizes)
            except AttentionMaskError:
                continue
            return sizes
        return None

    def leaves(self) -> "list[Mask]":
        """The simple masks that this one is made of."""
        return [self]

    # What each mask says of itself

    def identity(self) -> tuple[Any, ...]:
        """What makes two masks of this type equal."""
        raise NotImplementedError

    def check(self, sizes: Sizes) -> None:
        """Raise AttentionMaskError where the mask cannot be meant for these sizes."""

    def sees(self, sizes: Sizes) -> Bools:
        """Visible or not, in a shape that broadcasts to (batch, heads, query_len, key_len)."""
        raise NotImplementedError

    def runs(self, sizes: Sizes) -> Runs | None:
        """The same as runs of keys, row by row, without the matrix; None where rows are no few runs."""
        raise NotImplementedError

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        """Whether a slot is visible, and a sentence that says why."""
        raise NotImplementedError

    def natural_sizes(self) -> Sizes:
        """Sizes that the mask itself implies, 0 tokens where it implies none; for drawing and explaining."""
        return Sizes(1, 1, 0, 0)


@dataclass(frozen=True, eq=False, repr=False)
class Combined(Mask):
    """Two masks as one."""

    left: Mask
    right: Mask

    def identity(self) -> tuple[Any, ...]:
        return (self.left, self.right)

    def check(self, sizes: Sizes) -> None:
        self.left.check(sizes)
        self.right.check(sizes)

    def natural_sizes(self) -> Sizes:
        return Sizes(
            *(max(pair) for pair in zip(self.left.natural_sizes(), self.right.natural_sizes(), strict=True))
        )

    def leaves(self) -> list[Mask]:
        return self.left.leaves() + self.right.leaves()

    def parts(self) -> list[Mask]:
        """The masks that this kind joins, from left to right."""
        flat: list[Mask] = []
        for side in (self.left, self.right):
            flat += side.parts() if isinstance(side, type(self)) else [side]
        return flat


class And(Combined):
    """Shows what both show."""

    def __str__(self) -> str:
        return " & ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts())

    def sees(self, sizes: Sizes) -> Bools:
        both: Bools = self.left.sees(sizes) & self.right.sees(sizes)
        return both

    def runs(self, sizes: Sizes) -> Runs | None:
        left, right = self.left.runs(sizes), self.right.runs(sizes)
        return None if left is None or right is None else intersection(left, right, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        found = [part.reason(slot, sizes) for part in self.parts()]
        hiding = [reason for shown, reason in found if not shown]
        return not hiding, "; and ".join(hiding or [reason for _, reason in found])


class Or(Combined):
    """Shows what either shows."""

    def __str__(self) -> str:
        return " | ".join(str(part) for part in self.parts())

    def sees(self, sizes: Sizes) -> Bools:
        either: Bools = self.left.sees(sizes) | self.right.sees(sizes)
        return either

    def runs(self, sizes: Sizes) -> Runs | None:
        left, right = self.left.runs(sizes), self.right.runs(sizes)
        return None if left is None or right is None else union(left, right, sizes.key_len)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        found = [part.reason(slot, sizes) for part in self.parts()]
        showing = [reason for shown, reason in found if shown]
        return bool(showing), showing[0] if showing else "; and ".join(reason for _, reason in found)


@dataclass(frozen=True)
class PerBatch:
    """One integer for all batch rows, or one for each."""

    numbers: tuple[int, ...]
    shared: bool

    @classmethod
    def read(cls, given: Any, name: str, *, minimum: int | None = None) -> Self:
        """Accept an int, or a sequence or NumPy array of ints, one a batch row."""
        shared = not isinstance(given, Sequence | np.ndarray) or isinstance(given, str) or np.ndim(given) == 0
        listed = [given] if shared else list(given)
        numbers = tuple(whole_number(each, name, minimum=minimum) for each in listed)
        if not numbers:
            raise AttentionMaskError(f"{name}=[]: expected an integer, or one for each batch row.")
        return cls(numbers, shared)

    def check(self, name: str, batch: int) -> None:
        if not self.shared and len(self.numbers) != batch:
            raise AttentionMaskError(
                f"{name} has {len(self.numbers)} entries, expected {batch}, one for each batch row. "
                "Pass a single integer where all batch rows share it."
            )

    def of(self, batch: int) -> int:
        return self.numbers[0 if self.shared else batch]

    def column(self) -> NDArray[np.int64]:
        """The numbers as (batch or 1, 1)."""
        return np.array(self.numbers, np.int64)[:, None]

    def __str__(self) -> str:
        return str(self.numbers[0]) if self.shared else str(list(self.numbers))


def whole_number(given: Any, name: str, *, minimum: int | None = None) -> int:
    """An int, or an error that says what came instead."""
    if isinstance(given, bool | np.bool_) or not isinstance(given, int | np.integer):
        raise AttentionMaskError(f"{name}={given!r}: expected an integer, got {type(given).__name__}.")
    if minimum is not None and given < minimum:
        raise AttentionMaskError(f"{name}={given}: expected {minimum} or more.")
    if abs(int(given)) >= 2**40:
        raise AttentionMaskError(f"{name}={given}: expected less than 2**40, no array of keys is that long.")
    return int(given)
