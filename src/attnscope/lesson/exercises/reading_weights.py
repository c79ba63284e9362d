"""Exercise 4: entropy and the effective number of keys; and why a weight is not an explanation.

Removing a key rescales the other weights. So if a key's value equals the mix of the others, the key can be
removed, whatever its weight.
"""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, softmax
from attnscope.lesson.comparing import UNIT, exact
from attnscope.lesson.question import (
    Arguments,
    Arrays,
    Draw,
    Exercise,
    Expected,
    Misconception,
    Symptom,
    Task,
)


def drawn(*axes: str, spread: float = 1.5, dtype: type = np.float64) -> Any:
    """Random weights, the last axis summing to 1."""

    def make(rng: np.random.Generator, size: Any) -> Arguments:
        scores = spread * rng.standard_normal([getattr(size, axis) for axis in axes])
        return {"weights": softmax(scores).astype(dtype)}

    return make


def uniform(rng: np.random.Generator, size: Any) -> Arguments:
    return {"weights": np.full((1, size.keys), 1 / size.keys)}


def with_zeros(rng: np.random.Generator, size: Any) -> Arguments:
    """Causal weights: row i has i + 1 that are not 0."""
    scores = np.where(np.tri(size.keys, dtype=bool), rng.standard_normal((size.keys, size.keys)), -np.inf)
    return {"weights": softmax(scores)}


def one_hot(rng: np.random.Generator, size: Any) -> Arguments:
    return {"weights": np.eye(size.keys)}


def nats(weights: Array) -> Array:
    """- sum w ln w."""
    safe = np.where(weights > 0, weights, 1.0).astype(np.float64)
    return np.asarray(0.0 - (weights * np.log(safe)).sum(axis=-1))


def mass(weights: Array) -> Array:
    """The scale of rounding: sum w |ln w|, and one rounding of each weight."""
    return np.asarray(UNIT * (weights.shape[-1] + 16) * (np.abs(nats(weights)) + 2))


def right_entropy(weights: Array) -> tuple[Expected, ...]:
    return (Expected(nats(weights), mass(weights)),)


def right_effective(weights: Array) -> tuple[Expected, ...]:
    right = np.asarray(np.exp(nats(weights)))
    return (Expected(right, right * (np.expm1(mass(weights)) + 8 * UNIT)),)


def mean_of_rows(weights: Array) -> Array:
    return np.asarray(nats(weights).mean())


DRAWS = (
    Draw("one row", drawn("keys"), {"keys": 3}, {"keys": 2}, round=False),
    Draw("two axes", drawn("rows", "keys"), {"rows": 2, "keys": 3}, {"keys": 2}, round=False, seeds=2),
    Draw("as many rows as keys", drawn("rows", "keys"), {"rows": 3, "keys": 3}, {"keys": 2}, round=False),
    Draw(
        "four axes",
        drawn("batch", "heads", "rows", "keys"),
        {"batch": 2, "heads": 2, "rows": 3, "keys": 5},
        {"keys": 2},
        round=False,
    ),
    Draw(
        "float32", drawn("rows", "keys", dtype=np.float32), {"rows": 3, "keys": 40}, {"keys": 2}, round=False
    ),
    Draw("equal weights", uniform, {"keys": 4}, {"keys": 2}, round=False),
    Draw("weights of 0", with_zeros, {"keys": 3}, {"keys": 2}, round=False),
    Draw("all weight on one key", one_hot, {"keys": 3}, {"keys": 2}, round=False),
)
ZERO = "0 log 0 becomes NaN: log 0 is -inf, and 0 times -inf is no number. A key without weight adds nothing."
ENTROPY = Task(
    name="entropy",
    parameters=("weights",),
    results=("entropy",),
    draws=DRAWS,
    expected=right_entropy,
    misconceptions=(
        Misconception(ZERO, lambda w: -(w * np.log(w)).sum(-1)),
        Misconception(
            "the entropy is in bits, from a logarithm to base 2; expected nats, from the natural logarithm.",
            lambda w: nats(w) / np.log(2),
        ),
        Misconception("the entropy is in bits, and " + ZERO, lambda w: -(w * np.log2(w)).sum(-1)),
        Misconception(
            "the logarithm is to base 10; expected the natural one.", lambda w: nats(w) / np.log(10)
        ),
        Misconception("it is negative: the sign is missing.", lambda w: -nats(w)),
        Misconception(
            "it is the sum over all rows; each row has its own entropy, along the last axis.",
            lambda w: nats(w).sum(),
        ),
        Misconception("it is the mean over all rows; each row has its own entropy.", mean_of_rows),
        Misconception(
            "the sum runs along the first axis; it should be the last, over the keys.",
            lambda w: -(w * np.log(np.where(w > 0, w, 1))).sum(0),
        ),
        Misconception(
            "the mean over the keys is taken; expected their sum.", lambda w: nats(w) / w.shape[-1]
        ),
        Misconception(
            "it is divided by the logarithm of the number of keys: that is the normalized entropy, which "
            "has no unit.",
            lambda w: nats(w) / np.log(w.shape[-1]),
        ),
        Misconception(
            "the logarithms are not weighted: the entropy is the mean of -log w under the weights "
            "themselves.",
            lambda w: -np.log(np.where(w > 0, w, 1)).sum(-1),
        ),
        Misconception(
            "this is exp(entropy), the number of keys; expected the entropy.", lambda w: np.exp(nats(w))
        ),
        Misconception(
            "the number added inside the logarithm is so large that it shows: leave the terms 0 log 0 out "
            "instead.",
            lambda w: -(w * np.log(w + 1e-3)).sum(-1),
        ),
        Misconception(
            "this is 1 - sum of w^2, another measure of concentration, and not the entropy.",
            lambda w: 1 - (w * w).sum(-1),
        ),
        Misconception(
            "the summed axis is kept with length 1: expected it to be gone.", lambda w: nats(w)[..., None]
        ),
    ),
    symptoms=(
        Symptom("an entropy is never negative.", lambda a, came, right: bool((came[0] < -0.01).any())),
    ),
)
EFFECTIVE = Task(
    name="effective_keys",
    parameters=("weights",),
    results=("effective_keys",),
    draws=DRAWS,
    expected=right_effective,
    misconceptions=(
        Misconception(ZERO, lambda w: np.exp(-(w * np.log(w)).sum(-1))),
        Misconception("this is the entropy itself; expected exp(entropy).", nats),
        Misconception(
            "2 to the power of the entropy, which is in nats: powers and logarithm need the same base, e.",
            lambda w: 2 ** nats(w),
        ),
        Misconception(
            "e to the power of an entropy in bits: powers and logarithm need the same base, e.",
            lambda w: np.exp(nats(w) / np.log(2)),
        ),
        Misconception(
            "it lies between 0 and 1: the sign of the entropy is wrong.", lambda w: np.exp(-nats(w))
        ),
        Misconception(
            "this is 1 / sum of w^2, another way to count keys; expected exp(entropy).",
            lambda w: 1 / (w * w).sum(-1),
        ),
        Misconception(
            "all keys with any weight are counted; expected exp(entropy).", lambda w: (w > 0).sum(-1)
        ),
        Misconception(
            "this is 1 / the largest weight, another way to count keys; expected exp(entropy).",
            lambda w: 1 / w.max(-1),
        ),
        Misconception(
            "the exponential of the sum over all rows; each row has its own number.",
            lambda w: np.exp(nats(w).sum()),
        ),
        Misconception(
            "it is divided by the number of keys; expected the number of effective keys.",
            lambda w: np.exp(nats(w)) / w.shape[-1],
        ),
    ),
)


def scores_and_target(rng: np.random.Generator, size: Any) -> Arguments:
    scores = 1.5 * rng.standard_normal(size.keys)
    return {"scores": scores, "target": float(rng.uniform(0.2, 0.95) * np.log(size.keys))}


def at_temperature(arguments: Arguments, came: Arrays) -> str | None:
    """What is wrong with a temperature. A bisection finds the asked entropy to 1e-6 nats."""
    (temperature,) = came
    if temperature.ndim or not np.isfinite(temperature) or temperature <= 0:
        return f"expected one number above 0, and {np.round(temperature, 6)} came."
    reached = float(nats(softmax(arguments["scores"] / temperature)))
    if abs(reached - arguments["target"]) <= 1e-6:
        return None
    inverse = float(nats(softmax(arguments["scores"] * temperature)))
    turned = (
        " The scores are to be divided by it, not multiplied."
        if abs(inverse - arguments["target"]) < 1e-4
        else ""
    )
    near = " It is near: go on halving the interval." if abs(reached - arguments["target"]) < 0.01 else ""
    target = arguments["target"]
    return f"at this temperature the entropy is {reached:.6g} nats, expected {target:.6g}.{turned}{near}"


TEMPERATURE = Task(
    name="temperature_for",
    parameters=("scores", "target"),
    results=("temperature",),
    draws=(Draw("random scores", scores_and_target, {"keys": 6}, round=False, seeds=6),),
    judged=at_temperature,
)


MOST_KEYS = 128  # more show nothing else, and each of them may have to be removed
MOST_DIMS = 128
CLEARLY = 10.0  # times what rounding can do: a change that is not rounding


def output_and_bound(query: Array, key: Array, value: Array) -> tuple[Array, float]:
    """The exact output, and how far float32 may be from it."""
    output = exact(query, key, value).output
    return output.value, float(np.max(output.bound))


def moved_without(index: int, query: Array, key: Array, value: Array) -> tuple[float, float]:
    """How far the output moves if a key is removed, and how far rounding alone could move it."""
    before, bound = output_and_bound(query, key, value)
    after, bound_after = output_and_bound(query, np.delete(key, index, 0), np.delete(value, index, 0))
    return float(np.abs(after - before).max()), bound + bound_after


def judged(_arguments: Arguments, came: Arrays) -> str | None:
    """What keeps the arrays from being such a counterexample."""
    query, key, value = came
    trouble = shapes(query, key, value)
    if trouble is not None:
        return trouble
    right = exact(query, key, value).weights
    weights, bound = right.value[0], float(np.max(right.bound))
    order = np.argsort(weights)
    second, heaviest = (int(index) for index in order[-2:])
    if weights[heaviest] - weights[second] <= 2 * bound:
        return (
            f"no key is the heaviest: the weights are {listed(weights)}, and keys {second} and {heaviest} "
            "have the same weight. One key must have more than every other."
        )
    lightest = np.flatnonzero(weights <= weights[order[0]] + 2 * bound)
    return removals(query, key, value, weights, heaviest, lightest)


def shapes(query: Array, key: Array, value: Array) -> str | None:
    """What keeps the arrays from being one query and several keys."""
    if query.ndim != 2 or len(query) != 1:
        return f"query has shape {query.shape}, expected (1, dim): one query."
    if key.ndim != 2 or key.shape[1] != query.shape[1]:
        return f"key has shape {key.shape}, expected (keys, {query.shape[1]}), as long as the query."
    if value.ndim != 2 or len(value) != len(key):
        return f"value has shape {value.shape}, expected ({len(key)}, value_dim): one for each key."
    if len(key) > MOST_KEYS or max(key.shape[1], value.shape[1]) > MOST_DIMS:
        return (
            f"key has shape {key.shape} and value {value.shape}: use at most {MOST_KEYS} keys of at most "
            f"{MOST_DIMS} numbers. Three keys are enough."
        )
    if not all(np.isfinite(array).all() for array in (query, key, value)):
        return "expected finite numbers: NaN and inf explain nothing."
    return too_little(query, key, value)


def too_little(query: Array, key: Array, value: Array) -> str | None:
    """Whether there are too few keys or numbers, or too few different ones."""
    if len(key) < 3:
        return (
            f"{len(key)} key{'s' * (len(key) != 1)} cannot do it: with two, removing one leaves only the "
            "other's value. Use at least three."
        )
    for name, array in (("query", query), ("value", value)):
        if not array.size:
            return f"{name} has shape {array.shape}: expected at least one number in each row."
    if np.ptp(value, axis=0).max() == 0:
        return (
            "all values are the same, so the output is the same whichever key is removed: the lightest "
            "key can be removed too."
        )
    return None


def removals(
    query: Array, key: Array, value: Array, weights: Array, heaviest: int, lightest: Array
) -> str | None:
    """Whether the heaviest key can be removed and none of the lightest."""
    moved, rounding = moved_without(heaviest, query, key, value)
    light = {int(index): moved_without(int(index), query, key, value) for index in lightest}
    if moved > rounding:
        if all(by <= most for by, most in light.values()):
            return (
                f"it is the other way round: the lightest key, {int(lightest[0])}, can be removed, but "
                f"without the heaviest, {heaviest}, the output moves by {moved:.3g}."
            )
        return (
            f"without the heaviest key, {heaviest}, whose weight is {weights[heaviest]:.3g}, the output "
            f"moves by {moved:.3g}; rounding to float32 can move it by {rounding:.1g} at most."
            f"{reason(value, weights, heaviest)}"
        )
    for index, (by, most) in light.items():
        if by <= CLEARLY * most:
            return (
                f"the lightest key, {index}, can be removed too: the output moves by {by:.1g} only, and "
                f"rounding can move it by {most:.1g}. Its weight is {weights[index]:.2g}: with more weight, "
                "or another value, it would matter."
            )
    return None


def reason(value: Array, weights: Array, heaviest: int) -> str:
    """Why the output moves, if it is a known mistake."""
    others = np.delete(value, heaviest, 0)
    share = np.delete(weights, heaviest)
    mixed = share @ others / share.sum()
    if not value[heaviest].any():
        return " Its value is 0, but mixing in a 0 shrinks the output: without it, the other weights grow."
    if np.allclose(value[heaviest], mixed):
        return ""
    if np.allclose(value[heaviest], others.mean(axis=0)):
        return " Its value is the plain mean of the others, but their weights are not equal."
    if np.allclose(value[heaviest], share @ others):
        return (
            " Its value is what the others add to the output; without it, their weights are larger: they "
            "sum to 1 again."
        )
    return ""


def listed(weights: Array) -> str:
    """The first weights in short."""
    shown = ", ".join(f"{weight:.3g}" for weight in weights[:8])
    return f"{shown}, ..." if len(weights) > 8 else shown


COUNTEREXAMPLE = Task(
    name="counterexample",
    parameters=(),
    results=("query", "key", "value"),
    draws=(Draw("", lambda rng, size: {}),),
    judged=judged,
)


def judged_twins(_arguments: Arguments, came: Arrays) -> str | None:
    """What keeps two queries from attending differently with the same output."""
    one, other, key, value = came
    trouble = shapes(one, key, value)
    if trouble is not None:
        return trouble.replace("query", "query_a")
    if other.shape != one.shape or not np.isfinite(other).all():
        return f"query_b has shape {other.shape}, expected finite numbers of shape {one.shape}, as query_a."
    of_one, of_other = (exact(query, key, value).weights.value for query in (one, other))
    apart = np.abs(of_one - of_other).sum() / 2
    if apart < 0.5:
        return (
            f"the queries give {apart:.2g} of their weight to different keys; expected at least half of it."
        )
    first, bound = output_and_bound(one, key, value)
    second, bound_of_second = output_and_bound(other, key, value)
    moved, rounding = float(np.abs(first - second).max()), bound + bound_of_second
    if moved > rounding:
        return f"the two outputs differ by {moved:.3g}; rounding to float32 allows {rounding:.1g} at most."
    return None


TWINS = Task(
    name="twins",
    parameters=(),
    results=("query_a", "query_b", "key", "value"),
    draws=(Draw("", lambda rng, size: {}),),
    judged=judged_twins,
)

EXERCISE = Exercise(
    4,
    "reading weights",
    (ENTROPY, EFFECTIVE, COUNTEREXAMPLE),
    (TEMPERATURE, TWINS),
    difficulty=2,
    minutes=35,
    after=(1,),
)
