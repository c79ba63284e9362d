"""How far a careful computation may be from the exact answer: a proven bound, no guessed tolerance.

Let u be the rounding unit of the arithmetic. A score is computed with an error of at most d[j]: each of its
operations, in whatever order, costs u relative to what it works on.

    d[j] = (s(key_dim) + 8 u) * mass[j]      products, sums and the scale; mass = scale * sum |query| |key|
           + 16 u * softcap                  a tanh good to a few u of 1, and its scaling + 4 u * |bias[j]|
           widening, a change of base, the sum + 2 u * |score[j] - top|          the differences of the
           exponent, summed over all rescales + 4 u * |score[j]|                rounding the score itself,
           where it is stored before the difference + 8 u                             the exponential itself

where s(n) bounds the error of a sum of n terms: n u in float32 and float64, in any order. In 16-bit formats
that would permit sums that stop growing, which is a bug and not rounding. There a careful sum is taken in
float32 or pairwise, so s(n) = n 2^-24 + log2(n) u.

So the weight w[j] = e^score[j] / sum of e^score becomes at most e^d[j] / B and at least e^-d[j] / A times
itself, where A = sum w e^d and B = sum w e^-d: that is exact, however large d. Sums over keys, products
with the values and rescales add 3 s(key_len) + 32 u, and the output is rounded once to its format.

`same_precision_baseline` is the second judge: the bound states the possible error, the baseline the usual
one.

tests/tolerance.py derives the same bound for attnscope's own code and shares nothing with this file: it
also judges the reference, whose weights are exact here. tests/probing/test_bound.py compares the two.
"""

from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.problem import FORMATS
from attnscope.reference import Inputs, biased, mix, quietly, soft_capped, softmax

Floats = NDArray[np.float64]
finfo: Any = ml_dtypes.finfo  # untyped
FLOAT32_UNIT = 2.0**-24


@dataclass(frozen=True)
class Arithmetic:
    """The rounding of one number format, and of careful sums in it.

    Parameters
    ----------
    number_format : str
        "float64", "float32", "float16" or "bfloat16".

    Examples
    --------
    >>> Arithmetic("float32").unit == 2**-24
    True
    """

    number_format: str

    @cached_property
    def unit(self) -> float:
        """Half the distance from 1 to the next number."""
        return float(finfo(FORMATS[self.number_format]).eps) / 2

    @cached_property
    def smallest_normal(self) -> float:
        """The smallest positive normal number."""
        return float(finfo(FORMATS[self.number_format]).smallest_normal)

    @cached_property
    def smallest_subnormal(self) -> float:
        """The smallest positive number."""
        return float(finfo(FORMATS[self.number_format]).smallest_subnormal)

    def of_sum(self, terms: int) -> float:
        """s(n) of the proof."""
        if self.unit <= FLOAT32_UNIT:
            return terms * self.unit
        return terms * FLOAT32_UNIT + log2(max(terms, 2)) * self.unit


@dataclass(frozen=True, eq=False)
class Bound:
    """The largest error that the proof allows, per entry; `weights` without the output's rounding."""

    output: Floats
    logsumexp: Floats
    weights: Floats


@dataclass(frozen=True, eq=False)
class InputErrors:
    """How far inputs may already be from the exact ones, per entry, for example after a projection."""

    query: Floats
    key: Floats
    value: Floats


@quietly
def bound_of(
    inputs: Inputs,
    scores: Floats,
    exact: tuple[Floats, Floats, Floats],
    u: Arithmetic,
    carried: InputErrors | None = None,
) -> Bound:
    """The proof; scores are masked, exact is (weights, output, logsumexp)."""
    weights, output, logsumexp = exact
    top = scores.max(axis=-1, initial=-np.inf)
    if inputs.sinks is not None:
        top = np.maximum(top, inputs.sinks[:, None])
    wrong_by = score_errors(inputs, scores, top, u)
    if carried is not None:
        wrong_by += carried_to_scores(inputs, carried)
    wrong_by[np.isneginf(scores)] = 0.0
    more = np.exp(wrong_by)
    less = 1 / more
    above = np.einsum("...k,...k->...", weights, more)
    below = np.einsum("...k,...k->...", weights, less)
    if inputs.sinks is not None:
        sinks = inputs.sinks[:, None]
        weight = np.nan_to_num(np.exp(sinks - logsumexp))
        wrong_sink = u.unit * (4 * np.abs(sinks) + 2 * size_of(top - sinks) + 8)
        above, below = above + weight * np.exp(wrong_sink), below + weight * np.exp(-wrong_sink)
    empty = np.isneginf(logsumexp)
    above, below = np.where(empty, 1.0, above), np.where(empty, 1.0, below)
    sums = 3 * u.of_sum(scores.shape[-1]) + 32 * u.unit
    more /= below[..., None]
    less /= above[..., None]
    relative = np.maximum(more - 1, 1 - less, out=more)
    relative *= 1 + sums
    relative += sums
    wrong_weights = np.minimum(np.multiply(weights, relative, out=relative), 1 + sums, out=relative)
    wrong_weights += u.smallest_normal * inputs.visible  # weights below it may be lost
    outputs = wrong_weights @ size_of(inputs.value)
    if carried is not None:
        outputs = outputs + (weights + wrong_weights) @ carried.value
    logs = np.maximum(np.log(above), -np.log(below)) + sums + 4 * u.unit * (size_of(logsumexp) + size_of(top))
    return Bound(
        output=outputs + u.unit * (np.abs(output) + outputs) + u.smallest_subnormal / 2,
        logsumexp=logs,
        weights=wrong_weights,
    )


def score_errors(inputs: Inputs, scores: Floats, top: Floats, u: Arithmetic) -> Floats:
    """d[j] of the proof."""
    factor = inputs.scale * (u.of_sum(inputs.query.shape[-1]) + 8 * u.unit)
    errors: Floats = (factor * size_of(inputs.query)) @ size_of(inputs.key).swapaxes(-1, -2)
    errors += 2 * u.unit * size_of(scores - top[..., None])
    errors += 4 * u.unit * size_of(scores)
    errors += 8 * u.unit
    if inputs.softcap is not None:
        errors = errors + 16 * u.unit * inputs.softcap
    if inputs.bias is not None:
        errors = errors + 4 * u.unit * size_of(inputs.bias)
    return errors


def carried_to_scores(inputs: Inputs, carried: InputErrors) -> Floats:
    """The error that queries and keys pass on to their products: |q| e(k) + e(q) |k| + e(q) e(k)."""
    key_errors = carried.key.swapaxes(-1, -2)
    widest_keys = size_of(inputs.key).swapaxes(-1, -2) + key_errors
    both: Floats = size_of(inputs.query) @ key_errors + carried.query @ widest_keys
    return inputs.scale * both


def size_of(array: Floats) -> Floats:
    """Absolute values; 0 for NaN and infinity."""
    sizes: Floats = np.abs(array)
    if not np.isfinite(sizes.sum()):
        sizes[~np.isfinite(sizes)] = 0.0
    return sizes


@quietly
def same_precision_baseline(inputs: Inputs, number_format: str) -> tuple[Floats, Floats]:
    """(output, logsumexp) of careful code in a format: each step is rounded, sums are taken in float64."""
    dtype: Any = FORMATS[number_format]

    def rounded(array: Any) -> Any:
        return array.astype(dtype).astype(np.float64)

    raw = rounded(inputs.scale * (rounded(inputs.query) @ rounded(inputs.key).swapaxes(-1, -2)))
    scores = rounded(biased(rounded(soft_capped(raw, inputs.softcap)), inputs))
    weights, logs = softmax(np.where(inputs.visible, scores, -np.inf), inputs.visible, inputs.sinks)
    return rounded(mix(rounded(weights), inputs.visible, rounded(inputs.value))), rounded(logs)
