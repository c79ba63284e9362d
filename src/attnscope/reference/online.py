"""The online form: the same attention, reading the keys block by block with a state of O(query_len)."""

from typing import Unpack

import numpy as np

from attnscope.errors import AttentionShapeError
from attnscope.problem import Array, AttentionOptions
from attnscope.reference.definition import masked_scores, mix, nonzero, quietly
from attnscope.reference.inputs import Floats, Inputs, read
from attnscope.result import PartialAttention


@quietly
def blockwise(
    query: Array,
    key: Array,
    value: Array,
    *,
    block: int = 64,
    **options: Unpack[AttentionOptions],
) -> PartialAttention:
    """Compute attention that never holds more than `block` scores of a row.

    running_sum = sum over the keys read so far of exp(score - running_max)
    accumulated = sum over the keys read so far of exp(score - running_max) * value

    If a later block has a larger maximum, both are multiplied by exp(old maximum - new maximum).

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    block : int, default 64
        Number of keys that are read at once.
    **options : Unpack[AttentionOptions]
        mask, scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    PartialAttention
        float64.

    Raises
    ------
    AttentionShapeError
        If block is less than 1.
    AttentionError, TypeError
        As attention() does.

    Notes
    -----
    Differs from attention() by the rounding of float64 only.

    References
    ----------
    Online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, Algorithm 3.
    Rescaled output: Dao et al. 2022, arXiv:2205.14135, Algorithm 1.

    Examples
    --------
    >>> query, keys, values = np.array([[0.0]]), np.ones((3, 1)), np.array([[1.0], [2.0], [6.0]])
    >>> blockwise(query, keys, values, block=2).output.item()  # (1 + 2 + 6) / 3
    3.0
    """
    if block < 1:
        raise AttentionShapeError(f"block={block}: expected at least 1 key. Use block=64.")
    _, operands, inputs = read(query, key, value, **options)
    running_max, running_sum, accumulated = nothing_read(inputs)

    for first_key in range(0, inputs.key.shape[-2], block):
        # 1. scores of this block
        part = inputs.of_keys(slice(first_key, first_key + block))
        scores = masked_scores(part)

        # 2. rescale the sums to the new maximum
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
    logsumexp = finite_anchor(running_max) + np.log(running_sum)
    return PartialAttention(operands.like_query(output), operands.like_query(logsumexp))


def nothing_read(inputs: Inputs) -> tuple[Floats, Floats, Floats]:
    """The state before the first key. A sink counts as a key that was read already, with the value 0."""
    rows = inputs.query.shape[:-1]
    running_max = np.full(rows, -np.inf)
    if inputs.sinks is not None:
        running_max = np.maximum(running_max, inputs.sinks[:, None])
    running_sum = np.where(np.isneginf(running_max), 0.0, 1.0)
    return running_max, running_sum, np.zeros((*rows, inputs.value.shape[-1]))


def shrinkage(old_max: Floats, new_max: Floats) -> Floats:
    """The factor that turns exp(score - old_max) into exp(score - new_max); 0 before the first key."""
    return np.exp(old_max - new_max)


def finite_anchor(running_max: Floats) -> Floats:
    """The maximum, or 0 before any key was seen: (-inf) - (-inf) would be NaN."""
    return np.where(np.isneginf(running_max), 0.0, running_max)
