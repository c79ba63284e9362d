"""Where one sequence's tokens lie in one layer."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PageTable(NamedTuple):
    """The pages of one sequence in one layer. A change makes a new table: no table is changed in place.

    Parameters
    ----------
    tokens : int
        How many tokens the sequence has, including those that a window has dropped.
    dropped : int
        How many blocks at the start are given back, because no later query sees them.
    pages : array of int32
        The page of each block of page_tokens tokens, in order. 0, which is not read, for a dropped block.
    """

    tokens: int
    dropped: int
    pages: "array[int]"

    @property
    def kept(self) -> "array[int]":
        """The pages that the table refers to."""
        return self.pages[self.dropped :] if self.dropped else self.pages


EMPTY = PageTable(0, 0, array("i"))


def block_table(pages: Sequence["array[int]"]) -> NDArray[np.int32]:
    """The pages of some tables side by side, (sequences, most blocks of any)."""
    blocks = max(map(len, pages), default=0)
    zeros = bytes(4 * blocks)
    rows = bytearray().join([part for each in pages for part in (each, zeros[4 * len(each) :])])
    return np.frombuffer(rows, np.int32).reshape(len(pages), blocks)
