"""The online form: the same attention, reading the keys block by block and keeping O(query_len) of state."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionShapeError
from attnscope.reference.definition import masked_scores, mix, nonzero, quietly
from attnscope.reference.inputs import Floats, Inputs, Options, read
from attnscope.result import PartialAttention


@quietly
def blockwise(
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    block: int = 64,
    **options: Unpack[Options],
) -> PartialAttention:
    """Attention that never holds more than `block` scores of a row.

    running_sum = sum over the keys read so far of e^(score - running_max)
    accumulated = sum over the keys read so far of e^(score - running_max) * value

    A larger maximum found later is made up for by shrinking both by e^(old maximum - new maximum).

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        logsumexp    (batch, query_heads, query_len)      natural log; -inf: no key seen and no sink
    Precision
        float64; differs from attention() by rounding only.
    Errors
        AttentionShapeError for a block below 1; AttentionError from describe().
    Source
        online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, Algorithm 3;
        rescaled output: Dao et al. 2022, arXiv:2205.14135, Algorithm 1.

    >>> query, keys, values = np.array([[0.0]]), np.ones((3, 1)), np.array([[1.0], [2.0], [6.0]])
    >>> blockwise(query, keys, values, block=2).output.item()
    3.0
    """
    if block < 1:
        raise AttentionShapeError(f"block={block} holds no key, expected at least 1. Use block=64.")
    _, operands, inputs = read(query, key, value, **options)
    running_max, running_sum, accumulated = nothing_read(inputs)

    for first_key in range(0, inputs.key.shape[-2], block):
        # 1. scores of this block
        part = inputs.of_keys(slice(first_key, first_key + block))
        scores = masked_scores(part)

        # 2. a new maximum shrinks what was accumulated
        new_max = np.maximum(running_max, scores.max(axis=-1))
        anchor = finite_anchor(new_max)
        shrink = shrinkage(running_max, anchor)
        running_max = new_max

        # 3. add this block
        parts = np.where(part.visible, np.exp(scores - anchor[..., None]), 0.0)
        running_sum = running_sum * shrink + parts.sum(axis=-1)
        accumulated = accumulated * shrink[..., None] + mix(parts, part.visible, part.value)

    # 4. one division at the end
    output = accumulated / nonzero(running_sum)[..., None]
    drop = (0,) * (4 - operands.rank)
    return PartialAttention(output[drop], (finite_anchor(running_max) + np.log(running_sum))[drop])


def nothing_read(inputs: Inputs) -> tuple[Floats, Floats, Floats]:
    """Begin before the first key. A sink is a key that was read already, whose value is 0."""
    rows = inputs.query.shape[:-1]
    running_max = np.full(rows, -np.inf)
    if inputs.sinks is not None:
        running_max = np.maximum(running_max, inputs.sinks[:, None])
    running_sum = np.where(np.isneginf(running_max), 0.0, 1.0)
    return running_max, running_sum, np.zeros((*rows, inputs.value.shape[-1]))


def shrinkage(old_max: Floats, new_max: Floats) -> Floats:
    """Turn e^(score - old_max) into e^(score - new_max) by multiplying; 0 before the first key."""
    return np.exp(old_max - new_max)


def finite_anchor(running_max: Floats) -> Floats:
    """Subtract this, and not -inf, where no key was seen yet."""
    return np.where(np.isneginf(running_max), 0.0, running_max)  # avoid (-inf) - (-inf) = nan
