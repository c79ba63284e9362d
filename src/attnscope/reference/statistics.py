"""Statistics of attention weights from the whole matrix: the oracle of observe(), which never builds it."""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import Array, AttentionOptions, Questions, read_questions
from attnscope.reference.definition import masked_scores, mix, quietly, softmax
from attnscope.reference.inputs import Bools, Floats, Inputs, read
from attnscope.result import Statistics

Ints = NDArray[np.int32]


@quietly
def statistics(
    query: Array,
    key: Array,
    value: Array,
    *,
    questions: Questions | None = None,
    **options: Unpack[AttentionOptions],
) -> tuple[Floats, Statistics]:
    """Compute attention's output and the statistics of its weights, from the whole matrix.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    questions : Questions, optional
        Which statistics are computed; those of observe() without arguments by default.
    **options : Unpack[AttentionOptions]
        mask, scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    output : ndarray of float64, shape (batch, query_heads, query_len, value_dim)
    seen : Statistics
        float64 and int32. Both have all axes, also those that the query lacks.

    Raises
    ------
    AttentionError, TypeError
        As attention() does.

    Examples
    --------
    >>> _, seen = statistics(np.array([[0.0]]), np.ones((4, 1)), np.ones((4, 1)))
    >>> round(float(np.exp(seen.entropy.item())), 12)  # four equal keys
    4.0
    """
    problem, _, inputs = read(query, key, value, **options)
    asked = read_questions(problem.shape) if questions is None else questions
    scores = masked_scores(inputs)
    weights, of_keys = softmax(scores, inputs.visible, None)  # over the visible keys: a sink is not a key
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
    """-sum w ln w, in nats: 0 if one key has all the weight, ln n if n keys share it equally.

    A key without weight adds 0, the limit of w ln w. Shannon 1948, section 6.
    """
    logs = np.log(np.where(np.equal(weights, 0.0), 1.0, weights))
    total: Floats = -(weights * logs).sum(axis=-1)
    return total + 0.0  # no -0


def mean_distance(weights: Floats, inputs: Inputs) -> Floats:
    """The mean distance from a query to the keys, in tokens; the last query is at the last key."""
    distance = np.abs(inputs.query_positions[:, None] - inputs.key_positions)
    far: Floats = (weights * distance).sum(axis=-1)
    return far


def sink_mass(logsumexp: Floats, sinks: Floats | None) -> Floats:
    """The sink's share of each row: exp(sink - logsumexp), 0 without sinks."""
    if sinks is None:
        return np.where(np.isnan(logsumexp), np.nan, 0.0)
    of_rows = np.broadcast_to(sinks[:, None], logsumexp.shape)
    mass: Floats = np.exp(of_rows - np.where(np.isneginf(logsumexp), 0.0, logsumexp))
    return mass


def segment_mass(weights: Floats, asked: Questions) -> Floats:
    """The sum of the weights of each segment."""
    assert asked.labels is not None
    segments = np.arange(len(asked.segment_names))[:, None]
    belongs = asked.labels[:, None] == segments  # (batch, segments, key_len)
    masses: Floats = weights @ belongs[:, None].swapaxes(-1, -2).astype(np.float64)
    return masses


def strongest_keys(scores: Floats, weights: Floats, visible: Bools, count: int) -> tuple[Ints, Floats]:
    """The keys with the highest scores, equal ones by index, and their weights; -1 and 0 past the last."""
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
    """What each key receives from all queries, each with its factor."""
    each = weights if counted is None else weights * counted[..., None]
    given: Floats = each.sum(axis=-2)
    return given


def pooled(weights: Floats, block_map_size: int) -> Floats:
    """Sums over blocks of keys, averaged over blocks of queries: rows sum to 1, as in the matrix."""
    query_len, key_len = weights.shape[-2:]
    rows = min(block_map_size, query_len)
    row_block = np.arange(query_len) * rows // max(1, query_len)
    of_row = (row_block == np.arange(rows)[:, None]).astype(np.float64)
    column_block = np.arange(key_len) * block_map_size // key_len
    of_column = (column_block == np.arange(block_map_size)[:, None]).astype(np.float64)
    pooled_weights: Floats = of_row / of_row.sum(axis=-1, keepdims=True) @ weights @ of_column.T
    return pooled_weights
