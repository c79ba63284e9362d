"""Exercise 1: softmax and attention by hand."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import (
    Array,
    attend,
    bare_softmax,
    scored,
    sizes,
    softmax,
    unshifted_softmax,
)
from attnscope.lesson.exact import UNIT, exact
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


def with_hidden(rng: np.random.Generator, size: Any) -> Arguments:
    """Some entries of -inf, none in the first column."""
    scores = 1.5 * rng.standard_normal((size.rows, size.keys))
    scores[:, 1:][rng.random((size.rows, size.keys - 1)) < 0.5] = -np.inf
    scores[0, -1] = -np.inf
    return {"scores": scores}


def with_a_masked_row(rng: np.random.Generator, size: Any) -> Arguments:
    """The last row is all -inf."""
    scores = 1.5 * rng.standard_normal((size.rows, size.keys))
    scores[-1] = -np.inf
    return {"scores": scores}


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
        Draw("some scores of -inf", with_hidden, {"rows": 3, "keys": 4}, {"keys": 2}),
        Draw("large scores", drawn("rows", "keys", offset=LARGE), {"rows": 2, "keys": 3}, {"keys": 2}),
        Draw(
            "very negative scores", drawn("rows", "keys", offset=-LARGE), {"rows": 2, "keys": 3}, {"keys": 2}
        ),
        Draw("rows whose scores lie far apart", far_apart, {"rows": 2, "keys": 3}, {"rows": 2, "keys": 2}),
        Draw("a row of only -inf", with_a_masked_row, {"rows": 2, "keys": 3}),
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
            unshifted_softmax,
        ),
        Misconception(
            "the exponentials overflow or vanish if scores are large: e^2000 is inf and e^-2000 is 0. And a "
            "row of only -inf becomes 0 / 0.",
            lambda scores: np.exp(scores) / np.exp(scores).sum(-1, keepdims=True),
        ),
        Misconception(
            "a row of only -inf becomes NaN: its largest score is -inf, and -inf minus -inf is no number. "
            "Such a row is fully masked, and all its weights are 0.",
            bare_softmax,
        ),
        Misconception(
            "a row of only -inf gets equal weights. It is fully masked: all its weights are 0.",
            lambda scores: np.where(
                np.isneginf(scores).all(-1, keepdims=True), 1 / scores.shape[-1], softmax(scores)
            ),
        ),
        Misconception(
            "the largest score of the whole array is subtracted: rows far below it vanish. Each row has its "
            "own largest.",
            lambda scores: same_shift(scores, 0),
        ),
        Misconception(
            "the largest score of the whole array is subtracted, so that rows far below it become 0 / 0. "
            "Each row has its own largest.",
            lambda scores: same_shift(scores, None),
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


def same_shift(scores: Array, empty: float | None) -> Array:
    """One number subtracted from all rows."""
    parts = np.exp(scores - scores.max())
    total = parts.sum(-1, keepdims=True)
    return np.asarray(parts / total if empty is None else parts / np.where(total == 0, 1, total))


def operands(
    rng: np.random.Generator, size: Any, *, spread: float = 1.0, dtype: type = np.float64
) -> Arguments:
    """Random queries, keys and values of two axes."""
    shapes = {"query": (size.query_len, size.key_dim), "key": (size.key_len, size.key_dim)}
    shapes["value"] = (size.key_len, size.value_dim)
    return {name: (spread * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


def in_float32(rng: np.random.Generator, size: Any) -> Arguments:
    """The same in float32."""
    return operands(rng, size, dtype=np.float32)


def with_large_scores(rng: np.random.Generator, size: Any) -> Arguments:
    """Dot products in the thousands."""
    made = operands(rng, size)
    made["query"], made["key"] = 60 * made["query"], 60 * made["key"]
    return made


def right_attention(query: Array, key: Array, value: Array) -> tuple[Expected, ...]:
    right = exact(query, key, value)
    return right.output, right.weights


def scaled(by: Any) -> Any:
    """Attention with another scale; `by` takes key_dim, key_len and value_dim."""
    return lambda query, key, value: attend(
        query, key, value, scale=by(key.shape[1], len(key), value.shape[1])
    )


def with_weights(weigh: Any) -> Any:
    """Attention with other weights; `weigh` takes scaled scores."""

    def wrong(query: Array, key: Array, value: Array) -> tuple[Array, Array]:
        weights = weigh(scored(query, key))
        return weights @ value, weights

    return wrong


def scaled_afterwards(query: Array, key: Array, value: Array) -> tuple[Array, Array]:
    weights = softmax(query @ key.T) / np.sqrt(key.shape[1])
    return weights @ value, weights


ATTENTION = Task(
    name="attention",
    parameters=("query", "key", "value"),
    results=("output", "weights"),
    draws=(
        Draw("different sizes", operands, sizes(2, 3, 4, 2), seeds=2),
        Draw("square arrays", operands, sizes(3, 3, 3, 3), sizes(3, 3, 3, 3)),
        Draw("one query, one key", operands, sizes(1, 1, 2, 3)),
        Draw("float32", in_float32, sizes(3, 5, 2, 4)),
        Draw("large scores", with_large_scores, sizes(2, 4, 4, 2)),
    ),
    expected=right_attention,
    misconceptions=(
        Misconception(
            "the scores are not scaled: the dot products grow with key_dim.", scaled(lambda dim, n, v: 1.0)
        ),
        Misconception(
            "the scores are divided by key_dim and not by its square root; or they are scaled twice.",
            scaled(lambda dim, n, v: 1 / dim),
        ),
        Misconception(
            "the scores are multiplied by the square root of key_dim; they should be divided.",
            scaled(lambda dim, n, v: dim**0.5),
        ),
        Misconception(
            "the scores are divided by the square root of the number of keys; it should be key_dim, the "
            "length of a query.",
            scaled(lambda dim, n, v: n**-0.5),
        ),
        Misconception(
            "the scores are divided by the square root of value_dim; it should be key_dim, the length of a "
            "query.",
            scaled(lambda dim, n, v: v**-0.5),
        ),
        Misconception(
            "the weights sum to 1 down the columns: the softmax runs over the queries instead of the keys.",
            with_weights(lambda scores: softmax(scores, axis=0)),
        ),
        Misconception(
            "the weights sum to 1 over all queries together: each query has its own softmax.",
            with_weights(lambda scores: softmax(scores, axis=None)),
        ),
        Misconception(
            "the scores themselves weight the values: the softmax is missing.",
            with_weights(lambda scores: scores),
        ),
        Misconception(
            "the exponentials are not divided by their sum: the weights of a query do not sum to 1.",
            with_weights(np.exp),
        ),
        Misconception(
            "the scale comes after the softmax, so the weights do not sum to 1; it belongs to the scores.",
            scaled_afterwards,
        ),
        Misconception(
            "the weights and the output are swapped: return (output, weights).",
            lambda query, key, value: attend(query, key, value)[::-1],
        ),
        Misconception(
            "the second result is the scores; it should be the weights.",
            lambda query, key, value: (attend(query, key, value)[0], scored(query, key)),
        ),
        Misconception(
            "the keys are mixed; it should be the values.",
            lambda query, key, value: (attend(query, key, key)[0], attend(query, key, value)[1]),
        ),
        Misconception(
            "the exponentials overflow if scores are large: subtract the largest score of each row first.",
            with_weights(unshifted_softmax),
        ),
    ),
    symptoms=(NEGATIVE, ROWS_DO_NOT_SUM),
)


def right_backward(weights: Array, upstream: Array) -> tuple[Expected, ...]:
    """The softmax's Jacobian, written out: diag(w) - w w^T, row by row."""
    jacobian = (
        weights[..., :, None] * np.eye(weights.shape[-1]) - weights[..., :, None] * weights[..., None, :]
    )
    right = np.einsum("...ij,...j->...i", jacobian, upstream.astype(np.float64))
    size = np.abs(weights) * (np.abs(upstream) + (np.abs(weights) * np.abs(upstream)).sum(-1, keepdims=True))
    return (Expected(right, UNIT * (2 * weights.shape[-1] + 16) * size + UNIT**4),)


def drawn_backward(rng: np.random.Generator, size: Any) -> Arguments:
    weights = softmax(rng.standard_normal((size.rows, size.keys)))
    return {"weights": weights, "upstream": rng.standard_normal((size.rows, size.keys))}


SOFTMAX_BACKWARD = Task(
    name="softmax_backward",
    parameters=("weights", "upstream"),
    results=("grad_scores",),
    draws=(Draw("two axes", drawn_backward, {"rows": 2, "keys": 3}, {"keys": 2}, round=False, seeds=3),),
    expected=right_backward,
    misconceptions=(
        Misconception(
            "each weight is assumed to depend on its own score alone; through the sum, all scores of a row "
            "matter.",
            lambda weights, upstream: weights * (1 - weights) * upstream,
        ),
        Misconception(
            "the part that comes through the sum is missing.", lambda weights, upstream: weights * upstream
        ),
        Misconception(
            "the sum over the row is not weighted by upstream.",
            lambda weights, upstream: weights * (upstream - upstream.sum(-1, keepdims=True)),
        ),
        Misconception(
            "the sum runs over all rows; each row has its own.",
            lambda weights, upstream: weights * (upstream - (weights * upstream).sum()),
        ),
    ),
)

EXERCISE = Exercise(1, "softmax and attention by hand", (SOFTMAX, ATTENTION), (SOFTMAX_BACKWARD,))
