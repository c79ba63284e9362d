"""Softmax attention by its definition, one pass after the other, with every matrix written out.

    1. dot_products     score[i, j] = scale * sum_d query[i, d] * key[j, d]
    2. soft_capped      score = softcap * tanh(score / softcap)
    3. biased           score = score + bias[i, j] - slope * |position of i - position of j|
    4. masked           score = -inf where query i does not see key j
    5. softmax          weight[i, j] = e^score[i, j] / (sum_k e^score[i, k] + e^sink)
    6. mix              output[i] = sum over the keys j that i sees of weight[i, j] * value[j]

i is a query, j and k are keys, d an axis of the head's space; batch and head lead every array. The score
matrix has query_len * key_len entries a head, so this is for understanding and judging, not for long texts.
"""

from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionScoringError
from attnscope.problem import Operands
from attnscope.reference.inputs import Bools, Floats, Inputs, Options, read

# A NaN or Inf that the caller put in, or an overflow, shows in the result; it is not also a warning.
quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")

Stage = Literal["raw", "softcap", "bias"]


@quietly
def attention(
    query: NDArray[Any], key: NDArray[Any], value: NDArray[Any], **options: Unpack[Options]
) -> Floats:
    """Mix, for every query, the values of the keys it sees, by how well each key answers it.

    output[i] = sum_j softmax_j(score[i, j]) * value[j]

    Shapes
        query     (batch, query_heads, query_len, key_dim)
        key       (batch, kv_heads, key_len, key_dim)
        value     (batch, kv_heads, key_len, value_dim)
        output    (batch, query_heads, query_len, value_dim)      a row that sees no key is 0
        Rank 3: no batch axis. Rank 2: no head axis either. The output has the query's rank.
    Precision
        float64 whatever the inputs' format.
    Errors
        AttentionError, from describe().
    Source
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.

    >>> two_keys = np.array([[1.0], [1.0]])  # equal keys: equal weights
    >>> attention(np.array([[3.0]]), two_keys, np.array([[10.0], [20.0]]))
    array([[15.]])
    """
    _, operands, inputs = read(query, key, value, **options)
    return like_query(operands, attend(inputs)[0])


@quietly
def weights(
    query: NDArray[Any], key: NDArray[Any], value: NDArray[Any], **options: Unpack[Options]
) -> Floats:
    """How much of each key's value every query takes.

    Shapes
        weights    (batch, query_heads, query_len, key_len)      rows sum to 1, less what a sink takes;
                                                                 a row that sees no key is 0
    Precision
        float64.

    >>> weights(np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[1.0], [1.0]]))[0, 0]
    array([[0.5, 0.5]])
    """
    _, _, inputs = read(query, key, value, **options)
    return softmax(masked_scores(inputs), inputs.visible, inputs.sinks)[0]


@quietly
def scores(
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    stage: Stage = "bias",
    **options: Unpack[Options],
) -> Floats:
    """Show what the softmax is made from, at one of the stages on the way there.

    "raw": the scaled dot products. "softcap": those after the soft-cap. "bias": what the softmax reads,
    with bias and ALiBi added and -inf where a key is hidden.

    Shapes
        scores     (batch, query_heads, query_len, key_len)
    Precision
        float64.
    Errors
        AttentionScoringError for another stage; AttentionError from describe().

    >>> scores(np.array([[3.0]]), np.array([[2.0]]), np.array([[1.0]]), stage="raw", scale=0.5)[0, 0]
    array([[3.]])
    """
    stages = {"raw": dot_products, "softcap": capped_scores, "bias": masked_scores}
    if stage not in stages:
        raise AttentionScoringError(f"stage={stage!r} is no stage of a score. Use one of {list(stages)}.")
    _, _, inputs = read(query, key, value, **options)
    return stages[stage](inputs)


def like_query(operands: Operands, array: Floats) -> Floats:
    """Drop the axes that the caller's query did not have."""
    return array.reshape(array.shape[4 - operands.rank :])


def attend(inputs: Inputs) -> tuple[Floats, Floats]:
    """Go through all six passes: (output, logsumexp)."""
    row_weights, logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)
    return mix(row_weights, inputs.visible, inputs.value), logsumexp


def capped_scores(inputs: Inputs) -> Floats:
    """Go through passes 1 and 2."""
    return soft_capped(dot_products(inputs), inputs.softcap)


def masked_scores(inputs: Inputs) -> Floats:
    """Go through passes 1 to 4."""
    return masked(biased(capped_scores(inputs), inputs), inputs.visible)


def dot_products(inputs: Inputs) -> Floats:
    """Measure how well each key answers each query: scale times both lengths times their cosine."""
    return inputs.scale * (inputs.query @ inputs.key.swapaxes(-1, -2))


def soft_capped(raw: Floats, softcap: float | None) -> Floats:
    """Leave small scores as they are, bend large ones to +-softcap. Source: Gemma 2, arXiv:2408.00118."""
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
    """Hide: e^-inf = 0, so a hidden key takes no part, whatever its score was, NaN included."""
    return np.where(visible, any_scores, -np.inf)


def softmax(row_scores: Floats, visible: Bools, sinks: Floats | None) -> tuple[Floats, Floats]:
    """Turn each row of scores into weights that sum to 1, and the log of what they were divided by.

    weight[j] = e^(score[j] - top) / total,   total = sum_k e^(score[k] - top) + e^(sink - top)
    logsumexp = top + log(total)

    `top` is the row's largest score: it cancels, and keeps every exponent at or below 0.
    """
    top = np.max(row_scores, axis=-1, initial=-np.inf)
    if sinks is not None:
        top = np.maximum(top, sinks[:, None])
    anchor = np.where(np.isneginf(top), 0.0, top)  # nothing to see: avoid (-inf) - (-inf) = nan
    parts = np.exp(row_scores - anchor[..., None])  # e^-inf = 0 where hidden
    total = parts.sum(axis=-1)
    if sinks is not None:
        total = total + np.exp(sinks[:, None] - anchor)
    shares = parts / nonzero(total)[..., None]
    return np.where(visible, shares, 0.0), anchor + np.log(total)  # hidden stays 0 in a row that is NaN


def nonzero(total: Floats) -> Floats:
    """Put 1 where a total is 0: a row with nothing to see is 0 / 1, not 0 / 0."""
    return np.where(np.equal(total, 0.0), 1.0, total)


def mix(factors: Floats, visible: Bools, rows: Floats) -> Floats:
    """Sum factors[i, j] * rows[j] over the j that i sees.

    A plain product would do, were it not that 0 * NaN = NaN: a hidden row that holds a NaN or an Inf
    would reach everyone. Such rows are left out of the product, and added one by one to those who see them.
    """
    dangerous: Bools = np.any(~np.isfinite(rows), axis=-1)
    mixed: Floats = factors @ np.where(dangerous[..., None], 0.0, rows)
    for j in np.flatnonzero(np.any(dangerous, axis=(0, 1))):
        reached = visible[..., j, None] & dangerous[..., None, j, None]
        mixed += np.where(reached, factors[..., j, None] * rows[..., None, j, :], 0.0)
    return mixed
