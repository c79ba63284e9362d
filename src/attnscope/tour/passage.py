"""The passage that the model copies best: where it is, and where the model copies it from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.models import HeadReading
from attnscope.problem import Causal
from attnscope.reference import weights as reference_weights
from attnscope.tour.text import CONTINUATION_BYTES, FIRST_NOT_ASCII

BLOCK_ROWS = 128
LETTERS = np.array([byte >= FIRST_NOT_ASCII or chr(byte).isalpha() for byte in range(256)])
BEGINS_A_WORD = LETTERS & ~np.isin(np.arange(256), list(CONTINUATION_BYTES))
FAR = 256  # bytes back: a nearer source is not impressive
WORTH_NEARBY = 0.1


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """Statistics of the rows first, first + 1, ... of one head; each array has the shape (rows,).

    max_key       the key with the largest weight
    max_weight    its weight
    mass          the weight on keys; the rest is on the sink
    entropy       in nats, of the weights on keys divided by their sum
    """

    first: int
    max_key: NDArray[np.int64]
    max_weight: NDArray[np.float64]
    mass: NDArray[np.float64]
    entropy: NDArray[np.float64]


@dataclass(frozen=True)
class Passage:
    """Rows first, ..., first + length - 1 predict the next byte by reading source, source + 1, ...

    The length is 0 if nothing in the text occurred before.
    """

    first: int
    length: int
    source: int


def head_weights(head: HeadReading, first: int, end: int) -> NDArray[np.float64]:
    """The weights of the queries first <= i < end on all keys up to them, causal: (end - first, end)."""
    return reference_weights(
        head.query[first:end],
        head.key[:end],
        mask=Causal(),
        scale=1.0,
        alibi_slopes=[head.slope],
        sinks=[head.sink],
    )


def row_statistics(head: HeadReading, first: int) -> RowStatistics:
    """Statistics of all rows from `first` on, computed in blocks of rows."""
    parts = []
    for start in range(first, len(head.query), BLOCK_ROWS):
        weights = head_weights(head, start, min(start + BLOCK_ROWS, len(head.query)))
        parts.append((weights.argmax(axis=-1), weights.max(axis=-1), weights.sum(axis=-1), entropy(weights)))
    return RowStatistics(first, *(np.concatenate(part) for part in zip(*parts, strict=True)))


def entropy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The entropy -sum_j p_j ln p_j of each row in nats, with p = w / sum(w).

    With weights w of sum m, it is (-sum_j w_j ln w_j) / m + ln m. A row with all weight on its sink has
    entropy 0.

    >>> float(np.exp(entropy(np.array([0.25, 0.25, 0.25, 0.25]))))  # four equal weights: four effective keys
    4.0
    """
    mass = weights.sum(axis=-1)
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    divisor = np.where(mass > 0, mass, 1.0)
    nats: NDArray[np.float64] = np.log(divisor) - (weights * logs).sum(axis=-1) / divisor
    return np.maximum(nats, 0.0)


def find_passage(text: NDArray[np.uint8], right: NDArray[np.bool_], induction: RowStatistics) -> Passage:
    """The longest run of rows that predict correctly by copying from one place.

    Parameters
    ----------
    text : ndarray of uint8, (tokens,)
        The text.
    right : ndarray of bool, (tokens - 1,)
        Whether row i predicts byte i + 1.
    induction : RowStatistics
        The rows of the induction head.

    Returns
    -------
    Passage
        The run with the most letters, each counted with its weight, and with less if its source is near.
    """
    first = induction.first
    source = induction.max_key[: len(text) - 1 - first]
    copies = right[first:] & (text[source] == text[first + 1 :])
    continues = copies[1:] & copies[:-1] & (np.diff(source) == 1)
    starts = np.flatnonzero(copies & ~np.concatenate([[False], continues]))
    if len(starts) == 0:
        return Passage(max(first, len(text) - 2), 0, 0)
    ends = np.flatnonzero(copies & ~np.concatenate([continues, [False]])) + 1
    distance = np.arange(first, first + len(source)) - source
    worth = LETTERS[text[first + 1 :]] * induction.max_weight[: len(copies)]
    worth *= np.where(distance >= FAR, 1.0, WORTH_NEARBY)
    so_far = np.concatenate([[0.0], np.cumsum(worth)])
    best = int(np.argmax(so_far[ends] - so_far[starts]))
    start, end = int(starts[best]), int(ends[best])
    while start < end - 1 and not BEGINS_A_WORD[text[first + start + 1]]:
        start += 1  # the cut is before a letter, and between two characters
    return Passage(first + start, end - start, int(source[start]))
