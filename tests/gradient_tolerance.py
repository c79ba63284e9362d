"""The largest error that gradients may have, by a proof and a same-precision baseline: none is typed.

The proof goes on where that of tests/tolerance.py ends. Let d[j] be its error of a score, e its error of the
logsumexp l, t the largest score of the row, and u the rounding unit. A weight is exp(score - l), so it is
wrong by at most exp(x) - 1 times itself, with

    x[i, j] = d[i, j] + e[i] + u (2 |l[i] - t[i]| + 8)      the exponent's difference, and the exponential

A dot product over value_dim entries, in whatever order, is wrong by (value_dim + 8) u times that of the
sizes:

    dw[i, j] = g[i] . value[j]    wrong by a = (value_dim + 8) u |g[i]| . |value[j]|
    mean[i]  = g[i] . output[i]   wrong by b = (value_dim + 8) u |g[i]| . |output[i]| + |g[i]| . output error
    ds = w (dw - mean)            wrong by (w error) (|dw - mean| + a + b) + w (a + b) + 4 u w (|dw| + |mean|)
    1 - tanh(y)^2                 wrong by u (2 (key_dim + 8) mass / softcap + 16): tanh has a slope <= 1

and a product of two wrong numbers by the usual rule. A sum of n terms adds (3 n + 32) u of the sum of their
sizes, and what underflows is at most the least normal number per term. The result is rounded once to its
format.

The baseline is plain NumPy in the same precision, and the error must be at most twice its own plus one
rounding, compared by root mean squares over at least 256 entries, as for outputs. Problems of one visible key
per row are left to the proof: their score gradients are exactly 0 and all that remains is rounding. So are
those of a bias or slopes beside sinks, as in tests/tolerance.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope import reference
from attnscope.reference.inputs import read
from attnscope.result import Gradients
from tests.baseline import Baseline
from tests.problems import Case
from tests.tolerance import (
    ENOUGH_ROWS,
    Bound,
    Floats,
    accumulation,
    assert_within,
    enough_to_compare,
    error_size,
    finite_size,
    least,
    of_a_sum,
    soften,
    unit,
)
from tests.tolerance import error_bound as forward_bound

NAMES = ("query", "key", "value", "bias", "sinks")


@dataclass(frozen=True, eq=False)
class Wrong:
    """A quantity's size and the most that it may be wrong by."""

    size: Floats
    error: Floats

    def times(self, factor: Floats) -> "Wrong":
        return Wrong(self.size * factor, self.error * factor)

    def summed(self, with_rows: Floats, terms: int, arithmetic: Any) -> "Wrong":
        """The error of `self @ with_rows`, whose sums have `terms` terms."""
        sums, lost = unit(arithmetic) * (3 * terms + 32), least(arithmetic, "smallest_normal") * terms
        rows = np.abs(with_rows)
        size, error = self.size @ rows, self.error @ rows
        return Wrong(size, error + sums * (size + error) + lost)


def gradient_bounds(
    case: Case, grad_output: NDArray[Any], *, arithmetic: Any, output: Any
) -> dict[str, Floats]:
    """The proof above, for a forward pass whose output has the dtype `output`."""
    _, _, inputs = read(*case.arrays, **case.options)
    forward = forward_bound(case, arithmetic=arithmetic, output=output)
    with np.errstate(all="ignore"):
        return bounds_of(inputs, grad_output.astype(np.float64), forward, case, arithmetic)


def bounds_of(inputs: Any, grad: Floats, forward: Bound, case: Case, arithmetic: Any) -> dict[str, Floats]:
    u, visible = unit(arithmetic), inputs.visible
    soft = soften(inputs, u)
    exact = reference.attention(*case.arrays, **case.options).reshape(grad.shape)
    log_size = finite_size(soft.logsumexp - np.where(np.isfinite(soft.top), soft.top, 0.0))
    exponent = soft.wrong_by + (forward.logsumexp + u * (2 * log_size + 8))[..., None]
    vanishing = least(arithmetic, "smallest_normal") * visible
    weight = Wrong(soft.weights, soft.weights * np.expm1(exponent) + vanishing)

    dots = u * (inputs.value.shape[-1] + 8)
    grad_weights = np.abs(grad @ inputs.value.swapaxes(-1, -2))
    mean = np.abs((grad * exact).sum(axis=-1))[..., None]
    of_mean = ((dots * np.abs(exact) + forward.output) * np.abs(grad)).sum(axis=-1)[..., None]
    both = dots * (np.abs(grad) @ np.abs(inputs.value).swapaxes(-1, -2)) + of_mean
    difference = np.abs(grad @ inputs.value.swapaxes(-1, -2) - (grad * exact).sum(axis=-1)[..., None])
    score = Wrong(
        weight.size * difference,
        weight.error * (difference + both) + weight.size * (both + 4 * u * (grad_weights + mean)) + vanishing,
    )
    capped = through_the_cap(inputs, score, u)

    rows, keys = inputs.query.shape[-2] * group_of(case), inputs.key.shape[-2]
    swapped = Wrong(*(each.swapaxes(-1, -2) for each in (capped.size, capped.error)))
    by_key = Wrong(*(each.swapaxes(-1, -2) for each in (weight.size, weight.error)))
    found = {
        "query": capped.summed(inputs.key, keys, arithmetic).times(inputs.scale).error,
        "key": of_kv_heads(case, swapped.summed(inputs.query, rows, arithmetic).times(inputs.scale).error),
        "value": of_kv_heads(case, by_key.summed(grad, rows, arithmetic).error),
    }
    if inputs.bias is not None:
        shape = case.options["bias"].shape
        terms = grad_weights.size // max(np.prod(shape, dtype=int), 1)
        size, error = (reference.summed_to(shape, each) for each in (score.size, score.error))
        found["bias"] = error + of_a_sum(terms, arithmetic) * (size + error)
    if inputs.sinks is not None:
        found["sinks"] = sink_bound(inputs, soft, forward, np.squeeze(mean, -1), np.squeeze(of_mean, -1), u)
    return found


def through_the_cap(inputs: Any, score: Wrong, u: float) -> Wrong:
    """The gradients of the raw scores."""
    if inputs.softcap is None:
        return score
    mass = inputs.scale * (np.abs(inputs.query) @ np.abs(inputs.key).swapaxes(-1, -2))
    of_slope = u * (2 * (inputs.query.shape[-1] + 8) * mass / inputs.softcap + 16)
    return Wrong(score.size, score.error + (of_slope + u) * (score.size + score.error))


def sink_bound(inputs: Any, soft: Any, forward: Bound, mean: Floats, of_mean: Floats, u: float) -> Floats:
    absent = np.isneginf(inputs.sinks)[:, None]
    share = np.where(absent, 0.0, np.exp(inputs.sinks[:, None] - soft.logsumexp))
    wrong_share = share * np.expm1(forward.logsumexp + 4 * u)
    each = wrong_share * (mean + of_mean) + share * of_mean
    terms = mean.shape[0] * mean.shape[2]
    total: Floats = each.sum(axis=(0, 2)) + of_a_sum(terms) * (share * (mean + of_mean)).sum(axis=(0, 2))
    return total


def group_of(case: Case) -> int:
    return int(case.query.shape[1] // case.key.shape[1])


def of_kv_heads(case: Case, error: Floats) -> Floats:
    return reference.of_shared_heads(case.key.shape[1], error)


def assert_gradients_match(
    actual: Gradients,
    case: Case,
    grad_output: NDArray[Any],
    output: Any = None,
    *,
    by_baseline: bool = True,
) -> None:
    """Compare with the reference's gradients: by the proof, and by the baseline.

    Problems that Hypothesis draws are judged by the proof alone: of 5,000 of them, 5 had a few per cent more
    than twice the baseline's error, by chance. So is a call that is given the results of the forward pass, of
    the dtype `output`: a logsumexp in one float scales a whole row; the baseline divides by its own sum.
    """
    arithmetic = accumulation(case)
    oracle = reference.gradients(*case.arrays, grad_output, **case.options)
    bounds = gradient_bounds(case, grad_output, arithmetic=arithmetic, output=output or arithmetic)
    for name, bound in bounds.items():
        expected, got = getattr(oracle, name), getattr(actual, name)
        half_a_step = least(got.dtype, "smallest_subnormal") / 2
        rounded = bound + unit(got.dtype) * (finite_size(expected) + bound) + half_a_step
        assert_within(got, expected, rounded, f"the gradient of {name}")
    if by_baseline and output is None and comparable(case):
        assert_at_most_twice_the_baseline(actual, oracle, case, grad_output)


def comparable(case: Case) -> bool:
    """Whether the baseline rounds as much: not far below a sink, and not exponents as large as ALiBi's.

    The kernel's are in base 2. Such an exponent is log2(e) times as large, and its rounding up to 2 log2(e).
    """
    given = {name for name, option in case.options.items() if option is not None}
    below_a_sink = {"sinks", "bias"} <= given
    return not below_a_sink and "alibi_slopes" not in given and case.query.dtype == np.float32


def assert_at_most_twice_the_baseline(
    actual: Gradients, oracle: Gradients, case: Case, grad_output: NDArray[Any]
) -> None:
    rows = np.count_nonzero(oracle.query.any(axis=-1))
    if rows < ENOUGH_ROWS:  # keys of one query share the error of its sum, however many they are
        return
    baseline = GradientBaseline(accumulation(case)).gradients(case, grad_output)
    for name in ("query", "key", "value"):
        expected, got = getattr(oracle, name), getattr(actual, name)
        if not enough_to_compare(expected):
            continue
        error, baseline_error = error_size(got, expected), error_size(getattr(baseline, name), expected)
        one_rounding = unit(got.dtype) * error_size(np.zeros_like(expected), expected)
        assert error <= 2 * baseline_error + one_rounding, (
            f"the gradient of {name} is off by {error:.3g}; the baseline by {baseline_error:.3g}, "
            f"one rounding is {one_rounding:.3g}"
        )


@dataclass(frozen=True, eq=False)
class GradientBaseline(Baseline):
    """The backward pass in plain NumPy. Each step is a method: a mutant is a subclass with one wrong step."""

    def gradients(self, case: Case, grad_output: NDArray[Any]) -> Gradients:
        query, key, value = (array.astype(self.dtype) for array in case.arrays)
        kv_heads, group = key.shape[1], query.shape[1] // key.shape[1]
        key, value = self.repeat(key, group), self.repeat(value, group)
        grad = grad_output.astype(self.dtype)
        scores = self.scores(query, key, case.options)
        visible = self.visible(case, scores.shape)
        weights, logsumexp = self.softmax(scores, visible, self.optional(case, "sinks"))
        output = self.mix(weights, visible, value)
        mean = self.mean(grad, output)
        grad_scores = self.hide(weights * (grad @ value.swapaxes(-1, -2) - mean[..., None]), visible)
        raw = self.through_the_cap(grad_scores, query, key, case.options)
        scale = self.dtype(self.grad_scale(case.options, query.shape[-1]))
        bias, sinks = case.options.get("bias"), self.optional(case, "sinks")
        return Gradients(
            query=scale * (raw @ key),
            key=self.of_group(scale * (raw.swapaxes(-1, -2) @ query), kv_heads),
            value=self.of_group(weights.swapaxes(-1, -2) @ grad, kv_heads),
            bias=None if bias is None else reference.summed_to(bias.shape, grad_scores),
            sinks=None if sinks is None else self.of_sinks(sinks, logsumexp, mean),
        )

    def mean(self, grad: Any, output: Any) -> Any:
        return (grad * output).sum(axis=-1)

    def hide(self, grad_scores: Any, visible: Any) -> Any:
        return np.where(visible, grad_scores, self.dtype(0))

    def through_the_cap(self, grad_scores: Any, query: Any, key: Any, options: dict[str, Any]) -> Any:
        if options.get("softcap") is None:
            return grad_scores
        scale = self.dtype(self.scale(options, query.shape[-1]))
        ratio = np.tanh((query * scale) @ key.swapaxes(-1, -2) / self.dtype(options["softcap"]))
        return grad_scores * (1 - ratio**2)

    def grad_scale(self, options: dict[str, Any], key_dim: int) -> float:
        return self.scale(options, key_dim)

    def of_group(self, grad: Any, kv_heads: int) -> Any:
        batch, heads, *rest = grad.shape
        return grad.reshape(batch, kv_heads, heads // kv_heads, *rest).sum(axis=2)

    def of_sinks(self, sinks: Any, logsumexp: Any, mean: Any) -> Any:
        return -(np.exp(sinks[:, None] - logsumexp) * mean).sum(axis=(0, -1))
