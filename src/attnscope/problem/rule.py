"""What each mask defines for itself: which keys each query sees, as entries, as runs and in words."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.problem.per_batch import PerBatch
from attnscope.problem.runs import Runs
from attnscope.problem.shape import Sizes, Slot

Bools = NDArray[np.bool_]


class Reason(NamedTuple):
    """Why one mask shows or hides an entry.

    Parameters
    ----------
    visible : bool
        Whether this mask shows the entry.
    mask : str
        The name of the mask's class, such as "Causal".
    text : str
        The reason, such as "key 7 comes after query 3".
    """

    visible: bool
    mask: str
    text: str


class Rule:
    """A rule for which keys each query sees. Immutable; compares and hashes by content.

    `Mask` adds what users call. A new mask defines `identity`, `sees`, `runs` and `reason`, and of the
    others those for which the answer here is wrong.
    """

    held_bytes = 0  # of arrays that the mask keeps alive
    depth = 1

    def __init_subclass__(cls) -> None:
        """Give methods that a subclass overrides the documentation of the method here."""
        for name, method in vars(cls).items():
            if callable(method) and not name.startswith("_") and method.__doc__ is None:
                method.__doc__ = getattr(Rule, name).__doc__

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Rule) or type(self) is not type(other):
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

    def identity(self) -> tuple[Any, ...]:
        """Return what makes two masks of this type equal: their arguments.

        Returns
        -------
        tuple
            Hashable.
        """
        raise NotImplementedError

    def check(self, sizes: Sizes, /) -> None:
        """Check that the mask fits a score matrix.

        Parameters
        ----------
        sizes : Sizes
            (batch, heads, query_len, key_len).

        Raises
        ------
        AttentionMaskError
            If it does not.
        """

    def sees(self, sizes: Sizes, queries: range, /) -> Bools:
        """Write out the rows of some queries.

        Parameters
        ----------
        sizes : Sizes
            (batch, heads, query_len, key_len).
        queries : range
            Indices of the queries.

        Returns
        -------
        ndarray of bool, broadcastable to (batch, heads, len(queries), key_len)
            True = visible.
        """
        raise NotImplementedError

    def runs(self, sizes: Sizes, /) -> Runs | None:
        """Describe the rows as runs of visible keys, without the matrix.

        Parameters
        ----------
        sizes : Sizes
            (batch, heads, query_len, key_len).

        Returns
        -------
        Runs or None
            None if rows have too many runs.
        """
        raise NotImplementedError

    def reason(self, slot: Slot, sizes: Sizes, /) -> tuple[bool, str]:
        """Decide about one entry. Simple masks define it; combined ones define reasons().

        Parameters
        ----------
        slot : Slot
            (batch, head, query, key).
        sizes : Sizes
            (batch, heads, query_len, key_len).

        Returns
        -------
        visible : bool
        text : str
            The reason.
        """
        raise NotImplementedError

    def reasons(self, slot: Slot, sizes: Sizes, /) -> tuple[bool, list[Reason]]:
        """Decide about one entry, with the reasons of the simple masks that decide.

        Parameters
        ----------
        slot : Slot
            (batch, head, query, key).
        sizes : Sizes
            (batch, heads, query_len, key_len).

        Returns
        -------
        visible : bool
        reasons : list of Reason
        """
        shown, text = self.reason(slot, sizes)
        return shown, [Reason(shown, type(self).__name__, text)]

    def implied_sizes(self) -> Sizes:
        """Return the least sizes that the mask itself requires.

        Returns
        -------
        Sizes
            0 if the mask fits any size of an axis.
        """
        return Sizes(0, 0, 0, 0)

    def standing_at(self, offset: PerBatch, /) -> Self:
        """Fix the position of the first query, unless the mask has an offset of its own.

        Parameters
        ----------
        offset : int or sequence of int
            The position, or one for each batch row.

        Returns
        -------
        Rule
        """
        return self

    def leaves(self) -> "list[Rule]":
        """List the simple masks of which this one is made.

        Returns
        -------
        list of Rule
        """
        return [self]

    def keys_to_draw(self) -> int:
        """Return how many keys show what is characteristic of the mask.

        Returns
        -------
        int
        """
        return 8
