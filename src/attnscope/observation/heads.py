"""Statistics per head: means over its rows."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.result import Statistics

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class HeadSummary:
    """Means of the statistics of a layer's heads, over the queries that see a key. Prints as a table.

    Parameters
    ----------
    entropy : ndarray, shape (batch, query_heads)
        In nats.
    normalized_entropy : ndarray, shape (batch, query_heads)
        Entropy over its maximum: 0 is peaked, 1 is uniform.
    effective_keys : ndarray, shape (batch, query_heads)
        exp(entropy) of each row.
    max_weight : ndarray, shape (batch, query_heads)
        The largest weight.
    first_mass : ndarray, shape (batch, query_heads)
        The weight on the first keys.
    mean_distance : ndarray, shape (batch, query_heads)
        In tokens.
    segment_mass : ndarray, shape (batch, query_heads, segments), or None
        The weight on each segment.
    segment_names : tuple of str
        The names of the segments.
    first_keys : int
        How many keys count for first_mass.
    """

    entropy: Floats
    normalized_entropy: Floats
    effective_keys: Floats
    max_weight: Floats
    first_mass: Floats
    mean_distance: Floats
    segment_mass: Floats | None
    segment_names: tuple[str, ...]
    first_keys: int

    def __repr__(self) -> str:
        columns = [each.name for each in fields(self) if each.name in COLUMNS]
        names = [COLUMNS[name].format(count=self.first_keys) for name in columns]
        segments = [] if self.segment_mass is None else [name[:SEGMENT_WIDTH] for name in self.segment_names]
        header = ["batch", "head", *names, *segments]
        lines = [header]
        for batch, head in np.ndindex(self.entropy.shape):
            numbers = [f"{getattr(self, name)[batch, head]:.3f}" for name in columns]
            masses = [] if self.segment_mass is None else [f"{m:.3f}" for m in self.segment_mass[batch, head]]
            lines.append([str(batch), str(head), *numbers, *masses])
        if self.entropy.shape[0] == 1:
            lines = [line[1:] for line in lines]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        return "\n".join(
            "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines
        )


SEGMENT_WIDTH = 16
COLUMNS = {
    "entropy": "entropy",
    "normalized_entropy": "normalized",
    "effective_keys": "keys",
    "max_weight": "largest",
    "first_mass": "first {count}",
    "mean_distance": "distance",
}


def summarize(seen: Statistics, segment_names: tuple[str, ...], first_keys: int) -> HeadSummary:
    """Average over the rows of each head that see a key; 0 for a head without such rows."""
    counted = with_heads(seen.visible_keys > 0, 3)
    rows = np.maximum(counted.sum(axis=-1), 1)

    def mean(values: NDArray[Any]) -> Floats:
        total: Floats = np.where(counted, with_heads(values, 3), 0.0).sum(axis=-1, dtype=np.float64)
        means: Floats = total / rows
        return means

    masses = None
    if seen.segment_mass is not None:
        of_rows = with_heads(seen.segment_mass, 4)
        masses = np.where(counted[..., None], of_rows, 0.0).sum(axis=-2, dtype=np.float64) / rows[..., None]
    means = {name: mean(getattr(seen, name)) for name in COLUMNS}
    return HeadSummary(**means, segment_mass=masses, segment_names=segment_names, first_keys=first_keys)


def with_heads(array: NDArray[Any], rank: int) -> NDArray[Any]:
    """Restore the axes of batch and heads that the query lacks."""
    return array[(None,) * (rank - array.ndim)]
