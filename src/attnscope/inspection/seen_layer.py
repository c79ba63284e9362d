"""What one layer looked at, without the arrays that nobody shows: the rows of each head, and means over them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.inspection.subject import LayerSeen

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SeenLayer:
    """One layer on one text.

    Shapes
        entropy, max_weight, first_mass, mean_distance    (heads, tokens)
        visible_keys           (heads, tokens)
        top_keys, top_weights  (heads, tokens, top_keys)
        received               (heads, tokens)              summed over the queries
        map                    (heads, map_rows, map_columns)
        by_segment             (heads, readers, segments)   mean over a segment's tokens of what they read from each
        evenly                 (readers, segments)          the same, if all visible keys weighed alike; or None
        means                  a measure: (heads,)          over the tokens that see something
    """

    number: int
    name: str
    head_names: tuple[str, ...]
    mask: str
    entropy: Array
    max_weight: Array
    first_mass: Array
    mean_distance: Array
    visible_keys: Array
    top_keys: Array
    top_weights: Array
    received: Array
    map: Array
    by_segment: Array | None
    evenly: Array | None
    means: dict[str, Array]

    @property
    def heads(self) -> int:
        return len(self.head_names)

    @property
    def tokens(self) -> int:
        return int(self.entropy.shape[-1])


def summarized(seen: LayerSeen, ids: NDArray[np.int64], labels: NDArray[np.int64] | None) -> SeenLayer:
    """A layer's observation of one text, with the text's own axes: heads and tokens."""
    of = seen.observation
    rows = {name: without_batch(getattr(of, name), 2) for name in OF_ROWS}
    visible = rows["visible_keys"]
    spans = visible_spans(visible[0])
    by_segment = evenly = None
    if labels is not None and of.segment_mass is not None:
        by_segment = by_reader(without_batch(of.segment_mass, 3), labels)
        evenly = None if spans is None else by_reader(even_shares(labels, *spans)[None], labels)[0]
    return SeenLayer(
        number=seen.number,
        name=seen.name,
        head_names=seen.head_names,
        mask=mask_in_words(visible),
        **rows,
        top_keys=without_batch(of.top_keys, 3),
        top_weights=without_batch(of.top_weights, 3),
        received=without_batch(of.received, 2),
        map=without_batch(of.block_map, 3),
        by_segment=by_segment,
        evenly=evenly,
        means=means_of(of, ids),
    )


OF_ROWS = ("entropy", "max_weight", "first_mass", "mean_distance", "visible_keys")
OF_SUMMARY = ("normalized_entropy", "entropy", "effective_keys", "max_weight", "first_mass", "mean_distance")
OF_SCORES = ("previous_token", "first_token", "duplicate_token", "induction", "unseen")


def means_of(observation: at.Observation, ids: NDArray[np.int64]) -> dict[str, Array]:
    summary, scores = observation.per_head(), at.observation.head_scores(observation, ids)
    means = {name: getattr(summary, name)[0] for name in OF_SUMMARY}
    return means | {name: getattr(scores, name)[0] for name in OF_SCORES}


def without_batch(array: Array | None, rank: int) -> Array:
    """The last axes: models of Transformers have a batch of one text before them, the hand-written one has none."""
    assert array is not None  # asked for
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
    """Which keys each token sees, where their number alone tells: all of them, or the last ones up to itself."""
    tokens = np.arange(len(visible))
    if (visible == len(visible)).all():
        return np.zeros_like(tokens), np.full_like(tokens, len(visible))
    if (visible <= tokens + 1).all():
        return tokens + 1 - visible, tokens + 1
    return None


def even_shares(labels: NDArray[np.int64], first: Array, end: Array) -> Array:
    """What each token would read from each segment, if the keys first <= j < end weighed alike."""
    belongs = labels[:, None] == np.arange(labels.max(initial=0) + 1)
    so_far = np.concatenate([np.zeros((1, belongs.shape[1])), belongs.cumsum(axis=0)])
    shares: Array = (so_far[end] - so_far[first]) / np.maximum(end - first, 1)[:, None]
    return shares


def mask_in_words(visible: Array) -> str:
    """What the tokens of a layer see, from how many keys each does.

    >>> mask_in_words(np.array([[1, 2, 3, 4]])), mask_in_words(np.array([[1, 2, 2, 2]]))
    ('causal', 'causal, the last 2 tokens')
    """
    if (visible != visible[0]).any():
        return "heads see different keys"
    row, tokens = visible[0], visible.shape[-1]
    if (row == tokens).all():
        return "every token sees all"
    places = np.arange(1, tokens + 1)
    if (row == places).all():
        return "causal"
    if (row == np.minimum(places, row.max())).all():
        return f"causal, the last {int(row.max()):,} tokens"
    return f"{int(row.min()):,} to {int(row.max()):,} keys a token"
