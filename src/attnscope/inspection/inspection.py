"""What an inspection finds: the text as the model read it, its segments, what each layer looked at, and where all is from."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.measures import BY_KEY, READS_FROM
from attnscope.inspection.seen_layer import Array, SeenLayer
from attnscope.inspection.subject import Tokens


@dataclass(frozen=True, eq=False)
class Segments:
    """Which segment each token belongs to, by number, and the segments' names."""

    labels: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def sizes(self) -> list[int]:
        counted: list[int] = np.bincount(self.labels, minlength=len(self.names)).tolist()
        return counted


@dataclass(frozen=True)
class HeadValue:
    """One head, and what it has of a measure."""

    layer: int
    head: int
    name: str
    value: float


@dataclass(frozen=True, eq=False)
class Inspection:
    """A model on a text.

    layers       those that were observed, first to last
    facts        where text, model and numbers are from: what a reader needs to do it again
    """

    text_name: str
    model_name: str
    tokens: Tokens
    segments: Segments | None
    layers: tuple[SeenLayer, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def heads(self) -> int:
        """Of all observed layers together."""
        return sum(layer.heads for layer in self.layers)

    def values(self, measure: str) -> list[Array]:
        """A measure's values, layer by layer: (heads,). "reads:NAME" is what the last segment reads from another."""
        if measure in BY_KEY:
            return [layer.means[measure] for layer in self.layers]
        assert self.segments is not None
        assert measure.startswith(READS_FROM)
        segment = self.segments.names.index(measure.removeprefix(READS_FROM))
        return [layer.by_segment[:, -1, segment] for layer in self.layers if layer.by_segment is not None]

    def ranked(self, measure: str) -> list[HeadValue]:
        """All heads by a measure, the least first."""
        found = [
            HeadValue(layer.number, head, layer.head_names[head], float(value))
            for layer, values in zip(self.layers, self.values(measure), strict=True)
            for head, value in enumerate(values)
        ]
        return sorted(found, key=lambda each: each.value)

    def received(self) -> Array:
        """What each token draws of all weight, as a mean over heads and queries: sinks draw much.

        Shapes
            (tokens,)    sums to 1, less what sinks without a token take
        """
        total: Array = sum(layer.received.sum(axis=0, dtype=np.float64) for layer in self.layers)
        return total / (self.heads * len(self.tokens.ids))

    def by_segment(self) -> Array:
        """What the tokens of each segment read from each, as a mean over all heads: [readers, segments]."""
        parts = [layer.by_segment for layer in self.layers if layer.by_segment is not None]
        mean: Array = np.concatenate(parts).mean(axis=0)
        return mean

    def evenly(self) -> Array | None:
        """The same, if every head read all that it sees alike; None where a mask's keys are not known."""
        parts = [layer.evenly for layer in self.layers if layer.evenly is not None]
        if len(parts) < len(self.layers):
            return None
        weights = np.array([layer.heads for layer in self.layers], np.float64)
        mean: Array = np.tensordot(weights / weights.sum(), np.stack(parts), axes=1)
        return mean
