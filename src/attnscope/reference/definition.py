"""Softmax attention by its definition: six passes, one after the other, with every matrix written out.

    1. dot_products     score[i, j] = scale * sum_d query[i, d] * key[j, d]
    2. soft_capped      score = softcap * tanh(score / softcap)
    3. biased           score = score + bias[i, j] - alibi_slope * |position of i - position of j|
    4. masked           score = -inf if query i does not see key j
    5. softmax          weight[i, j] = exp(score[i, j]) / (sum_k exp(score[i, k]) + exp(sink))
    6. mix              output[i] = sum over the keys j that i sees of weight[i, j] * value[j]

i is a query, j and k are keys, d is an axis of the head's space; batch and head lead every array. The score
matrix has query_len * key_len entries per head, so these functions are for understanding and testing, not
for long texts.
"""

from typing import Literal, Unpack

import numpy as np

from attnscope.errors import AttentionScoringError
from attnscope.problem import Array, AttentionOptions
from attnscope.reference.inputs import Bools, Floats, Inputs, read

# NaN, Inf and overflow are visible in the result, so NumPy need not warn about them.
quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")

Stage = Literal["raw", "softcap", "bias"]


@quietly
def attention(query: Array, key: Array, value: Array, **options: Unpack[AttentionOptions]) -> Floats:
    """Compute softmax attention in float64, by its definition.

    output[i] = sum_j softmax_j(score[i, j]) * value[j]

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
        The batch axis may be absent, or batch and heads.
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    **options : Unpack[AttentionOptions]
        mask, scale, softcap, bias, alibi_slopes and sinks, as in attnscope.attention().

    Returns
    -------
    ndarray of float64, shape (batch, query_heads, query_len, value_dim)
        Of the query's rank. The row of a query that sees no key is 0.

    Raises
    ------
    AttentionError, TypeError
        As attnscope.attention() does.

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.

    Examples
    --------
    >>> two_keys = np.array([[1.0], [1.0]])  # equal keys get equal weights
    >>> attention(np.array([[3.0]]), two_keys, np.array([[10.0], [20.0]]))
    array([[15.]])
    """
    _, operands, inputs = read(query, key, value, **options)
    return operands.like_query(attend(inputs)[0])


@quietly
def weights(query: Array, key: Array, **options: Unpack[AttentionOptions]) -> Floats:
    """Compute the attention weights: the share of each key's value in each query's output.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    **options : Unpack[AttentionOptions]
        As in attention().

    Returns
    -------
    ndarray of float64, shape (batch, query_heads, query_len, key_len)
        Without the axes that the query lacks. A row sums to 1, less the weight of a sink; the row of a
        query that sees no key is 0.

    Raises
    ------
    AttentionError, TypeError
        As attention() does.

    Examples
    --------
    >>> weights(np.array([[0.0]]), np.array([[1.0], [2.0]]))
    array([[0.5, 0.5]])
    """
    _, operands, inputs = read(query, key, key, **options)
    return operands.like_query(softmax(masked_scores(inputs), inputs.visible, inputs.sinks)[0])


@quietly
def scores(query: Array, key: Array, *, stage: Stage = "bias", **options: Unpack[AttentionOptions]) -> Floats:
    """Compute the scores that the softmax reads, or those of an earlier stage.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    stage : {"raw", "softcap", "bias"}, default "bias"
        "raw": the scaled dot products. "softcap": those after the soft-cap. "bias": what the softmax reads,
        with bias and ALiBi added, and -inf if a key is hidden.
    **options : Unpack[AttentionOptions]
        As in attention().

    Returns
    -------
    ndarray of float64, shape (batch, query_heads, query_len, key_len)
        Without the axes that the query lacks.

    Raises
    ------
    AttentionScoringError
        For another stage.
    AttentionError, TypeError
        As attention() does.

    Examples
    --------
    >>> scores(np.array([[3.0]]), np.array([[2.0]]), stage="raw", scale=0.5)
    array([[3.]])
    """
    stages = {"raw": dot_products, "softcap": capped_scores, "bias": masked_scores}
    if stage not in stages:
        raise AttentionScoringError(f"stage={stage!r}: expected one of {list(stages)}.")
    _, operands, inputs = read(query, key, key, **options)
    return operands.like_query(stages[stage](inputs))


def attend(inputs: Inputs) -> tuple[Floats, Floats]:
    """All six passes: (output, logsumexp)."""
    row_weights, logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)
    return mix(row_weights, inputs.visible, inputs.value), logsumexp


def capped_scores(inputs: Inputs) -> Floats:
    """Passes 1 and 2."""
    return soft_capped(dot_products(inputs), inputs.softcap)


def masked_scores(inputs: Inputs) -> Floats:
    """Passes 1 to 4."""
    return masked(biased(capped_scores(inputs), inputs), inputs.visible)


def dot_products(inputs: Inputs) -> Floats:
    """Multiply each query with each key: the scale times both lengths times the cosine of their angle."""
    return inputs.scale * (inputs.query @ inputs.key.swapaxes(-1, -2))


def soft_capped(raw: Floats, softcap: float | None) -> Floats:
    """Leave small scores almost unchanged, and limit large ones to +-softcap. Gemma 2, arXiv:2408.00118."""
    return raw if softcap is None else softcap * np.tanh(raw / softcap)


def biased(capped: Floats, inputs: Inputs) -> Floats:
    """Add what does not depend on content; neither scale nor soft-cap applies to it.

    ALiBi, the penalty for distance: Press et al. 2022, arXiv:2108.12409.
    """
    if inputs.bias is not None:
        capped = capped + inputs.bias
    if inputs.alibi_slopes is not None:
        distance = np.abs(inputs.query_positions[:, None] - inputs.key_positions)
        capped = capped - inputs.alibi_slopes[:, None, None] * distance
    return capped


def masked(any_scores: Floats, visible: Bools) -> Floats:
    """Hide keys: exp(-inf) = 0, so a hidden key does not contribute, even if its score is NaN."""
    return np.where(visible, any_scores, -np.inf)


def softmax(row_scores: Floats, visible: Bools, sinks: Floats | None) -> tuple[Floats, Floats]:
    """Turn each row of scores into weights that sum to 1: (weights, logsumexp).

    weight[j] = exp(score[j] - top) / total,   total = sum_k exp(score[k] - top) + exp(sink - top)
    logsumexp = top + log(total)

    `top` is the row's largest score: it cancels, and keeps every exponent at or below 0.
    """
    top = np.max(row_scores, axis=-1, initial=-np.inf)
    if sinks is not None:
        top = np.maximum(top, sinks[:, None])
    anchor = np.where(np.isneginf(top), 0.0, top)  # in a fully masked row, (-inf) - (-inf) would be NaN
    parts = np.exp(row_scores - anchor[..., None])  # a hidden key: exp(-inf) = 0
    total = parts.sum(axis=-1)
    if sinks is not None:
        total = total + np.exp(sinks[:, None] - anchor)
    shares = parts / nonzero(total)[..., None]
    return np.where(visible, shares, 0.0), anchor + np.log(total)  # hidden keys stay 0 in a row of NaN


def nonzero(total: Floats) -> Floats:
    """Replace 0 by 1: a fully masked row is 0 / 1, not 0 / 0."""
    return np.where(np.equal(total, 0.0), 1.0, total)


def mix(factors: Floats, visible: Bools, rows: Floats) -> Floats:
    """Sum factors[i, j] * rows[j] over the j that i sees.

    A plain product would be wrong for rows with NaN or Inf: 0 * NaN = NaN, so a hidden row would reach
    every query. Such rows are left out of the product, and added one by one to the queries that see them.
    """
    dangerous: Bools = np.any(~np.isfinite(rows), axis=-1)
    mixed: Floats = factors @ np.where(dangerous[..., None], 0.0, rows)
    for j in np.flatnonzero(np.any(dangerous, axis=(0, 1))):
        reached = visible[..., j, None] & dangerous[..., None, j, None]
        mixed += np.where(reached, factors[..., j, None] * rows[..., None, j, :], 0.0)
    return mixed
