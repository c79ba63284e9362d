"""Which keys a query sees: what every mask can do, and how two of them combine."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionMaskError
from attnscope.problem.drawing import picture
from attnscope.problem.per_batch import PerBatch
from attnscope.problem.runs import Runs, intersection, union
from attnscope.problem.sizes import Sizes, Slot

Bools = NDArray[np.bool_]

MOST_ENTRIES = 2**40  # that visible() writes out
DEEPEST = 100  # masks inside one another


class Mask:
    """A small symbolic statement about which keys a query sees: True means visible.

    Masks combine: `a & b` shows what both show, `a | b` what either shows. They are immutable, compare and hash by
    content, print as what made them, and draw themselves where they are shown.
    """

    __array_ufunc__ = None  # so that `array & mask` asks the mask

    held_bytes = 0  # of arrays that the mask keeps alive
    depth = 1

    def __init__(self) -> None:
        raise AttentionMaskError(
            "Mask is what all masks share, expected one of them: Causal(), Window(...), ..."
        )

    def __and__(self, other: "Mask") -> "And":
        return And(self, joinable(other))

    def __or__(self, other: "Mask") -> "Or":
        return Or(self, joinable(other))

    def __rand__(self, other: Any) -> "And":
        return And(joinable(other), self)

    def __ror__(self, other: Any) -> "Or":
        return Or(joinable(other), self)

    def __bool__(self) -> NoReturn:
        raise AttentionMaskError(
            "a mask is neither true nor false: join masks by & and |, not by `and` and `or`, "
            "and ask `mask is None` where there may be none."
        )

    def visible(self, query_len: int, key_len: int, *, batch: int = 1, heads: int = 1) -> Bools:
        """Write the mask out, entry by entry, from its definition.

        Shapes
            visible    (query_len, key_len), or (batch, heads, query_len, key_len) unless both are 1
        Errors
            AttentionMaskError when the mask does not fit these sizes.
        """
        given = zip(Sizes._fields, (batch, heads, query_len, key_len), strict=True)
        sizes = Sizes(*(whole_number(size, name, minimum=0) for name, size in given))
        if prod(sizes) >= MOST_ENTRIES:
            raise AttentionMaskError(
                f"visible() writes out every entry, and {list(sizes)} are too many: expected less than 2**40. "
                "explain() answers for one entry."
            )
        self.check(sizes)
        full = np.broadcast_to(self.sees(sizes, sizes.queries), tuple(sizes))
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
        """Say in a sentence whether a query sees a key, and why.

        Without sizes the score matrix is square, and as large as the mask implies or the entry needs.

        Errors
            AttentionMaskError when the entry lies outside the sizes, or the mask does not fit them.
        """
        slot = Slot(batch, head, query, key)
        slot = Slot(*(whole_number(i, name, minimum=0) for name, i in zip(Slot._fields, slot, strict=True)))
        sizes = self._sizes_around(slot, query_len, key_len)
        for name, index, axis, size in zip(Slot._fields, slot, Sizes._fields, sizes, strict=True):
            if index >= size:
                raise AttentionMaskError(outside(name, index, axis, size))
        self.check(sizes)
        shown, reason = self.reason(slot, sizes)
        return f"{'visible' if shown else 'hidden'}: {reason}"

    def _sizes_around(self, slot: Slot, query_len: int | None, key_len: int | None) -> Sizes:
        implied = self.implied_sizes()
        if query_len is not None:
            query_len = whole_number(query_len, "query_len", minimum=0)
        if key_len is None:
            square = (
                max(implied.query_len or 0, slot.key + 1, slot.query + 1) if query_len is None else query_len
            )
            key_len = max(implied.key_len, square)
        key_len = whole_number(key_len, "key_len", minimum=0)
        if query_len is None:
            query_len = implied.query_len or key_len
        return Sizes(implied.batch or slot.batch + 1, implied.heads or slot.head + 1, query_len, key_len)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mask) or type(self) is not type(other):
            return False
        return hash(self) == hash(other) and self.identity() == other.identity()

    def __hash__(self) -> int:
        found = self.__dict__.get("_hash")
        if found is None:
            found = hash((type(self), self.identity()))
            object.__setattr__(self, "_hash", found)
        hashed: int = found
        return hashed

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a mask is immutable: make a new one instead of setting {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a mask is immutable: make a new one instead of deleting {name}")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.identity()

    def __repr__(self) -> str:
        return f"{self}\n{picture(self)}"

    def leaves(self) -> "list[Mask]":
        """The simple masks that this one is made of."""
        return [self]

    # What each mask says of itself

    def identity(self) -> tuple[Any, ...]:
        """What makes two masks of this type equal: what they were made of."""
        raise NotImplementedError

    def check(self, sizes: Sizes, /) -> None:
        """Raise AttentionMaskError where the mask cannot be meant for these sizes."""

    def sees(self, sizes: Sizes, queries: range, /) -> Bools:
        """Visible or not to some of the queries, in a shape that broadcasts to (batch, heads, queries, key_len)."""
        raise NotImplementedError

    def runs(self, sizes: Sizes, /) -> Runs | None:
        """The same as runs of keys, row by row, without the matrix; None where rows are no few runs."""
        raise NotImplementedError

    def reason(self, slot: Slot, sizes: Sizes, /) -> tuple[bool, str]:
        """Whether a slot is visible, and a sentence that says why."""
        raise NotImplementedError

    def implied_sizes(self) -> Sizes:
        """The least sizes that the mask itself asks for, 0 where it leaves one open."""
        return Sizes(0, 0, 0, 0)

    def standing_at(self, offset: PerBatch, /) -> "Mask":
        """The same mask, its first query standing at `offset` where the mask leaves that open."""
        return self

    def keys_to_draw(self) -> int:
        """How many keys show what the mask is about."""
        return 8


@dataclass(frozen=True, eq=False, repr=False)
class Combined(Mask):
    """Two masks as one."""

    left: Mask
    right: Mask

    def __post_init__(self) -> None:
        depth = 1 + max(self.left.depth, self.right.depth)
        if depth > DEEPEST:
            raise AttentionMaskError(
                f"masks are joined {depth} deep, expected {DEEPEST} at most. Many parts are one Documents(ids), "
                "or one bool array."
            )
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "held_bytes", self.left.held_bytes + self.right.held_bytes)

    def identity(self) -> tuple[Any, ...]:
        return (self.left, self.right)

    def check(self, sizes: Sizes) -> None:
        self.left.check(sizes)
        self.right.check(sizes)

    def implied_sizes(self) -> Sizes:
        return Sizes(*map(max, self.left.implied_sizes(), self.right.implied_sizes()))

    def leaves(self) -> list[Mask]:
        return self.left.leaves() + self.right.leaves()

    def standing_at(self, offset: PerBatch) -> Mask:
        return type(self)(self.left.standing_at(offset), self.right.standing_at(offset))

    def parts(self) -> list[Mask]:
        """The masks that this kind joins, from left to right."""
        flat: list[Mask] = []
        for side in (self.left, self.right):
            flat += side.parts() if isinstance(side, type(self)) else [side]
        return flat

    def joined_runs(self, sizes: Sizes, join: Callable[[Runs, Runs, int], Runs | None]) -> Runs | None:
        """Both sides' runs, joined."""
        left = self.left.runs(sizes)
        right = None if left is None else self.right.runs(sizes)
        return None if left is None or right is None else join(left, right, sizes.key_len)


class And(Combined):
    """Shows what both show."""

    def __str__(self) -> str:
        return " & ".join([f"({part})" if isinstance(part, Or) else str(part) for part in self.parts()])

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        both: Bools = self.left.sees(sizes, queries) & self.right.sees(sizes, queries)
        return both

    def runs(self, sizes: Sizes) -> Runs | None:
        return self.joined_runs(sizes, intersection)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        found = [part.reason(slot, sizes) for part in self.parts()]
        hiding = [reason for shown, reason in found if not shown]
        return not hiding, "; and ".join(hiding or [reason for _, reason in found])


class Or(Combined):
    """Shows what either shows."""

    def __str__(self) -> str:
        return " | ".join([str(part) for part in self.parts()])

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        either: Bools = self.left.sees(sizes, queries) | self.right.sees(sizes, queries)
        return either

    def runs(self, sizes: Sizes) -> Runs | None:
        return self.joined_runs(sizes, union)

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        found = [part.reason(slot, sizes) for part in self.parts()]
        showing = [reason for shown, reason in found if shown]
        return bool(showing), showing[0] if showing else "; and ".join(reason for _, reason in found)


def outside(name: str, index: int, axis: str, size: int) -> str:
    """The error's text for an entry that is not there."""
    if name in ("query", "key"):
        return f"{name}={index} lies outside {axis}={size}. Say which sizes are meant: query_len=, key_len=."
    return f"{name}={index}: expected an index from 0 to {size - 1}, as the mask was made for {size}."


def joinable(other: Any) -> Mask:
    """The other side of & or |.

    Errors
        AttentionMaskError when it is no mask.
    """
    if not issubclass(type(other), Mask):
        way_out = "Pass Dense(array)." if isinstance(other, np.ndarray) else "Make one, such as Causal()."
        raise AttentionMaskError(f"a mask is joined to {brief(other)}, expected another mask. {way_out}")
    mask: Mask = other
    return mask
