"""Masks: what every mask can do, and how two of them combine."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn, Self

import numpy as np

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionMaskError
from attnscope.problem.drawing import draw
from attnscope.problem.per_batch import PerBatch
from attnscope.problem.rule import Bools, Reason, Rule
from attnscope.problem.runs import Runs, intersection, union
from attnscope.problem.shape import Sizes, Slot

MOST_ENTRIES = 2**40  # that visible() writes out
DEEPEST = 100  # levels of masks inside one another
MOST_TOKENS_DRAWN = 2**18
MOST_ENTRIES_DRAWN = 2**22  # of a mask without runs


class Mask(Rule):
    """A symbolic description of which keys each query sees. True means visible.

    `a & b` shows what both masks show, `a | b` what either shows. Masks are immutable. They compare and
    hash by content, print as the expression that makes them, and `repr` adds a drawing.

    Notes
    -----
    A mask takes memory that does not depend on the number of queries. Computing with it takes memory in
    proportion to the rows, never to rows times keys, unless a row has more than two runs of visible keys.

    Examples
    --------
    >>> from attnscope.problem import Causal, KeyLengths
    >>> (Causal() & KeyLengths(2)).visible(3, 3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 0]])
    """

    __array_ufunc__ = None  # so that `array & mask` calls the mask's operator

    def __init__(self) -> None:
        raise AttentionMaskError(
            "Mask is the base class of all masks, expected one of them: Causal(), Window(...), ..."
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
            "a mask is neither true nor false: combine masks with & and |, not with `and` and `or`, "
            "and test for an absent one with `mask is None`."
        )

    def visible(self, query_len: int, key_len: int, *, batch: int = 1, heads: int = 1) -> Bools:
        """Write the mask out as an array, entry by entry, from its definition.

        Parameters
        ----------
        query_len, key_len : int
            Numbers of queries and keys.
        batch, heads : int, default 1
            Numbers of batch rows and query heads.

        Returns
        -------
        ndarray of bool, shape (query_len, key_len) or (batch, heads, query_len, key_len)
            The former if batch and heads are both 1.

        Raises
        ------
        AttentionMaskError
            If the mask does not fit these sizes.
        """
        given = zip(Sizes._fields, (batch, heads, query_len, key_len), strict=True)
        sizes = Sizes(*(whole_number(size, name, minimum=0) for name, size in given))
        if prod(sizes) >= MOST_ENTRIES:
            raise AttentionMaskError(
                f"visible() writes out every entry, and {list(sizes)} are too many: expected less than "
                "2**40. "
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
        """Explain in a sentence whether a query sees a key.

        Parameters
        ----------
        query, key : int
            Indices of the query and of the key.
        query_len, key_len : int, optional
            Sizes of the score matrix. Without them it is square, and as large as the mask or the entry
            requires.
        batch, head : int, default 0
            Indices of the batch row and of the query head.

        Returns
        -------
        str
            "visible: " or "hidden: ", and the reason.

        Raises
        ------
        AttentionMaskError
            If the entry lies outside the sizes, or the mask does not fit them.

        Examples
        --------
        >>> from attnscope.problem import Causal
        >>> Causal().explain(query=3, key=7)
        'hidden: Causal, key 7 comes after query 3'
        """
        shown, reasons = self.why(
            query=query, key=key, query_len=query_len, key_len=key_len, batch=batch, head=head
        )
        text = "; and ".join(f"{reason.mask}, {reason.text}" for reason in reasons)
        return f"{'visible' if shown else 'hidden'}: {text}"

    def why(
        self,
        *,
        query: int,
        key: int,
        query_len: int | None = None,
        key_len: int | None = None,
        batch: int = 0,
        head: int = 0,
    ) -> tuple[bool, list[Reason]]:
        """Decide whether a query sees a key, with the reasons: explain() as data.

        Parameters
        ----------
        query, key, query_len, key_len, batch, head : int
            As in explain().

        Returns
        -------
        visible : bool
        reasons : list of Reason
            Of the simple masks that decide: all that hide the entry if it is hidden.

        Raises
        ------
        AttentionMaskError
            As explain() does.
        """
        slot = Slot(batch, head, query, key)
        slot = Slot(*(whole_number(i, name, minimum=0) for name, i in zip(Slot._fields, slot, strict=True)))
        sizes = self._sizes_around(slot, query_len, key_len)
        for name, index, axis, size in zip(Slot._fields, slot, Sizes._fields, sizes, strict=True):
            if index >= size:
                raise AttentionMaskError(_outside(name, index, axis, size))
        self.check(sizes)
        return self.reasons(slot, sizes)

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

    def __repr__(self) -> str:
        return f"{self}\n{self._picture()}"

    def _picture(self) -> str:
        """Draw the mask on the largest square that one of its parts asks for and all of them fit."""
        sizes = self._sizes_to_draw()
        if sizes is None:
            return "  (its parts are made for different sizes)"
        seen: Runs | Bools | None = None
        if max(sizes) <= MOST_TOKENS_DRAWN:
            seen = self.runs(sizes)
            if seen is None and prod(sizes) <= MOST_ENTRIES_DRAWN:
                seen = np.broadcast_to(self.sees(sizes, sizes.queries), tuple(sizes))[0, 0]
        if seen is None:
            return f"  (too large to draw: {sizes.query_len} queries x {sizes.key_len} keys)"
        named = (("batch row", sizes.batch), ("head", sizes.heads))
        several = ", ".join([f"{axis} 0 of {size}" for axis, size in named if size > 1])
        return draw(seen, sizes.query_len, sizes.key_len) + (f"\n  ({several})" if several else "")

    def _sizes_to_draw(self) -> Sizes | None:
        implied = self.implied_sizes()
        batch, heads = implied.batch or 1, implied.heads or 1
        for key_len in sorted({part.keys_to_draw() for part in self.leaves()}, reverse=True):
            sizes = Sizes(batch, heads, implied.query_len or key_len, key_len)
            try:
                self.check(sizes)
            except AttentionMaskError:
                continue
            return sizes
        return None


@dataclass(frozen=True, eq=False, repr=False)
class Combined(Mask):
    """Two masks as one."""

    left: Mask
    right: Mask

    def __post_init__(self) -> None:
        depth = 1 + max(self.left.depth, self.right.depth)
        if depth > DEEPEST:
            raise AttentionMaskError(
                f"masks are combined {depth} deep, expected {DEEPEST} at most. Use one Documents(ids), or "
                "one bool "
                "array, instead of many parts."
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

    def leaves(self) -> list[Rule]:
        return self.left.leaves() + self.right.leaves()

    def standing_at(self, offset: PerBatch) -> Self:
        return type(self)(self.left.standing_at(offset), self.right.standing_at(offset))

    def _parts(self) -> list[Mask]:
        """The masks that this operator combines, from left to right."""
        flat: list[Mask] = []
        for side in (self.left, self.right):
            flat += side._parts() if isinstance(side, type(self)) else [side]  # noqa: SLF001  # of the same class
        return flat

    def _joined_runs(self, sizes: Sizes, join: Callable[[Runs, Runs, int], Runs | None]) -> Runs | None:
        left = self.left.runs(sizes)
        right = None if left is None else self.right.runs(sizes)
        return None if left is None or right is None else join(left, right, sizes.key_len)


class And(Combined):
    """Shows what both masks show."""

    def __str__(self) -> str:
        return " & ".join([f"({part})" if isinstance(part, Or) else str(part) for part in self._parts()])

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        both: Bools = self.left.sees(sizes, queries) & self.right.sees(sizes, queries)
        return both

    def runs(self, sizes: Sizes) -> Runs | None:
        return self._joined_runs(sizes, intersection)

    def reasons(self, slot: Slot, sizes: Sizes) -> tuple[bool, list[Reason]]:
        found = [part.reasons(slot, sizes) for part in self._parts()]
        hiding = [each for shown, reasons in found if not shown for each in reasons]
        return not hiding, hiding or [each for _, reasons in found for each in reasons]


class Or(Combined):
    """Shows what either mask shows."""

    def __str__(self) -> str:
        return " | ".join([str(part) for part in self._parts()])

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        either: Bools = self.left.sees(sizes, queries) | self.right.sees(sizes, queries)
        return either

    def runs(self, sizes: Sizes) -> Runs | None:
        return self._joined_runs(sizes, union)

    def reasons(self, slot: Slot, sizes: Sizes) -> tuple[bool, list[Reason]]:
        found = [part.reasons(slot, sizes) for part in self._parts()]
        showing = [reasons for shown, reasons in found if shown]
        return bool(showing), showing[0] if showing else [each for _, reasons in found for each in reasons]


def _outside(name: str, index: int, axis: str, size: int) -> str:
    if name in ("query", "key"):
        return (
            f"{name}={index} lies outside {axis}={size}. Pass the sizes that are meant: query_len=, key_len=."
        )
    return f"{name}={index}: expected an index from 0 to {size - 1}, as the mask was made for {size}."


def joinable(other: Any) -> Mask:
    """The other operand of & or |; raise AttentionMaskError unless it is a mask."""
    if not issubclass(type(other), Mask):
        way_out = "Pass Dense(array)." if isinstance(other, np.ndarray) else "Make one, such as Causal()."
        raise AttentionMaskError(f"a mask is combined with {brief(other)}, expected another mask. {way_out}")
    mask: Mask = other
    return mask
