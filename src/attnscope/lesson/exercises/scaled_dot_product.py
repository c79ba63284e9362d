"""Exercise 2: scaled dot-product attention by hand."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, attend, scored, sizes, softmax, unshifted_softmax
from attnscope.lesson.comparing import UNIT, exact
from attnscope.lesson.exercises.soft_retrieval import NEGATIVE, ROWS_DO_NOT_SUM
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Misconception, Task


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

EXERCISE = Exercise(
    2, "scaled dot-product attention", (ATTENTION,), (SOFTMAX_BACKWARD,), minutes=15, after=(1,)
)
