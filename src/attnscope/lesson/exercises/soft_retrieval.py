"""Exercise 1: soft retrieval. Scores become weights, and weights mix values."""

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

LARGE = 2000.0  # beyond what e^x can hold in float32 and in float64


def drawn(*axes: str, spread: float = 1.5, offset: float = 0.0, dtype: type = np.float64) -> Any:
    """Random scores with axes of these sizes."""

    def make(rng: np.random.Generator, size: Any) -> Arguments:
        shape = [getattr(size, axis) for axis in axes]
        return {"scores": (offset + spread * rng.standard_normal(shape)).astype(dtype)}

    return make


def far_apart(rng: np.random.Generator, size: Any) -> Arguments:
    """Rows whose scores lie far apart: each has its own largest."""
    scores = 1.5 * rng.standard_normal((size.rows, size.keys))
    return {"scores": scores - LARGE * np.arange(size.rows)[:, None]}


def right_weights(scores: Array) -> tuple[Expected, ...]:
    """Attention whose scores are a bias on zeros."""
    rows = np.atleast_2d(scores).astype(np.float64)
    query, key = np.zeros((*rows.shape[:-1], 1)), np.zeros((*rows.shape[:-2], rows.shape[-1], 1))
    right = exact(query, key, key, bias=rows).weights
    return (Expected(right.value.reshape(scores.shape), np.reshape(right.bound, scores.shape)),)


def not_one(arguments: Arguments, came: Arrays, right: Arrays) -> bool:
    """Whether rows have a wrong sum."""
    weights = came[-1]
    return bool(np.isfinite(weights).all() and np.abs(weights.sum(-1) - right[-1].sum(-1)).max() > 0.01)


ROWS_DO_NOT_SUM = Symptom("the weights of a row do not sum to 1.", not_one)
NEGATIVE = Symptom(
    "some weights are negative: a softmax has none.", lambda a, came, right: bool((came[-1] < 0).any())
)

SOFTMAX = Task(
    name="softmax",
    parameters=("scores",),
    results=("weights",),
    draws=(
        Draw("two axes", drawn("rows", "keys"), {"rows": 2, "keys": 3}, {"keys": 2}, seeds=2),
        Draw("as many rows as keys", drawn("rows", "keys"), {"rows": 3, "keys": 3}, {"rows": 2, "keys": 2}),
        Draw("float32", drawn("rows", "keys", dtype=np.float32), {"rows": 3, "keys": 4}, {"keys": 2}),
        Draw("one axis", drawn("keys"), {"keys": 4}, {"keys": 2}),
        Draw("three axes", drawn("heads", "rows", "keys"), {"heads": 2, "rows": 3, "keys": 4}, {"keys": 2}),
        Draw("large scores", drawn("rows", "keys", offset=LARGE), {"rows": 2, "keys": 3}, {"keys": 2}),
        Draw(
            "very negative scores", drawn("rows", "keys", offset=-LARGE), {"rows": 2, "keys": 3}, {"keys": 2}
        ),
        Draw("rows whose scores lie far apart", far_apart, {"rows": 2, "keys": 3}, {"rows": 2, "keys": 2}),
    ),
    expected=right_weights,
    misconceptions=(
        Misconception(
            "the weights sum to 1 over the whole array: sum along the last axis alone, one row at a time.",
            lambda scores: softmax(scores, axis=None),
        ),
        Misconception(
            "the weights sum to 1 down the columns: the softmax runs along the first axis instead of the "
            "last.",
            lambda scores: softmax(scores, axis=0),
        ),
        Misconception(
            "the softmax runs along the axis before the last instead of the last.",
            lambda scores: softmax(scores, axis=-2) if scores.ndim > 1 else softmax(scores),
        ),
        Misconception(
            "the exponentials overflow or vanish if scores are large: e^2000 is inf and e^-2000 is 0. A "
            "softmax does not change when the same number is subtracted from all scores of a row; choose "
            "one that keeps the exponents at or below 0.",
            lambda scores: np.exp(scores) / np.exp(scores).sum(-1, keepdims=True),
        ),
        Misconception(
            "the scores are clipped: beyond the limit all keys look alike. Subtract the largest score of "
            "each "
            "row instead; that changes no weight.",
            lambda scores: softmax(np.clip(scores, -700, 700)),
        ),
        Misconception(
            "the largest score of the whole array is subtracted: rows far below it vanish. Each row has its "
            "own largest.",
            lambda scores: np.nan_to_num(same_shift(scores)),
        ),
        Misconception(
            "the largest score of the whole array is subtracted, so that rows far below it become 0 / 0. "
            "Each row has its own largest.",
            lambda scores: same_shift(scores),
        ),
        Misconception(
            "the rows do not sum to 1: the exponentials are not divided by their sum.",
            lambda scores: np.exp(scores - np.max(scores, axis=-1, keepdims=True)),
        ),
        Misconception("the rows do not sum to 1: the exponentials are not divided by their sum.", np.exp),
        Misconception("these are powers of 2, not of e.", lambda scores: softmax(scores * np.log(2))),
        Misconception("these are the logarithms of the weights.", lambda scores: np.log(softmax(scores))),
        Misconception(
            "the largest score gets the smallest weight: the sign in the exponent is wrong.",
            lambda scores: softmax(-scores),
        ),
        Misconception(
            "each score went through a sigmoid of its own; in a softmax the weights of a row share a total "
            "of 1.",
            lambda scores: 1 / (1 + np.exp(-scores)),
        ),
        Misconception(
            "the scores themselves are divided by their sum: the exponential is missing.",
            lambda scores: scores / scores.sum(-1, keepdims=True),
        ),
    ),
    symptoms=(NEGATIVE, ROWS_DO_NOT_SUM),
)


def same_shift(scores: Array) -> Array:
    """One number subtracted from all rows."""
    parts = np.exp(scores - scores.max())
    return np.asarray(parts / parts.sum(-1, keepdims=True))


def library(rng: np.random.Generator, size: Any, *, spread: float = 1.0) -> Arguments:
    """One question, and a library of keys and values."""
    return {
        "query": spread * rng.standard_normal(size.dim),
        "keys": rng.standard_normal((size.keys, size.dim)),
        "values": rng.standard_normal((size.keys, size.value_dim)),
        "beta": float(rng.uniform(0.5, 2.0)),
    }


def without_a_choice(rng: np.random.Generator, size: Any) -> Arguments:
    """A beta of 0: the output is the average."""
    return {**library(rng, size), "beta": 0.0}


def with_a_sharp_choice(rng: np.random.Generator, size: Any) -> Arguments:
    """Scores in the thousands: the output is the best key's value."""
    return {**library(rng, size, spread=100.0), "beta": 40.0}


def right_lookup(query: Array, keys: Array, values: Array, beta: float) -> tuple[Expected, ...]:
    unscaled = beta * np.sqrt(query.size) * query  # exact() divides the scores by the square root of key_dim
    return (first_row(exact(unscaled[None], keys, values).output),)


def first_row(expected: Expected) -> Expected:
    """The only row of an output."""
    return Expected(expected.value[0], np.asarray(expected.bound)[0])


def looked_up(scores: Any, mixed: Any = lambda weights, values: weights @ values) -> Any:
    """A lookup with other scores, or another mixture."""

    def wrong(query: Array, keys: Array, values: Array, beta: float) -> Array:
        return np.asarray(mixed(softmax(scores(query, keys, beta)), values))

    return wrong


SIZES = {"keys": 4, "dim": 3, "value_dim": 2}
LOOKUP = Task(
    name="soft_lookup",
    parameters=("query", "keys", "values", "beta"),
    results=("output",),
    draws=(
        Draw("random keys", library, SIZES, {"keys": 2}, seeds=2),
        Draw("one key", library, {"keys": 1, "dim": 2, "value_dim": 3}),
        Draw("beta of 0", without_a_choice, SIZES, {"keys": 2}),
        Draw("large scores", with_a_sharp_choice, SIZES, {"keys": 2}),
    ),
    expected=right_lookup,
    misconceptions=(
        Misconception(
            "beta is left out: the scores are beta times the dot products.",
            looked_up(lambda query, keys, beta: keys @ query),
        ),
        Misconception(
            "the scores are divided by beta; they are multiplied by it.",
            looked_up(lambda query, keys, beta: keys @ query / beta if beta else keys @ query),
        ),
        Misconception(
            "this is the value of the best key alone: a dictionary. Mix all values by their weights.",
            lambda query, keys, values, beta: values[(keys @ query).argmax()],
        ),
        Misconception(
            "this is the plain average of the values: the weights do not depend on the query.",
            lambda query, keys, values, beta: values.mean(axis=0),
        ),
        Misconception(
            "the values are summed by their scores: the softmax is missing.",
            lambda query, keys, values, beta: beta * (keys @ query) @ values,
        ),
        Misconception(
            "the keys are mixed; it should be the values.",
            lambda query, keys, values, beta: softmax(beta * (keys @ query)) @ keys,
        ),
        Misconception(
            "beta multiplies the weights; it belongs to the scores, before the softmax.",
            lambda query, keys, values, beta: beta * softmax(keys @ query) @ values,
        ),
        Misconception(
            "the scores are distances between query and key; expected dot products.",
            looked_up(lambda query, keys, beta: -beta * np.linalg.norm(keys - query, axis=-1)),
        ),
        Misconception(
            "the scores are cosines: query and keys are divided by their lengths. Expected dot products.",
            looked_up(
                lambda query, keys, beta: (
                    beta * (keys @ query) / np.linalg.norm(keys, axis=-1) / np.linalg.norm(query)
                )
            ),
        ),
    ),
    symptoms=(
        Symptom(
            "the output lies outside the values: its entries must lie between the smallest and the largest.",
            lambda arguments, came, right: bool(
                (came[0] > arguments["values"].max(axis=0) + 1e-6).any()
                or (came[0] < arguments["values"].min(axis=0) - 1e-6).any()
            ),
        ),
    ),
)


def right_gradient(query: Array, keys: Array, values: Array, beta: float) -> tuple[Expected, ...]:
    """The output's derivative in the query: beta * sum_j w_j (v_j - o) k_j^T."""
    weights = softmax(beta * (keys @ query))
    centred = values - weights @ values
    right = beta * np.einsum("j,jc,jd->cd", weights, centred, keys)
    size = beta * np.einsum("j,jc,jd->cd", weights, np.abs(centred), np.abs(keys))
    return (Expected(right, UNIT * 64 * (1 + np.abs(beta * (keys @ query)).max()) * size + UNIT**2),)


LOOKUP_GRADIENT = Task(
    name="lookup_gradient",
    parameters=("query", "keys", "values", "beta"),
    results=("jacobian",),
    draws=(Draw("random keys", library, SIZES, {"keys": 2}, round=False, seeds=3),),
    expected=right_gradient,
    misconceptions=(
        Misconception(
            "each weight is assumed to depend on its own key alone; through the sum, all keys matter.",
            lambda query, keys, values, beta: (
                beta * np.einsum("j,jc,jd->cd", softmax(beta * (keys @ query)), values, keys)
            ),
        ),
        Misconception(
            "beta is left out of the derivative of the scores.",
            lambda query, keys, values, beta: right_gradient(query, keys, values, beta)[0].value / beta,
        ),
        Misconception(
            "the result is transposed: expected (value_dim, dim).",
            lambda query, keys, values, beta: right_gradient(query, keys, values, beta)[0].value.T,
        ),
    ),
)

EXERCISE = Exercise(1, "soft retrieval", (SOFTMAX, LOOKUP), (LOOKUP_GRADIENT,), minutes=15)
