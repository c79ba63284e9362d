"""Where rows look, read off the whole matrix of weights: what observe() must give without ever building it."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import Questions, read_questions
from attnscope.reference.definition import masked_scores, mix, quietly, softmax
from attnscope.reference.inputs import Bools, Floats, Inputs, Options, read
from attnscope.result import Statistics

Ints = NDArray[np.int32]


@quietly
def statistics(
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    questions: Questions | None = None,
    **options: Unpack[Options],
) -> tuple[Floats, Statistics]:
    """The output, and what its weights say, by the formulas of Statistics.

    Shapes, precision
        As in Statistics, always with batch and heads; float64.
    Errors
        AttentionError, from describe().

    >>> _, seen = statistics(np.array([[0.0]]), np.ones((4, 1)), np.ones((4, 1)))
    >>> round(float(np.exp(seen.entropy.item())), 12)  # four equal keys
    4.0
    """
    problem, _, inputs = read(query, key, value, **options)
    asked = read_questions(problem.shape) if questions is None else questions
    scores = masked_scores(inputs)
    weights, of_keys = softmax(scores, inputs.visible, None)  # renormalised: a sink is no key
    with_sinks, logsumexp = softmax(scores, inputs.visible, inputs.sinks)
    whole = ~np.isnan(of_keys)
    strongest, top_weights = strongest_keys(scores, weights, inputs.visible, max(1, asked.top_keys))
    seen = Statistics(
        logsumexp=logsumexp,
        entropy=entropy(weights),
        max_weight=np.where(whole, top_weights[..., 0], np.nan),
        max_key=strongest[..., 0],
        first_mass=weights[..., : asked.first_keys].sum(axis=-1),
        mean_distance=mean_distance(weights, inputs),
        sink_mass=sink_mass(logsumexp, inputs.sinks),
        visible_keys=inputs.visible.sum(axis=-1, dtype=np.int32),
        segment_mass=None if asked.labels is None else segment_mass(weights, asked),
        top_keys=strongest if asked.top_keys else None,
        top_weights=np.where(whole[..., None], top_weights, np.nan) if asked.top_keys else None,
        received=received(weights, asked.counted) if asked.received else None,
        block_map=None if asked.block_map_size is None else pooled(weights, asked.block_map_size),
    )
    return mix(with_sinks, inputs.visible, inputs.value), seen


def entropy(weights: Floats) -> Floats:
    """Minus the mean of ln w under w, in nats: 0 where one key has all, ln n where n keys have the same.

    What is hidden or has no weight adds 0, the limit of w ln w. Source: Shannon 1948, section 6.
    """
    logs = np.log(np.where(np.equal(weights, 0.0), 1.0, weights))
    total: Floats = -(weights * logs).sum(axis=-1)
    return total + 0.0  # no -0


def mean_distance(weights: Floats, inputs: Inputs) -> Floats:
    """Return the mean distance from each query to the keys it reads, in tokens; the last query stands at the last key."""
    distance = np.abs(inputs.query_positions[:, None] - inputs.key_positions)
    far: Floats = (weights * distance).sum(axis=-1)
    return far


def sink_mass(logsumexp: Floats, sinks: Floats | None) -> Floats:
    """Return the share of each row that its sink takes: e^(sink - logsumexp), 0 without sinks."""
    if sinks is None:
        return np.where(np.isnan(logsumexp), np.nan, 0.0)
    of_rows = np.broadcast_to(sinks[:, None], logsumexp.shape)
    mass: Floats = np.exp(of_rows - np.where(np.isneginf(logsumexp), 0.0, logsumexp))
    return mass


def segment_mass(weights: Floats, asked: Questions) -> Floats:
    """Weights added up segment by segment."""
    assert asked.labels is not None
    belongs = (
        asked.labels[:, None] == np.arange(len(asked.segment_names))[:, None]
    )  # [batch, segments, key_len]
    masses: Floats = weights @ belongs[:, None].swapaxes(-1, -2).astype(np.float64)
    return masses


def strongest_keys(scores: Floats, weights: Floats, visible: Bools, count: int) -> tuple[Ints, Floats]:
    """The keys of the highest scores, the first of equals first; -1 and 0 where a row sees fewer."""
    ranked = np.where(visible, scores, -np.inf)
    order = np.argsort(-ranked, axis=-1, kind="stable")[..., :count]
    there = np.take_along_axis(ranked, order, axis=-1) > -np.inf
    there &= ~np.isnan(weights).any(axis=-1, keepdims=True)
    keys = np.full((*order.shape[:-1], count), -1, np.int32)
    best = np.zeros(keys.shape)
    found = order.shape[-1]
    keys[..., :found] = np.where(there, order, -1)
    best[..., :found] = np.where(there, np.take_along_axis(weights, order, axis=-1), 0.0)
    return keys, best


def received(weights: Floats, counted: NDArray[np.float32] | None) -> Floats:
    """What each key is given by all queries together, each counting as much as it does."""
    each = weights if counted is None else weights * counted[..., None]
    given: Floats = each.sum(axis=-2)
    return given


def pooled(weights: Floats, block_map_size: int) -> Floats:
    """Blocks of the matrix: the mean over their queries of what their keys get, so that rows sum as rows do."""
    query_len, key_len = weights.shape[-2:]
    rows = min(block_map_size, query_len)
    row_block = np.arange(query_len) * rows // max(1, query_len)
    of_row = (row_block == np.arange(rows)[:, None]).astype(np.float64)
    of_column = (np.arange(key_len) * block_map_size // key_len == np.arange(block_map_size)[:, None]).astype(
        np.float64
    )
    pooled_weights: Floats = of_row / of_row.sum(axis=-1, keepdims=True) @ weights @ of_column.T
    return pooled_weights
