"""The largest error that an implementation may make: by a proof, and by a same-precision baseline.

No tolerance is typed.

The proof. Let u be the rounding unit of the arithmetic (2^-24 for float32). A score is computed with an
error of at most d[j]: each of its operations, in whatever order, costs u relative to its operands.

    d[j] = u * ((key_dim + 8) * mass[j]      products, sums and the scale; mass = scale * sum |query| |key|
                + 16 * softcap               a tanh within a few u of 1, and its scaling
                + 4 * |bias[j]|              widening, a change of base, the sum
                + 6 * slope * distance[j]    the product, a change of base, the sum
                + 2 * |score[j] - top|       the differences of the exponent, summed over all rescales
                + 8)                         the exponential itself

The weight w[j] = exp(score[j]) / sum of exp(score) becomes at most exp(d[j]) / B and at least exp(-d[j]) /
A times itself, with A = sum w exp(d) and B = sum w exp(-d). This is exact, however large d is. Sums over
keys, products with the values and rescales add (3 key_len + 32) u, and the output is rounded once to its
format.

The baseline. The proof assumes the worst case of every rounding; a real error is about a hundredth of it.
So the error must also be at most twice that of plain NumPy in the same precision, plus one rounding of the
output. Errors are compared by their root mean square over at least 256 entries: the largest single error
varies too much from case to case. (A float32 online softmax over 700 random problems reached 0.9 of this
limit below 256 entries, and 0.7 above. Fully masked rows are not counted, and a single row that sees one
key has a single error, in its only weight.)

If slopes or a bias push all scores far below a sink, the whole exponent's error counts, not that of a
difference. 44 tokens at a slope of 1 are exact in NumPy's base e, and ten roundings in base 2. Only the
proof judges these cases. Partials of bfloat16 and float16 are also left to the proof: NumPy's products of
such short numbers are exact in float32, those of a scaled query are not, and both are correct.

An audit judges other implementations by the same proof (attnscope/probing/bound.py) and takes the
reference's weights as exact. Here the reference itself is under test, so the proof is computed once more;
tests/probing/test_bound.py compares the two. An audit allows for more: scores stored before the difference
with the largest, and short sums in 16 bits.
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope import reference
from attnscope.reference.definition import masked_scores
from attnscope.reference.inputs import Inputs, read
from attnscope.result import PartialAttention
from tests.baseline import Baseline
from tests.problems import Case

ENOUGH_ENTRIES = 256  # from here on, the baseline is compared, too
ENOUGH_ROWS = 16  # with independent errors: the entries of a row share its weights

Floats = NDArray[np.float64]
finfo: Any = ml_dtypes.finfo  # untyped


@dataclass(frozen=True, eq=False)
class Bound:
    """The largest error that the proof allows, for each entry."""

    output: Floats
    logsumexp: Floats
    weights: Floats
    scores: Floats


def unit(dtype: Any) -> float:
    """The rounding unit: half the distance from 1 to the next number."""
    return float(finfo(dtype).eps) / 2


def of_a_sum(terms: int, dtype: Any = np.float32) -> float:
    """The largest relative error of a sum of `terms` terms >= 0, including the errors of the terms."""
    return (3 * terms + 40) * unit(dtype)


def least(dtype: Any, what: str) -> float:
    """The "smallest_normal" or "smallest_subnormal" number of a format."""
    return float(getattr(finfo(dtype), what))


def accumulation(case: Case) -> Any:
    """The precision that attention() computes in."""
    return np.float64 if case.query.dtype == np.float64 else np.float32


def error_bound(case: Case, *, arithmetic: Any, output: Any) -> Bound:
    """The proof above, for arithmetic in one dtype and an output in another."""
    inputs = read(*case.arrays, **case.options)[2]
    with np.errstate(all="ignore"):
        return bound_of(inputs, soften(inputs, unit(arithmetic)), arithmetic, output)


@dataclass(frozen=True, eq=False)
class Softened:
    """A softmax, and the effect of errors in its scores: d, A and B of the proof."""

    scores: Floats
    top: Floats
    weights: Floats
    logsumexp: Floats
    wrong_by: Floats
    above: Floats
    below: Floats


def soften(inputs: Inputs, u: float) -> Softened:
    """Compute the weights once more, so that a wrong softmax cannot widen its own bound."""
    scores = masked_scores(inputs)
    top = scores.max(axis=-1, initial=-np.inf)
    if inputs.sinks is not None:
        top = np.maximum(top, inputs.sinks[:, None])
    wrong_by = np.where(np.isneginf(scores), 0.0, u * score_errors(inputs, scores - top[..., None]))
    parts = np.where(np.isneginf(scores), 0.0, np.exp(scores - top[..., None]))
    total, above, below = (
        each.sum(axis=-1) for each in (parts, parts * np.exp(wrong_by), parts * np.exp(-wrong_by))
    )
    if inputs.sinks is not None:
        sinks = inputs.sinks[:, None]
        part = np.exp(sinks - top)
        wrong_sink = u * (4 * np.abs(sinks) + 2 * (top - sinks) + 8)
        total, above, below = (
            total + part,
            above + part * np.exp(wrong_sink),
            below + part * np.exp(-wrong_sink),
        )
    sees_some = total > 0
    total, above, below = (np.where(sees_some, each, 1.0) for each in (total, above, below))
    logsumexp = np.where(sees_some, top + np.log(total), -np.inf)
    weights = parts / total[..., None]
    return Softened(scores, top, weights, logsumexp, wrong_by, above / total, below / total)


def score_errors(inputs: Inputs, below_top: Floats) -> Floats:
    """d[j] / u of the proof."""
    key_dim = inputs.query.shape[-1]
    mass = inputs.scale * (finite_size(inputs.query) @ finite_size(inputs.key).swapaxes(-1, -2))
    errors: Floats = (key_dim + 8) * mass + 2 * np.abs(below_top) + 8
    if inputs.softcap is not None:
        errors = errors + 16 * inputs.softcap
    if inputs.bias is not None:
        errors = errors + 4 * np.abs(inputs.bias)
    if inputs.alibi_slopes is not None:
        distance = np.abs(inputs.query_positions[:, None] - inputs.key_positions)
        errors = errors + 6 * inputs.alibi_slopes[:, None, None] * distance
    return errors


def bound_of(inputs: Inputs, soft: Softened, arithmetic: Any, output: Any) -> Bound:
    u, half_a_step = unit(arithmetic), least(output, "smallest_subnormal") / 2
    sums = u * (3 * inputs.key.shape[-2] + 32)
    larger = np.exp(soft.wrong_by) / soft.below[..., None] - 1
    smaller = 1 - np.exp(-soft.wrong_by) / soft.above[..., None]
    relative = np.maximum(larger, smaller)
    vanishing = least(arithmetic, "smallest_normal") * inputs.visible  # weights below it may be lost
    weights = soft.weights * (relative + sums * (1 + relative)) + vanishing
    outputs = weights @ finite_size(inputs.value)
    log_size = finite_size(soft.logsumexp) + finite_size(soft.top)
    logs = np.maximum(np.log(soft.above), -np.log(soft.below)) + sums + 4 * u * log_size

    def rounded(error: Floats, size: Floats) -> Floats:
        return error + unit(output) * (size + error) + half_a_step

    return Bound(
        output=rounded(outputs, np.abs(soft.weights @ finite(inputs.value))),
        logsumexp=logs,
        weights=rounded(weights, soft.weights),
        scores=rounded(soft.wrong_by, finite_size(soft.scores)),
    )


def finite(array: Floats) -> Floats:
    return np.where(np.isfinite(array), array, 0.0)


def finite_size(array: Floats) -> Floats:
    return np.abs(finite(array))


def assert_within(actual: Any, expected: Floats, bound: Floats, what: str) -> None:
    """Compare: finite entries within the bound, -inf with -inf, NaN with NaN."""
    actual = np.asarray(actual).astype(np.float64)
    assert actual.shape == expected.shape, f"{what} has shape {actual.shape}, expected {expected.shape}"
    usual = np.isfinite(expected) & np.isfinite(actual)
    empty = np.isneginf(expected)
    odd = (empty & ~np.isneginf(actual)) | (np.isfinite(expected) != np.isfinite(actual))
    with np.errstate(invalid="ignore"):
        too_far = ~(np.abs(actual - expected) <= bound) & usual
    wrong = odd | too_far
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{what} exceeds the derived bound in {wrong.sum()} of {wrong.size} entries, first at {first}: "
            f"got {actual[first]!r}, expected {expected[first]!r} within {bound[first]:.3g}"
        )


def assert_matches_oracle(actual: NDArray[Any] | PartialAttention, case: Case) -> None:
    """Compare an implementation's result with the reference: by the proof, and by the baseline."""
    output = actual.output if isinstance(actual, PartialAttention) else actual
    oracle = reference.partial_attention(*case.arrays, **case.options)
    bound = error_bound(case, arithmetic=accumulation(case), output=output.dtype)
    assert_within(output, oracle.output.reshape(output.shape), bound.output.reshape(output.shape), "output")
    if isinstance(actual, PartialAttention):
        assert_within(actual.logsumexp, oracle.logsumexp, bound.logsumexp, "logsumexp")
    given = {name for name, option in case.options.items() if option is not None}
    below_a_sink = "sinks" in given and not given.isdisjoint({"alibi_slopes", "bias"})
    if output.dtype == case.query.dtype and enough_to_compare(oracle.output) and not below_a_sink:
        assert_at_most_twice_the_baseline(output, oracle.output.reshape(output.shape), case)


def enough_to_compare(expected: Floats) -> bool:
    """Whether there are enough entries to compare; fully masked rows are exact, so they do not count."""
    if not np.isfinite(expected).all():
        return False
    entries_of_row: NDArray[np.intp] = np.count_nonzero(expected, axis=-1)
    return bool(np.count_nonzero(entries_of_row) >= ENOUGH_ROWS and entries_of_row.sum() >= ENOUGH_ENTRIES)


def assert_at_most_twice_the_baseline(output: NDArray[Any], expected: Floats, case: Case) -> None:
    baseline = Baseline(accumulation(case)).partial(case).output.reshape(output.shape)
    error, baseline_error = error_size(output, expected), error_size(baseline.astype(output.dtype), expected)
    one_rounding = unit(output.dtype) * error_size(np.zeros_like(expected), expected)
    assert error <= 2 * baseline_error + one_rounding, (
        f"the error is {error:.3g}; the baseline's is {baseline_error:.3g} and one rounding "
        f"{one_rounding:.3g}"
    )


def error_size(actual: NDArray[Any], expected: Floats) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean((actual.astype(np.float64) - expected) ** 2)))
