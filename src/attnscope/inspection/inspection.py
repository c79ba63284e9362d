"""The result of an inspection: the text as tokens, its segments, a summary per layer, and provenance."""

import sys
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from attnscope.inspection.layer_summary import Array, LayerSummary
from attnscope.inspection.measures import BY_KEY, MEASURES, NOT_AN_INFLUENCE, READS_FROM, SINK, Measure
from attnscope.inspection.segments import Segments
from attnscope.inspection.subject import Subject, Tokens
from attnscope.kernels import level


@dataclass(frozen=True)
class HeadValue:
    """One head and its value of a measure.

    Parameters
    ----------
    layer, head : int
        The numbers of layer and head.
    name : str
        The name of the head.
    value : float
        The value.
    """

    layer: int
    head: int
    name: str
    value: float


@dataclass(frozen=True, eq=False)
class Inspection:
    """A model on a text.

    Parameters
    ----------
    text_name, model_name : str
        The names of text and model.
    tokens : Tokens
        The text as the model reads it.
    segments : Segments or None
        The segment of each token.
    layers : tuple of LayerSummary
        The observed layers, in order.
    facts : dict of str
        Where text, model and numbers are from: what is needed to repeat the inspection.
    """

    text_name: str
    model_name: str
    tokens: Tokens
    segments: Segments | None
    layers: tuple[LayerSummary, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def heads(self) -> int:
        """The number of heads of all observed layers."""
        return sum(layer.heads for layer in self.layers)

    @property
    def has_sinks(self) -> bool:
        """Whether a head of the observed layers has a learned sink."""
        return any(layer.has_sinks for layer in self.layers)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of this model: the learned sinks only if it has some."""
        return tuple(measure for measure in MEASURES if measure.key != SINK or self.has_sinks)

    def values(self, measure: str) -> list[Array]:
        """Return the values of a measure.

        Parameters
        ----------
        measure : str
            The key of a measure, or "reads:NAME" for the weight that the last segment gives to another.

        Returns
        -------
        list of ndarray, (heads,)
            One array per layer.
        """
        if measure in BY_KEY:
            return [layer.means[measure] for layer in self.layers]
        assert self.segments is not None
        assert measure.startswith(READS_FROM)
        segment = self.segments.names.index(measure.removeprefix(READS_FROM))
        return [layer.by_segment[:, -1, segment] for layer in self.layers if layer.by_segment is not None]

    def ranked(self, measure: str) -> list[HeadValue]:
        """Return all heads in the order of a measure.

        Parameters
        ----------
        measure : str
            As for values().

        Returns
        -------
        list of HeadValue
            All heads, the smallest value first.
        """
        found = [
            HeadValue(layer.number, head, layer.head_names[head], float(value))
            for layer, values in zip(self.layers, self.values(measure), strict=True)
            for head, value in enumerate(values)
        ]
        return sorted(found, key=lambda each: each.value)

    def received(self) -> Array:
        """Return the share of all weight that each token receives, as a mean over heads and queries.

        Returns
        -------
        ndarray, (tokens,)
            The shares. Their sum is 1 if every token sees a key.
        """
        total: Array = sum(layer.received.sum(axis=0, dtype=np.float64) for layer in self.layers)
        return total / (self.heads * len(self.tokens.ids))

    def by_segment(self) -> Array:
        """Return the weight that the tokens of each segment give to each segment, as a mean over all heads.

        Returns
        -------
        ndarray, (readers, segments)
            The shares.
        """
        parts = [layer.by_segment for layer in self.layers if layer.by_segment is not None]
        mean: Array = np.concatenate(parts).mean(axis=0)
        return mean

    def evenly(self) -> Array | None:
        """Return the same for heads with uniform weights over their visible keys.

        Returns
        -------
        ndarray, (readers, segments), or None
            The shares; None if the visible keys of a mask are not known.
        """
        parts = [layer.evenly for layer in self.layers if layer.evenly is not None]
        if len(parts) < len(self.layers):
            return None
        weights = np.array([layer.heads for layer in self.layers], np.float64)
        mean: Array = np.tensordot(weights / weights.sum(), np.stack(parts), axes=1)
        return mean

    def as_json(self) -> dict[str, Any]:
        """Return all numbers as types that JSON has.

        Returns
        -------
        dict
            Means per head, weights per segment, and the text and received share of each token.
        """
        shares = self.received()
        return {
            "text": self.text_name,
            "model": self.model_name,
            "facts": self.facts,
            "note": NOT_AN_INFLUENCE,
            "tokens": [
                {"id": int(token_id), "piece": piece, "received": float(share)}
                for token_id, piece, share in zip(self.tokens.ids, self.tokens.pieces, shares, strict=True)
            ],
            "segments": segments_as_json(self),
            "measures": {each.key: {"unit": each.unit, "meaning": each.meaning} for each in self.measures},
            "layers": [layer.as_json() for layer in self.layers],
        }


def segments_as_json(found: Inspection) -> dict[str, Any] | None:
    """The segments; by_segment and evenly have one row per reader and one column per segment that is read."""
    if found.segments is None:
        return None
    evenly = found.evenly()
    return {
        "names": list(found.segments.names),
        "sizes": found.segments.sizes,
        "labels": found.segments.labels.tolist(),
        "by_segment": found.by_segment().tolist(),
        "evenly": None if evenly is None else evenly.tolist(),
    }


def provenance(text_name: str, tokens: int, subject: Subject) -> dict[str, str]:
    """Where text, model and numbers are from."""
    versions = {"attnscope": metadata.version("attnscope"), "Python": sys.version.split()[0]}
    return {
        "text": f"{text_name}, {tokens:,} tokens",
        **subject.facts,
        "computed by": f"at.observe(), {level() or 'the reference'}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
