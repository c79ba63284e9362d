"""Attention over some of the keys, and how such parts become the whole."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionShapeError
from attnscope.reference.definition import attend, nonzero, quietly
from attnscope.reference.inputs import Options, read
from attnscope.result import PartialAttention


@quietly
def partial_attention(
    query: NDArray[Any], key: NDArray[Any], value: NDArray[Any], **options: Unpack[Options]
) -> PartialAttention:
    """Attention over these keys, with the logsumexp that says how much they weigh beside others.

    logsumexp[i] = log(sum over visible j of e^score[i, j], plus e^sink)

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        logsumexp    (batch, query_heads, query_len)      natural log; -inf: no key seen and no sink
    Precision
        float64.
    Errors
        AttentionError, from describe().

    >>> part = partial_attention(np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[4.0], [8.0]]))
    >>> part.output.item(), round(float(np.exp(part.logsumexp.item())), 12)
    (6.0, 2.0)
    """
    _, operands, inputs = read(query, key, value, **options)
    output, logsumexp = attend(inputs)
    drop = (0,) * (4 - operands.rank)
    return PartialAttention(output[drop], logsumexp[drop])


@quietly
def merge_partials(*partials: PartialAttention) -> PartialAttention:
    """Combine attention over disjoint sets of keys into attention over all of them.

    share_p = e^logsumexp_p / sum_q e^logsumexp_q
    output = sum_p share_p * output_p,   logsumexp = log(sum_q e^logsumexp_q)

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        logsumexp    (batch, query_heads, query_len)      natural log
    Precision
        float64. A sink is part of one normalizer: give it to one of the partials only.
    Errors
        AttentionShapeError when there is nothing to merge, or the shapes differ.
    Source
        Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    >>> query, keys, values = np.array([[0.0]]), np.ones((4, 1)), np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> merge_partials(partial_attention(query, keys[:1], values[:1]), partial_attention(query, keys[1:], values[1:])).output.item()
    3.0
    """
    check_alike(partials)
    outputs = np.stack([np.asarray(each.output, dtype=np.float64) for each in partials])
    logs = np.stack([np.asarray(each.logsumexp, dtype=np.float64) for each in partials])
    top = logs.max(axis=0)
    anchor = np.where(np.isneginf(top), 0.0, top)  # only empty parts: avoid (-inf) - (-inf) = nan
    masses = np.exp(logs - anchor)
    total = masses.sum(axis=0)
    shares = masses / nonzero(total)
    return PartialAttention((shares[..., None] * outputs).sum(axis=0), anchor + np.log(total))


def check_alike(partials: tuple[PartialAttention, ...]) -> None:
    """Refuse partials of different queries, or none."""
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
