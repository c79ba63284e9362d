"""The passage that the model copies best: where it stands, and where the model has it from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.tour.rows import RowStatistics
from attnscope.tour.text import CONTINUATION_BYTES, FIRST_NOT_ASCII

LETTERS = np.array([byte >= FIRST_NOT_ASCII or chr(byte).isalpha() for byte in range(256)])
BEGINS_A_WORD = LETTERS & ~np.isin(np.arange(256), list(CONTINUATION_BYTES))
FAR = 256  # bytes back: what stands nearer is no feat to find
WORTH_NEARBY = 0.1


@dataclass(frozen=True)
class Passage:
    """Rows first, ..., first + length - 1 each foretell the next byte, by reading source, source + 1, ...

    length 0: nothing in the text occurred before.
    """

    first: int
    length: int
    source: int


def find_passage(text: NDArray[np.uint8], right: NDArray[np.bool_], induction: RowStatistics) -> Passage:
    """The longest run of rows that are right by copying from one place.

    Length counts in letters, by how much of the weight lies on that place; what stands nearby counts little.

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
    distance = np.arange(first, first + len(source)) - source
    worth = LETTERS[text[first + 1 :]] * induction.max_weight[: len(copies)]
    worth *= np.where(distance >= FAR, 1.0, WORTH_NEARBY)
    so_far = np.concatenate([[0.0], np.cumsum(worth)])
    best = int(np.argmax(so_far[ends] - so_far[starts]))
    start, end = int(starts[best]), int(ends[best])
    while start < end - 1 and not BEGINS_A_WORD[text[first + start + 1]]:
        start += 1  # so that the cut falls before a letter, and between two characters
    return Passage(first + start, end - start, int(source[start]))
