"""Gradients compared with the reference's chain rule, under every option."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Expectation
from attnscope.audit.interpretation import joined, scoring_of
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.suspect import read_array
from attnscope.probing import Arithmetic, Finding, NoAnswer, Severity, size_of
from attnscope.reference import Inputs, gradients, of_shared_heads, quietly

Floats = NDArray[np.float64]
NAMES = ("query", "key", "value")
LENGTHS = ((5, 9), (7, 7), (1, 11), (3, 67))


def cases(setting: Setting) -> list[Case]:
    """Each option alone, each beside causal, and all together."""
    return [
        setting.grid.case(options, lengths).but(logsumexp=False)
        for options in setting.grid.few_options()
        for lengths in LENGTHS
    ]


def run(setting: Setting) -> list[Finding]:
    """The first case that shows each wrong gradient, and one finding per cause."""
    found: dict[tuple[str, str | None], Finding] = {}
    for case in sorted(cases(setting), key=lambda each: (len(each.options), each.work)):
        for name, finding in look(setting, case).items():
            if all(kept.cause != finding.cause or key[0] != name for key, kept in found.items()):
                found.setdefault((name, finding.cause), finding)
    first: dict[str, Finding] = {}
    for (name, cause), finding in found.items():
        first.setdefault(cause or name, finding)
    return list(first.values())


def look(setting: Setting, case: Case) -> dict[str, Finding]:
    """The wrong gradients of one case."""
    call = case.build(setting.contract)
    expected = Expectation.of(call, setting.contract)
    grad_output = (
        np.random.default_rng(case.seed).standard_normal(expected.output.shape).astype(call.query.dtype)
    )
    grad_output[expected.fully_masked] = 0
    try:
        actual = gradients_of(setting, case, call, grad_output)
    except NoAnswer as no_answer:
        return {
            "call": Finding(
                "gradients",
                Severity.WRONG,
                f"gradients {no_answer.sentence}{case.condition()}",
                counterexample(case, call, None, None, {}),
            )
        }
    right, bounds = exact_and_bound(expected, grad_output.astype(np.float64))
    found = {}
    for name in NAMES:
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(actual[name] - right[name]) <= bounds[name])
        if wrong.any():
            entry = tuple(int(i) for i in np.argwhere(wrong)[0])
            cause = cause_of(expected, grad_output.astype(np.float64), actual, bounds)
            shown = counterexample(
                case, call, None, expected, dict(zip(("batch", "head", "token"), entry, strict=False))
            )
            found[name] = Finding(
                "gradients",
                Severity.WRONG,
                f"the gradient of {name} {entry[2]} of head {entry[1]} of batch item {entry[0]} is "
                f"{actual[name][entry]:.6g}, expected {right[name][entry]:.6g}{case.condition()}",
                shown,
                f"agrees with: {cause}" if cause else None,
                "Follow the chain rule through every step, backwards.",
            )
    return found


def gradients_of(setting: Setting, case: Case, call: Call, grad_output: NDArray[Any]) -> dict[str, Floats]:
    """The three gradients; NoAnswer if there are none."""
    function = setting.contract.gradients
    assert function is not None
    given = case.laid_out(call)
    return setting.suspect.run(
        lambda: read_gradients(function(*given.arrays, grad_output.copy(), **given.options), call), case
    )


def read_gradients(returned: Any, call: Call) -> dict[str, Floats]:
    """Check three gradients, in a tuple, a dictionary or attributes; NoAnswer for anything else."""
    parts = [getattr(returned, name, None) for name in NAMES]
    if isinstance(returned, dict):
        parts = [returned.get(name) for name in NAMES]
    elif isinstance(returned, tuple | list) and len(returned) >= len(NAMES):
        parts = list(returned[: len(NAMES)])
    return {
        name: read_array(part, getattr(call, name).shape, f"the gradient of {name}").astype(np.float64)
        for name, part in zip(NAMES, parts, strict=True)
    }


@quietly
def exact_and_bound(expected: Expectation, grad: Floats) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The reference's gradients, and a bound on rounding that is carried through the chain rule term by term.

    The error of dvalue = sum w g is the weights' bound times |g|. The error of ds = w (dw - mean) is the
    weights' bound times the bracket, plus w times the bracket's rounding. dquery, dkey = scale sum ds k:
    the same once more.
    """
    asked = expected.asked
    call, mask = asked.call, joined(asked.masks)
    found = gradients(*call.arrays, grad, mask=mask, **scoring_of(call))
    right = {name: np.asarray(getattr(found, name)) for name in NAMES}
    inputs, u, weights = asked.inputs, expected.arithmetic, expected.weights
    wrong_weights = expected.bound.weights
    size = size_of(grad) @ size_of(inputs.value).swapaxes(-1, -2)
    mean = (weights * size).sum(axis=-1, keepdims=True)
    bracket = size + mean
    sums = u.of_sum(grad.shape[-1]) + 2 * u.of_sum(weights.shape[-1]) + 32 * u.unit
    wrong_scores = wrong_weights * bracket + weights * (
        sums * bracket + (wrong_weights * size).sum(-1, keepdims=True)
    )
    slope = 1.0 if inputs.softcap is None else 1.0 + size_of(expected.scores) * 8 * u.unit
    wrong_scores = np.where(inputs.visible, wrong_scores * slope, 0.0)
    scores_size = weights * bracket
    if inputs.softcap is not None:  # 1 - tanh^2: a difference of numbers near 1
        wrong_scores = wrong_scores + scores_size * (
            64 * u.unit + 2 * relative_score_error(expected, inputs, u)
        )
    dims = u.of_sum(weights.shape[-1]) + 16 * u.unit
    scale = inputs.scale

    def carried(errors: Floats, sizes: Floats, rows: Floats) -> Floats:
        return scale * (errors @ size_of(rows) + dims * (sizes @ size_of(rows)))

    group = asked.kv_heads
    bounds = {
        "query": carried(wrong_scores, scores_size, inputs.key),
        "key": of_shared_heads(
            group, carried(wrong_scores.swapaxes(-1, -2), scores_size.swapaxes(-1, -2), inputs.query)
        ),
        "value": of_shared_heads(
            group,
            wrong_weights.swapaxes(-1, -2) @ size_of(grad)
            + dims * (weights.swapaxes(-1, -2) @ size_of(grad)),
        ),
    }
    return right, {
        name: each + u.unit * np.abs(right[name]) + u.smallest_normal for name, each in bounds.items()
    }


def relative_score_error(expected: Expectation, inputs: Inputs, u: Arithmetic) -> Floats:
    """The relative error of the soft-cap's slope that the error of a score causes."""
    mass = inputs.scale * (size_of(inputs.query) @ size_of(inputs.key).swapaxes(-1, -2))
    return (u.of_sum(inputs.query.shape[-1]) + 8 * u.unit) * mass / (inputs.softcap or 1.0)


@quietly
def cause_of(
    expected: Expectation, grad: Floats, actual: dict[str, Floats], bounds: dict[str, Floats]
) -> str | None:
    """A known wrong chain rule that agrees with all three gradients, or None."""
    for name, wrong in WRONG_RULES.items():
        other = wrong(expected, grad)
        if other is not None and all(
            (np.abs(actual[each] - other[each]) <= 4 * bounds[each]).all() for each in NAMES
        ):
            return name
    return None


def chain_rule(
    expected: Expectation,
    grad: Floats,
    *,
    mean: bool = True,
    scale: bool = True,
    softcap: bool = True,
    shared: Callable[[int, Floats], Floats] = of_shared_heads,
) -> dict[str, Floats]:
    """The chain rule, without the steps whose flag is False."""
    inputs, weights = expected.inputs, expected.weights
    grad_weights = grad @ inputs.value.swapaxes(-1, -2)
    average = (weights * grad_weights).sum(axis=-1, keepdims=True) if mean else 0.0
    grad_scores = weights * (grad_weights - average)
    if softcap and inputs.softcap is not None:
        raw = inputs.scale * (inputs.query @ inputs.key.swapaxes(-1, -2))
        grad_scores = grad_scores * (1 - np.tanh(raw / inputs.softcap) ** 2)
    factor = inputs.scale if scale else 1.0
    kv_heads = expected.asked.kv_heads
    return {
        "query": factor * grad_scores @ inputs.key,
        "key": shared(kv_heads, factor * grad_scores.swapaxes(-1, -2) @ inputs.query),
        "value": shared(kv_heads, weights.swapaxes(-1, -2) @ grad),
    }


def first_of_group(kv_heads: int, grad: Floats) -> Floats:
    first: Floats = grad[:, :: grad.shape[1] // kv_heads]
    return first


def mean_of_group(kv_heads: int, grad: Floats) -> Floats:
    mean: Floats = of_shared_heads(kv_heads, grad) / (grad.shape[1] // kv_heads)
    return mean


WRONG_RULES: dict[str, Callable[[Expectation, Floats], dict[str, Floats] | None]] = {
    "the softmax's mean left out: ds = w dw": lambda e, g: chain_rule(e, g, mean=False),
    "the scale left out": lambda e, g: chain_rule(e, g, scale=False),
    "the soft-cap's slope left out": lambda e, g: chain_rule(e, g, softcap=False),
    "only the first query head of a group counted": lambda e, g: chain_rule(e, g, shared=first_of_group),
    "the query heads of a group averaged instead of summed": lambda e, g: chain_rule(
        e, g, shared=mean_of_group
    ),
}

GRADIENTS = Probe(
    "gradients", lambda contract: ("gradients",), lambda contract: contract.gradients is not None, run
)
