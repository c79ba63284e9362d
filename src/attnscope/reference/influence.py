"""The influence of a key on the output, beside its weight."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np

from attnscope.problem import Array, AttentionOptions
from attnscope.reference.definition import masked_scores, mix, quietly, softmax
from attnscope.reference.inputs import Bools, Floats, Inputs, read


@dataclass(frozen=True, eq=False, repr=False)
class Influence:
    """How far each row's output moves when a key is removed, beside the key's weight.

    Parameters
    ----------
    weight : ndarray of float64, shape (batch, query_heads, query_len, key_len)
        The attention weights.
    change : ndarray of float64, shape (batch, query_heads, query_len, key_len)
        The Euclidean length of the output's change. Both arrays lack the axes that the query lacks.
    """

    weight: Floats
    change: Floats

    def __repr__(self) -> str:
        rows = self.weight.reshape(-1, self.weight.shape[-1]), self.change.reshape(-1, self.change.shape[-1])
        shown = 8
        lines = ["  row    key  weight  change"]
        for row, (weight, change) in enumerate(zip(*rows, strict=True)):
            heaviest = np.argsort(-weight, kind="stable")[: max(1, shown // len(rows[0]))]
            lines += [f"{row:>5}  {key:>5}  {weight[key]:.4f}  {change[key]:.4g}" for key in heaviest]
        return "\n".join(lines[: 2 * shown])


@quietly
def influence(query: Array, key: Array, value: Array, **options: Unpack[AttentionOptions]) -> Influence:
    """Remove each key in turn, and measure how far the output moves.

    `output without j = (output - w_j value_j) / (1 - w_j)`, and `change_j = |output - output without j|`.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    **options : Unpack[AttentionOptions]
        mask, scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    Influence
        float64. If a row's only visible key is removed, its output is 0.

    Raises
    ------
    AttentionError, TypeError
        As attention() does.

    Notes
    -----
    A key with a large weight changes nothing if its value equals the mean of the others. A key with a small
    weight changes much if its value is large. This is the influence within one head, on that head's output;
    only the model itself can show what later layers make of it.

    The matrix of weights is written out, so pass a few rows only. The last query is aligned with the last
    key: row i of a causal text is query[..., i : i + 1, :] with key[..., : i + 1, :] and value[..., : i +
    1, :].

    References
    ----------
    The weights without j are w_k / (1 - w_j), the softmax over the other keys. On weights as explanations:
    Jain & Wallace 2019, arXiv:1902.10186.

    Examples
    --------
    >>> value = np.array([[5.0], [5.0], [9.0]])  # the first two values are equal
    >>> seen = influence(np.array([[1.0]]), np.array([[2.0], [2.0], [0.0]]), value)
    >>> seen.weight.round(2)[0], seen.change.round(2)[0]
    (array([0.47, 0.47, 0.06]), array([0.22, 0.22, 0.25]))
    """
    _, operands, inputs = read(query, key, value, **options)
    scores = masked_scores(inputs)
    weight, _ = softmax(scores, inputs.visible, inputs.sinks)
    output = mix(weight, inputs.visible, inputs.value)
    change = np.where(inputs.visible, _change(weight, inputs.value, output), 0.0)
    heavy = (
        weight > 0.5
    )  # at most one per row. 1 - weight has lost its digits there, so the key is removed literally
    if heavy.any():
        change = np.where(heavy, _change_without(scores, heavy, inputs, output), change)
    drop = operands.added_axes
    return Influence(weight[drop], change[drop])


def _change(weight: Floats, value: Floats, output: Floats) -> Floats:
    """W / (1 - w) |value - output|, from output - (output - w value) / (1 - w), for weights up to a half."""
    lengths = np.empty_like(weight)
    for row in range(weight.shape[-2]):  # subtract before squaring: a difference of squares would lose digits
        lengths[..., row, :] = np.linalg.norm(value - output[..., row, None, :], axis=-1)
    return weight / np.where(weight > 0.5, 1.0, 1.0 - weight) * lengths


def _change_without(scores: Floats, heavy: Bools, inputs: Inputs, output: Floats) -> Floats:
    """The length of the change if a row's heavy key is hidden; the same for all keys of the row."""
    others = inputs.visible & ~heavy
    weight, _ = softmax(np.where(others, scores, -np.inf), others, inputs.sinks)
    moved: Floats = np.linalg.norm(output - mix(weight, others, inputs.value), axis=-1)[..., None]
    return moved
