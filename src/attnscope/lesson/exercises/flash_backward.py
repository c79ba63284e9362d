"""Project A: flash attention's causal forward pass, and its backward pass, which recomputes the weights."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, causal, scored, softmax
from attnscope.lesson.comparing import UNIT, exact
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Memory, Misconception, Task
from attnscope.problem import Causal
from attnscope.reference import gradients

TOKENS_MEASURED = 640  # enough for n x n to stand out
SIZES = {"tokens": 7, "key_dim": 4, "value_dim": 3, "block": 3}
LEAST = {"tokens": 2}


def operands(rng: np.random.Generator, size: Any, *, spread: float = 1.0) -> Arguments:
    """Queries, keys and values of a text."""
    shapes = (size.tokens, size.key_dim), (size.tokens, size.key_dim), (size.tokens, size.value_dim)
    query, key, value = (spread * rng.standard_normal(shape) for shape in shapes)
    return {"query": query, "key": key, "value": value, "block": int(size.block)}


def far_apart(rng: np.random.Generator, size: Any) -> Arguments:
    """Scores in the hundreds, larger for later keys."""
    made = operands(rng, size, spread=4.0)
    made["key"] = made["key"] * np.linspace(1, 5, size.tokens)[:, None]
    return made


def right_forward(query: Array, key: Array, value: Array, block: int) -> tuple[Expected, ...]:
    right = exact(query, key, value, causal(len(query), len(key)))
    return right.output, right.logsumexp


def forward(
    query: Array, key: Array, value: Array, *, visible: Any = None, scale: float | None = None
) -> tuple[Array, Array]:
    """Output and logsumexp; all visible keys at once."""
    mask = causal(len(query), len(key)) if visible is None else visible
    scores = np.where(mask, scored(query, key, scale), -np.inf)
    top = scores.max(axis=-1)
    return softmax(scores) @ value, top + np.log(np.exp(scores - top[:, None]).sum(axis=-1))


def not_rescaled(query: Array, key: Array, value: Array, block: int) -> tuple[Array, Array]:
    """Block by block, each relative to the largest score so far; the output keeps its old factors."""
    scores = np.where(causal(len(query), len(key)), scored(query, key), -np.inf)
    largest = np.maximum.accumulate(scores, axis=1)
    ends = np.minimum((np.arange(len(key)) // block + 1) * block, len(key)) - 1
    output = np.exp(scores - largest[:, ends]) @ value
    _, logsumexp = forward(query, key, value)
    return output / np.exp(logsumexp - largest[:, -1])[:, None], logsumexp


FORWARD = Task(
    name="flash_forward",
    parameters=("query", "key", "value", "block"),
    results=("output", "logsumexp"),
    draws=(
        Draw("blocks that do not fit evenly", operands, SIZES, LEAST, seeds=2),
        Draw("one block", operands, {**SIZES, "block": 16}, LEAST),
        Draw("blocks of one key", operands, {**SIZES, "block": 1}, LEAST),
        Draw("scores that grow", far_apart, SIZES, LEAST),
    ),
    expected=right_forward,
    memory=Memory(
        Draw("", operands, {"tokens": TOKENS_MEASURED, "key_dim": 8, "value_dim": 8, "block": 32}),
        TOKENS_MEASURED**2 * 8 // 2,
        "the table of all scores seems to be held at once; a block of them is enough.",
    ),
    misconceptions=(
        Misconception(
            "the mask is missing: a query sees no key that comes after it.",
            lambda query, key, value, block: forward(query, key, value, visible=True),
        ),
        Misconception(
            "the scores are not scaled.",
            lambda query, key, value, block: forward(query, key, value, scale=1.0),
        ),
        Misconception(
            "the accumulated output is not rescaled when a new maximum comes; the sum is.",
            not_rescaled,
        ),
        Misconception(
            "the diagonal is hidden, too: a token sees itself.",
            lambda query, key, value, block: forward(
                query, key, value, visible=np.tri(len(query), k=-1, dtype=bool) | (np.arange(len(key)) == 0)
            ),
        ),
    ),
)


def with_gradient(rng: np.random.Generator, size: Any) -> Arguments:
    """What a backward pass is given."""
    made = operands(rng, size)
    query, key, value, block = made.values()
    output, logsumexp = forward(query, key, value)
    grad_output = rng.standard_normal(output.shape)
    return {
        "query": query, "key": key, "value": value, "output": output, "logsumexp": logsumexp,
        "grad_output": grad_output, "block": block,
    }  # fmt: skip


def right_backward(
    query: Array, key: Array, value: Array, output: Array, logsumexp: Array, grad_output: Array, block: int
) -> tuple[Expected, ...]:
    """The reference's gradients. The bound: the terms of each sum in absolute value, times its roundings."""
    right = gradients(query, key, value, grad_output, mask=Causal())
    scale, mask = key.shape[1] ** -0.5, causal(len(query), len(key))
    scores = np.where(mask, scored(query, key), -np.inf)
    weights = softmax(scores)
    size = (
        np.abs(grad_output) @ np.abs(value).T
        + (np.abs(grad_output) * (weights @ np.abs(value))).sum(-1)[:, None]
    )
    slopes = scale * weights * size
    largest = 1 + np.abs(scores[mask]).max()
    roundings = UNIT * (4 * sum(query.shape) + 32) * largest
    bounds = slopes @ np.abs(key), slopes.T @ np.abs(query), weights.T @ np.abs(grad_output)
    found = right.query, right.key, right.value
    return tuple(
        Expected(each, roundings * bound + UNIT**2) for each, bound in zip(found, bounds, strict=True)
    )


def backward(
    query: Array,
    key: Array,
    value: Array,
    logsumexp: Array,
    grad_output: Array,
    *,
    mean: bool = True,
    scaled: bool = True,
    swapped: bool = False,
) -> tuple[Array, ...]:
    """The backward pass in one piece, with a step left out."""
    scores = np.where(causal(len(query), len(key)), scored(query, key), -np.inf)
    weights = np.exp(scores - logsumexp[:, None])
    grad_weights = grad_output @ value.T
    rows = (weights * grad_weights).sum(axis=-1, keepdims=True) if mean else 0.0
    slopes = weights * (grad_weights - rows) * (key.shape[1] ** -0.5 if scaled else 1.0)
    grads = slopes @ key, slopes.T @ query, weights.T @ grad_output
    return grads[1::-1] + grads[2:] if swapped else grads


def wrong(**options: Any) -> Any:
    return lambda query, key, value, output, logsumexp, grad_output, block: backward(
        query, key, value, logsumexp, grad_output, **options
    )


BACKWARD = Task(
    name="flash_backward",
    parameters=("query", "key", "value", "output", "logsumexp", "grad_output", "block"),
    results=("grad_query", "grad_key", "grad_value"),
    draws=(
        Draw("blocks that do not fit evenly", with_gradient, SIZES, LEAST, seeds=2),
        Draw("one block", with_gradient, {**SIZES, "block": 16}, LEAST),
        Draw("blocks of one key", with_gradient, {**SIZES, "block": 1}, LEAST),
    ),
    expected=right_backward,
    memory=Memory(
        Draw("", with_gradient, {"tokens": TOKENS_MEASURED, "key_dim": 8, "value_dim": 8, "block": 32}),
        TOKENS_MEASURED**2 * 8 // 2,
        "the table of all weights seems to be held at once; recompute a block of them from the logsumexp.",
    ),
    misconceptions=(
        Misconception(
            "the part that comes through the sum is missing: grad_output . output of each row.",
            wrong(mean=False),
        ),
        Misconception("the scale is missing in the gradients of query and key.", wrong(scaled=False)),
        Misconception("the gradients of query and key are exchanged.", wrong(swapped=True)),
        Misconception(
            "the sign of the gradients is wrong.",
            lambda q, k, v, o, lse, g, block: tuple(-each for each in backward(q, k, v, lse, g)),
        ),
    ),
)

EXERCISE = Exercise(
    "A", "flash attention, forward and backward", (FORWARD, BACKWARD), difficulty=3, minutes=120, after=(2, 8)
)
