"""The passage that the model copies best: where it stands, and where the model has it from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.tour.rows import RowStatistics

LETTERS = np.array([byte < 0x80 and chr(byte).isalpha() for byte in range(256)])


@dataclass(frozen=True)
class Passage:
    """Rows first, ..., first + length - 1 each foretell the next byte, by reading source, source + 1, ...

    length 0: nothing in the text occurred before.
    """

    first: int
    length: int
    source: int


def find_passage(text: NDArray[np.uint8], right: NDArray[np.bool_], induction: RowStatistics) -> Passage:
    """The longest run of rows that are right by copying from one place; letters read there alone count.

    Shapes
        text     (tokens,)
        right    (tokens - 1,)      row i foretold byte i + 1
    """
    first = induction.first
    source = induction.max_key[: len(text) - 1 - first]
    copies = right[first:] & (text[source] == text[first + 1 :])
    goes_on = copies[1:] & copies[:-1] & (np.diff(source) == 1)
    starts = np.flatnonzero(copies & ~np.concatenate([[False], goes_on]))
    if len(starts) == 0:
        return Passage(max(first, len(text) - 2), 0, 0)
    ends = np.flatnonzero(copies & ~np.concatenate([goes_on, [False]])) + 1
    worth = LETTERS[text[first + 1 :]] * induction.max_weight[: len(copies)]
    so_far = np.concatenate([[0.0], np.cumsum(worth)])
    best = int(np.argmax(so_far[ends] - so_far[starts]))
    start, end = int(starts[best]), int(ends[best])
    return Passage(first + start, end - start, int(source[start]))
