"""Attention over some of the keys, and how such parts become the whole."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionShapeError
from attnscope.reference.definition import attend, nonzero, quietly
from attnscope.reference.inputs import Options, read
from attnscope.result import Partial


@quietly
def partial(
    query: NDArray[Any], key: NDArray[Any], value: NDArray[Any], **options: Unpack[Options]
) -> Partial:
    """Attention over these keys, with the log normalizer that says how much they weigh beside others.

    log_normalizer[i] = log(sum over visible j of e^score[i, j], plus e^sink)

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        log_normalizer    (batch, query_heads, query_len)      natural log; -inf: no key seen and no sink
    Precision
        float64.
    Errors
        AttentionError, from describe().

    >>> part = partial(np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[4.0], [8.0]]))
    >>> part.output.item(), round(float(np.exp(part.log_normalizer.item())), 12)
    (6.0, 2.0)
    """
    _, operands, inputs = read(query, key, value, **options)
    output, log_normalizer = attend(inputs)
    drop = (0,) * (4 - operands.rank)
    return Partial(output[drop], log_normalizer[drop])


@quietly
def merge(*partials: Partial) -> Partial:
    """Combine attention over disjoint sets of keys into attention over all of them.

    share_p = e^log_normalizer_p / sum_q e^log_normalizer_q
    output = sum_p share_p * output_p,   log normalizer = log(sum_q e^log_normalizer_q)

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        log_normalizer    (batch, query_heads, query_len)      natural log
    Precision
        float64. A sink is part of one normalizer: give it to one of the partials only.
    Errors
        AttentionShapeError when there is nothing to merge, or the shapes differ.
    Source
        Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    >>> query, keys, values = np.array([[0.0]]), np.ones((4, 1)), np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> merge(partial(query, keys[:1], values[:1]), partial(query, keys[1:], values[1:])).output.item()
    3.0
    """
    check_alike(partials)
    outputs = np.stack([np.asarray(each.output, dtype=np.float64) for each in partials])
    logs = np.stack([np.asarray(each.log_normalizer, dtype=np.float64) for each in partials])
    top = logs.max(axis=0)
    anchor = np.where(np.isneginf(top), 0.0, top)  # only empty parts: avoid (-inf) - (-inf) = nan
    masses = np.exp(logs - anchor)
    total = masses.sum(axis=0)
    shares = masses / nonzero(total)
    return Partial((shares[..., None] * outputs).sum(axis=0), anchor + np.log(total))


def check_alike(partials: tuple[Partial, ...]) -> None:
    """Refuse partials of different queries, or none."""
    if not partials:
        raise AttentionShapeError("merge() got no partial, expected at least one. Pass merge(*parts).")
    first = np.shape(partials[0].output)
    for number, each in enumerate(partials):
        if np.shape(each.output) != first or np.shape(each.log_normalizer) != first[:-1]:
            raise AttentionShapeError(
                f"partial {number} has output {np.shape(each.output)} and log_normalizer "
                f"{np.shape(each.log_normalizer)}, expected {first} and {first[:-1]} as in partial 0. "
                "Merge partials of the same queries."
            )
