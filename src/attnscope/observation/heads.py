"""Heads compared: means over the rows of each."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnscope.observation.observation import Observation

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class HeadSummary:
    """What the heads of a layer look at, as means over the queries that see something.

    Shapes
        each    (batch, query_heads)    segment_mass with an axis of segments behind it, or None
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
    "normalized_entropy": "of most",
    "effective_keys": "keys",
    "max_weight": "largest",
    "first_mass": "first {count}",
    "mean_distance": "distance",
}


def summarize(seen: "Observation") -> HeadSummary:
    """Means over the rows of each head that see a key; 0 for a head of which no row does."""
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
    return HeadSummary(
        mean(seen.entropy),
        mean(seen.normalized_entropy),
        mean(seen.effective_keys),
        mean(seen.max_weight),
        mean(seen.first_mass),
        mean(seen.mean_distance),
        masses,
        seen.segment_names,
        seen.first_keys,
    )


def with_heads(array: NDArray[Any], rank: int) -> NDArray[Any]:
    """Put back the axes of batch and heads that the query came without."""
    return array[(None,) * (rank - array.ndim)]
