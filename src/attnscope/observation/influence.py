"""What a key does, beside what it weighs: a weight is not an influence."""

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.reference.definition import masked_scores, mix, quietly, softmax
from attnscope.reference.inputs import Bools, Floats, Inputs, Options, read


@dataclass(frozen=True, eq=False, repr=False)
class Influence:
    """How much the output of a row moves when a key is removed, and how much the key weighed.

    Shapes
        weight    (batch, query_heads, query_len, key_len)
        change    (batch, query_heads, query_len, key_len)    Euclidean length of the output's change
        without the axes that the query came without
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
def influence(
    query: NDArray[Any], key: NDArray[Any], value: NDArray[Any], **options: Unpack[Options]
) -> Influence:
    """Remove each key in turn, and see how far the output moves.

    output without j = (output - w_j value_j) / (1 - w_j),   change_j = |output - output without j|

    A key of large weight whose value is what the rest says anyway changes nothing; a key of small weight with a large
    value changes much. This is the influence within one head, on its output alone: what later layers make of it is
    another question, which only the model can answer.

    Shapes
        As in attention(), and as Influence. The matrix is written out: ask for a few rows. The last query meets the last
        key, so row i of a causal text is query[..., i : i + 1, :] with key[..., : i + 1, :], value[..., : i + 1, :].
    Precision
        float64. A row whose only visible key is removed is 0.
    Errors
        AttentionError, from describe().
    Source
        The weights without j are w_k / (1 - w_j): the softmax over the others. Jain & Wallace 2019, arXiv:1902.10186,
        for why it matters.

    >>> value = np.array([[5.0], [5.0], [9.0]])  # the first key repeats the second
    >>> seen = influence(np.array([[1.0]]), np.array([[2.0], [2.0], [0.0]]), value)
    >>> seen.weight.round(2)[0], seen.change.round(2)[0]
    (array([0.47, 0.47, 0.06]), array([0.22, 0.22, 0.25]))
    """
    _, operands, inputs = read(query, key, value, **options)
    scores = masked_scores(inputs)
    weight, _ = softmax(scores, inputs.visible, inputs.sinks)
    output = mix(weight, inputs.visible, inputs.value)
    change = np.where(inputs.visible, _change(weight, inputs.value, output), 0.0)
    heavy = weight > 0.5  # at most one a row, and 1 - weight has lost its digits there: left out in earnest
    if heavy.any():
        change = np.where(heavy, _change_without(scores, heavy, inputs, output), change)
    drop = (0,) * (4 - operands.rank)
    return Influence(weight[drop], change[drop])


def _change(weight: Floats, value: Floats, output: Floats) -> Floats:
    """W / (1 - w) |value - output|, from output - (output - w value) / (1 - w), for weights up to a half."""
    lengths = np.empty_like(weight)
    for row in range(
        weight.shape[-2]
    ):  # the difference itself: the squares' own difference would lose its digits
        lengths[..., row, :] = np.linalg.norm(value - output[..., row, None, :], axis=-1)
    return weight / np.where(weight > 0.5, 1.0, 1.0 - weight) * lengths


def _change_without(scores: Floats, heavy: Bools, inputs: Inputs, output: Floats) -> Floats:
    """The length of the change, the same for all keys of a row: where its heavy key is hidden."""
    others = inputs.visible & ~heavy
    weight, _ = softmax(np.where(others, scores, -np.inf), others, inputs.sinks)
    moved: Floats = np.linalg.norm(output - mix(weight, others, inputs.value), axis=-1)[..., None]
    return moved
