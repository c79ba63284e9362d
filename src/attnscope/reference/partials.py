"""Attention over some of the keys, and the whole made of such parts."""

from typing import Unpack

import numpy as np

from attnscope.errors import AttentionShapeError
from attnscope.problem import Array, AttentionOptions
from attnscope.reference.definition import attend, nonzero, quietly
from attnscope.reference.inputs import read
from attnscope.result import PartialAttention


@quietly
def partial_attention(
    query: Array, key: Array, value: Array, **options: Unpack[AttentionOptions]
) -> PartialAttention:
    """Compute attention over these keys in float64, with the logsumexp that weighs them against other keys.

    logsumexp[i] = log(sum over visible j of exp(score[i, j]) + exp(sink))

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    **options : Unpack[AttentionOptions]
        mask, scale, softcap, bias, alibi_slopes and sinks, as in attnscope.partial_attention().

    Returns
    -------
    PartialAttention
        float64. logsumexp is -inf if no key is visible and there is no sink.

    Raises
    ------
    AttentionError, TypeError
        As attnscope.attention() does.

    Examples
    --------
    >>> part = partial_attention(np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[4.0], [8.0]]))
    >>> part.output.item(), round(float(np.exp(part.logsumexp.item())), 12)  # (4 + 8) / 2, and two keys
    (6.0, 2.0)
    """
    _, operands, inputs = read(query, key, value, **options)
    output, logsumexp = attend(inputs)
    return PartialAttention(operands.like_query(output), operands.like_query(logsumexp))


@quietly
def merge_partials(*partials: PartialAttention) -> PartialAttention:
    """Combine attention over disjoint sets of keys into attention over all of them.

    output = sum_p exp(logsumexp_p) output_p / sum_p exp(logsumexp_p)
    logsumexp = log(sum_p exp(logsumexp_p))

    Parameters
    ----------
    *partials : PartialAttention
        Of the same queries; equal shapes. A sink belongs to one of them only.

    Returns
    -------
    PartialAttention
        float64.

    Raises
    ------
    AttentionShapeError
        If there is no partial, or their shapes differ.

    References
    ----------
    Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    Examples
    --------
    >>> query, keys, values = np.array([[0.0]]), np.ones((4, 1)), np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> first = partial_attention(query, keys[:1], values[:1])
    >>> rest = partial_attention(query, keys[1:], values[1:])
    >>> merge_partials(first, rest).output  # (1 + 2 + 3 + 6) / 4
    array([[3.]])
    """
    check_alike(partials)
    outputs = np.stack([np.asarray(each.output, dtype=np.float64) for each in partials])
    logs = np.stack([np.asarray(each.logsumexp, dtype=np.float64) for each in partials])
    top = logs.max(axis=0)
    anchor = np.where(np.isneginf(top), 0.0, top)  # if no part sees a key, (-inf) - (-inf) would be NaN
    masses = np.exp(logs - anchor)
    total = masses.sum(axis=0)
    shares = masses / nonzero(total)
    return PartialAttention((shares[..., None] * outputs).sum(axis=0), anchor + np.log(total))


def check_alike(partials: tuple[PartialAttention, ...]) -> None:
    """Raise AttentionShapeError if there is no partial, or they are of different queries."""
    if not partials:
        raise AttentionShapeError(
            "merge_partials() got no partial, expected at least one. Pass merge_partials(*parts)."
        )
    first = np.shape(partials[0].output)
    for number, each in enumerate(partials):
        if np.shape(each.output) != first or np.shape(each.logsumexp) != first[:-1]:
            raise AttentionShapeError(
                f"partial {number} has output {np.shape(each.output)} and logsumexp "
                f"{np.shape(each.logsumexp)}, expected {first} and {first[:-1]} as in partial 0. "
                "Merge partials of the same queries."
            )
