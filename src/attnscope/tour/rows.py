"""What each row of one head does, a block of rows at a time: where it looks, and how sharply."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.models import HeadReading

BLOCK_ROWS = 128


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """Of the rows first, first + 1, ... of one head.

    Shapes
        max_key     (rows,)      the key with the largest weight
        max_weight  (rows,)
        mass        (rows,)      what lies on keys; the rest lies on the sink
        entropy     (rows,)      nats; of the weights on keys, scaled to sum to one
    """

    first: int
    max_key: NDArray[np.int64]
    max_weight: NDArray[np.float64]
    mass: NDArray[np.float64]
    entropy: NDArray[np.float64]


def head_weights(head: HeadReading, first: int, end: int) -> NDArray[np.float64]:
    """The weights of the queries from first to end on all keys up to them: (end - first, end), causal."""
    return at.reference.weights(
        head.query[first:end],
        head.key[:end],
        mask=at.Causal(),
        scale=1.0,
        alibi_slopes=[head.slope],
        sinks=[head.sink],
    )


def row_statistics(head: HeadReading, first: int) -> RowStatistics:
    """Statistics of all rows from first on, in memory of a few rows."""
    parts = []
    for start in range(first, len(head.query), BLOCK_ROWS):
        weights = head_weights(head, start, min(start + BLOCK_ROWS, len(head.query)))
        parts.append((weights.argmax(axis=-1), weights.max(axis=-1), weights.sum(axis=-1), entropy(weights)))
    return RowStatistics(first, *(np.concatenate(part) for part in zip(*parts, strict=True)))


def entropy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """-sum_j w_j log w_j of each row, scaled to sum to one, in nats.

    With weights w that sum to m, this is (-sum_j w_j log w_j) / m + log m.

    >>> float(np.exp(entropy(np.array([0.25, 0.25, 0.25, 0.25]))))  # four equal weights: four effective keys
    4.0
    """
    mass = weights.sum(axis=-1)
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    anchor = np.where(mass > 0, mass, 1.0)  # a row that lies on its sink alone has entropy 0
    nats: NDArray[np.float64] = np.log(anchor) - (weights * logs).sum(axis=-1) / anchor
    return np.maximum(nats, 0.0)
