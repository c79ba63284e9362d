"""The summary of one observed layer: numbers per head and token, and their means. Outputs are not kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.measures import SINK
from attnscope.inspection.subject import ObservedLayer
from attnscope.observation import Observation, head_scores

Array = NDArray[Any]

OF_ROWS = ("entropy", "max_weight", "first_mass", "mean_distance", "sink_mass", "visible_keys")
OF_SUMMARY = ("normalized_entropy", "entropy", "effective_keys", "max_weight", "first_mass", "mean_distance")
OF_SCORES = ("previous_token", "first_token", "duplicate_token", "induction", "unseen")


@dataclass(frozen=True, eq=False)
class LayerSummary:
    """One layer on one text.

    Parameters
    ----------
    number : int
        The number of the layer in its model.
    name : str
        The name of the layer.
    head_names : tuple of str
        The names of its heads.
    mask : str
        A description of what its tokens see.
    entropy, max_weight, first_mass, mean_distance, sink_mass : ndarray, (heads, tokens)
        As in an Observation: over the visible keys alone, except for the weight on a learned sink.
    visible_keys : ndarray, (heads, tokens)
        The number of keys that each token sees.
    top_keys, top_weights : ndarray, (heads, tokens, top_keys)
        The strongest keys of each token and their weights.
    received : ndarray, (heads, tokens)
        The weight that each token receives, summed over the queries.
    block_map : ndarray, (heads, rows, columns)
        The weights, pooled to blocks.
    by_segment : ndarray, (heads, readers, segments), or None
        The weight that the tokens of each segment give to each segment, on average.
    evenly : ndarray, (readers, segments), or None
        The same for uniform weights over the visible keys; None if the visible keys are not known.
    means : dict of ndarray, (heads,)
        Each measure, as a mean over the tokens that see a key.
    """

    number: int
    name: str
    head_names: tuple[str, ...]
    mask: str
    entropy: Array
    max_weight: Array
    first_mass: Array
    mean_distance: Array
    sink_mass: Array
    visible_keys: Array
    top_keys: Array
    top_weights: Array
    received: Array
    block_map: Array
    by_segment: Array | None
    evenly: Array | None
    means: dict[str, Array]

    @property
    def heads(self) -> int:
        """The number of heads."""
        return len(self.head_names)

    @property
    def tokens(self) -> int:
        """The number of tokens."""
        return int(self.entropy.shape[-1])

    @property
    def has_sinks(self) -> bool:
        """Whether a learned sink takes a part of the weight."""
        return bool(self.sink_mass.any())

    def as_json(self) -> dict[str, Any]:
        """Return the means and the weights per segment as types that JSON has.

        Returns
        -------
        dict
            The layer and its heads.
        """
        means = {name: values for name, values in self.means.items() if name != SINK or self.has_sinks}
        heads = [
            {
                "name": name,
                **{measure: float(values[head]) for measure, values in means.items()},
                "by_segment": None if self.by_segment is None else self.by_segment[head].tolist(),
            }
            for head, name in enumerate(self.head_names)
        ]
        return {"number": self.number, "name": self.name, "mask": self.mask, "heads": heads}


def summarize(layer: ObservedLayer, ids: NDArray[np.int64], labels: NDArray[np.int64] | None) -> LayerSummary:
    """The summary of a layer on one text; labels are the segments of the tokens."""
    observation = layer.observation
    rows = {name: without_batch(getattr(observation, name), 2) for name in OF_ROWS}
    visible = rows["visible_keys"]
    spans = visible_spans(visible[0])
    by_segment = evenly = None
    if labels is not None and observation.segment_mass is not None:
        by_segment = by_reader(without_batch(observation.segment_mass, 3), labels)
        evenly = None if spans is None else by_reader(even_shares(labels, *spans)[None], labels)[0]
    return LayerSummary(
        number=layer.number,
        name=layer.name,
        head_names=layer.head_names,
        mask=mask_in_words(visible),
        **rows,
        top_keys=without_batch(observation.top_keys, 3),
        top_weights=without_batch(observation.top_weights, 3),
        received=without_batch(observation.received, 2),
        block_map=without_batch(observation.block_map, 3),
        by_segment=by_segment,
        evenly=evenly,
        means=means_of(observation, ids) | {SINK: mean_over_rows(rows[SINK], visible)},
    )


def means_of(observation: Observation, ids: NDArray[np.int64]) -> dict[str, Array]:
    """Each measure as a mean over the tokens."""
    summary, scores = observation.per_head(), head_scores(observation, ids)
    means = {name: getattr(summary, name)[0] for name in OF_SUMMARY}
    return means | {name: getattr(scores, name)[0] for name in OF_SCORES}


def mean_over_rows(values: Array, visible: Array) -> Array:
    """The mean of each head over the tokens that see a key."""
    rows = visible > 0
    mean: Array = (values * rows).sum(axis=-1, dtype=np.float64) / np.maximum(rows.sum(axis=-1), 1)
    return mean


def without_batch(array: Array | None, rank: int) -> Array:
    """The last axes: Transformers has a batch of one text before them, the hand-written model has none."""
    assert array is not None  # run.py asks for all statistics
    own: Array = array.reshape(array.shape[array.ndim - rank :])
    return own


def by_reader(mass: Array, labels: NDArray[np.int64]) -> Array:
    """Means over the tokens of each segment: [heads, tokens, segments] becomes [heads, readers, segments]."""
    readers = mass.shape[-1]
    belongs = labels[None, :] == np.arange(readers)[:, None]
    means: Array = belongs.astype(np.float64) @ mass.astype(np.float64)
    means /= np.maximum(belongs.sum(axis=1), 1)[:, None]
    return means


def visible_spans(visible: Array) -> tuple[Array, Array] | None:
    """The first key and the end of the keys that each token sees; None if their number does not imply them.

    It does if every token sees all keys, or no more keys than the tokens up to itself.
    """
    tokens = np.arange(len(visible))
    if (visible == len(visible)).all():
        return np.zeros_like(tokens), np.full_like(tokens, len(visible))
    if (visible <= tokens + 1).all():
        return tokens + 1 - visible, tokens + 1
    return None


def even_shares(labels: NDArray[np.int64], first: Array, end: Array) -> Array:
    """The weight of each segment for each token if the keys first <= j < end have equal weights."""
    belongs = labels[:, None] == np.arange(labels.max(initial=0) + 1)
    so_far = np.concatenate([np.zeros((1, belongs.shape[1])), belongs.cumsum(axis=0)])
    shares: Array = (so_far[end] - so_far[first]) / np.maximum(end - first, 1)[:, None]
    return shares


def mask_in_words(visible: Array) -> str:
    """A description of the mask by the number of keys that each token sees.

    >>> mask_in_words(np.array([[1, 2, 3, 4]])), mask_in_words(np.array([[1, 2, 2, 2]]))
    ('causal', 'causal, the last 2 tokens')
    """
    if (visible != visible[0]).any():
        return "differs between heads"
    row, tokens = visible[0], visible.shape[-1]
    if (row == tokens).all():
        return "every token sees all tokens"
    positions = np.arange(1, tokens + 1)
    if (row == positions).all():
        return "causal"
    if (row == np.minimum(positions, row.max())).all():
        return f"causal, the last {int(row.max()):,} tokens"
    return f"{int(row.min()):,} to {int(row.max()):,} keys per token"
