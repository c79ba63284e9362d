"""Part of exercise 4: entropy, and the effective number of keys."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, softmax
from attnscope.lesson.exact import UNIT
from attnscope.lesson.question import (
    Arguments,
    Arrays,
    Draw,
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
