"""Exercise 3: masks. Keys are hidden before the softmax; a fully masked row is 0."""

from typing import Any

import numpy as np

from attnscope.audit import Contract, Report
from attnscope.audit import attention as audit_attention
from attnscope.lesson.attending import (
    Array,
    attend,
    bare_softmax,
    causal,
    scored,
    sizes,
    softmax,
    softmax_of_one_shift,
    unshifted_softmax,
)
from attnscope.lesson.comparing import exact
from attnscope.lesson.exercises.who_may_see_whom import VISIBLE, VISIBLE_IN_WINDOW
from attnscope.lesson.question import (
    Answer,
    Arguments,
    Arrays,
    Draw,
    Exercise,
    Expected,
    Misconception,
    Symptom,
    Task,
)

TWO_KEYS = {"key_len": 2}
FAR = 1500.0  # how far a hidden key's score is above the visible ones


def operands(
    rng: np.random.Generator, size: Any, leading: tuple[int, ...], dtype: type = np.float64
) -> Arguments:
    """Random arrays with these leading axes."""
    shapes = {"query": (size.query_len, size.key_dim), "key": (size.key_len, size.key_dim)}
    shapes["value"] = (size.key_len, size.value_dim)
    return {name: rng.standard_normal((*leading, *shape)).astype(dtype) for name, shape in shapes.items()}


def random_mask(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A mask in which every row sees a key, and one row does not see all."""
    visible = rng.random(shape) < 0.6
    visible[..., 0] |= ~visible.any(axis=-1)
    if shape[-1] > 1:
        visible[..., -1, -1] = False
        visible[..., -1, 0] = True
    return visible


def two_axes(rng: np.random.Generator, size: Any) -> Arguments:
    made = operands(rng, size, ())
    return {**made, "visible": random_mask(rng, (size.query_len, size.key_len))}


def in_float32(rng: np.random.Generator, size: Any) -> Arguments:
    made = operands(rng, size, (), np.float32)
    return {**made, "visible": random_mask(rng, (size.query_len, size.key_len))}


def three_axes(rng: np.random.Generator, size: Any) -> Arguments:
    made = operands(rng, size, (size.heads,))
    return {**made, "visible": random_mask(rng, (size.heads, size.query_len, size.key_len))}


def four_axes(rng: np.random.Generator, size: Any) -> Arguments:
    leading = (size.batch, size.heads)
    return {
        **operands(rng, size, leading),
        "visible": random_mask(rng, (*leading, size.query_len, size.key_len)),
    }


def everything_seen(rng: np.random.Generator, size: Any) -> Arguments:
    made = operands(rng, size, ())
    return {**made, "visible": np.ones((size.query_len, size.key_len), dtype=bool)}


def causal_square(rng: np.random.Generator, size: Any) -> Arguments:
    size.query_len = size.key_len = size.tokens
    return {
        **operands(rng, size, (size.heads,)),
        "visible": np.tile(causal(size.tokens, size.tokens), (size.heads, 1, 1)),
    }


def with_a_masked_row(rng: np.random.Generator, size: Any) -> Arguments:
    made = two_axes(rng, size)
    made["visible"][-1] = False
    return made


def with_a_loud_hidden_key(rng: np.random.Generator, size: Any) -> Arguments:
    """The last key is hidden from all, and its scores are far above all others."""
    made = operands(rng, size, ())
    made["query"][:, 0] = 3.0
    made["key"][-1] = 0.0
    made["key"][-1, 0] = FAR * size.key_dim**0.5 / 3.0
    made["visible"] = np.ones((size.query_len, size.key_len), dtype=bool)
    made["visible"][:, -1] = False
    return made


def with_low_scores(rng: np.random.Generator, size: Any) -> Arguments:
    """All visible scores lie far below 0, some keys are hidden."""
    made = two_axes(rng, size)
    made["query"][:, 0] = 3.0
    made["key"][:, 0] = -12_000 * size.key_dim**0.5 / 3.0
    return made


def far_apart(rng: np.random.Generator, size: Any) -> Arguments:
    """Each query's scores lie far below those of the one before it."""
    made = two_axes(rng, size)
    made["query"][:, 0] = np.arange(size.query_len)
    made["key"][:, 0] = -FAR * size.key_dim**0.5
    return made


def right_output(query: Array, key: Array, value: Array, visible: Array) -> tuple[Expected, ...]:
    return (exact(query, key, value, visible).output,)


def after_the_softmax(query: Array, key: Array, value: Array, visible: Array) -> Array:
    return np.asarray(np.where(visible, softmax(scored(query, key)), 0) @ value)


def renormalized(query: Array, key: Array, value: Array, visible: Array) -> Array:
    weights = np.where(visible, softmax(scored(query, key)), 0)
    total = weights.sum(-1, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1, total) @ value)


def renormalized_bare(query: Array, key: Array, value: Array, visible: Array) -> Array:
    weights = np.where(visible, softmax(scored(query, key)), 0)
    return np.asarray(weights / weights.sum(-1, keepdims=True) @ value)


def filled(fill: float, **options: Any) -> Any:
    return lambda query, key, value, visible: attend(query, key, value, visible, fill=fill, **options)[0]


def zero_scores(query: Array, key: Array, value: Array, visible: Array) -> Array:
    return np.asarray(softmax(scored(query, key) * visible) @ value)


def added(amount: float) -> Any:
    """The mask added as a finite number."""
    return lambda q, k, v, visible: softmax(scored(q, k) + np.where(visible, 0.0, amount)) @ v


def hidden_values(query: Array, key: Array, value: Array, visible: Array) -> Array:
    shown = np.asarray(visible.any(axis=-2))[..., None]
    return attend(query, key, np.where(shown, value, 0))[0]


def masked_with(normalize: Any = softmax, scale: Any = None) -> Any:
    def wrong(query: Array, key: Array, value: Array, visible: Array) -> Array:
        by = None if scale is None else scale(query.shape[-1], value.shape[-1], key.shape[-2])
        return attend(query, key, value, visible, scale=by, normalize=normalize)[0]

    return wrong


def averaged_if_masked(query: Array, key: Array, value: Array, visible: Array) -> Array:
    shown = visible | ~visible.any(axis=-1, keepdims=True)
    uniform = np.broadcast_to(value.mean(axis=-2, keepdims=True), (*query.shape[:-1], value.shape[-1]))
    return np.where(visible.any(axis=-1, keepdims=True), attend(query, key, value, shown)[0], uniform)


def first_mask_for_all(query: Array, key: Array, value: Array, visible: Array) -> Array:
    return attend(query, key, value, visible.reshape(-1, *visible.shape[-2:])[0])[0]


CONTRACT = Contract(mask=True, hidden_nan=False, same_bits=False)
AUDIT_SECONDS = 10.0


def audited(answer: Answer) -> Report:
    """The library's audit: some hundred calls of other sizes, with hidden slots moved."""

    def attend_as_asked(query: Array, key: Array, value: Array, *, mask: Any = True) -> Any:
        shape = (*query.shape[:-1], key.shape[-2])
        return answer(query, key, value, np.broadcast_to(mask, shape).copy())

    return audit_attention(attend_as_asked, CONTRACT, seconds=AUDIT_SECONDS)


NO_ROW = "A fully masked row must be 0"
MASKED = Task(
    name="masked_attention",
    parameters=("query", "key", "value", "visible"),
    results=("output",),
    draws=(
        Draw("two axes", two_axes, sizes(2, 3, 2, 3), TWO_KEYS, seeds=2),
        Draw("float32", in_float32, sizes(3, 5, 4, 2), TWO_KEYS),
        Draw("everything visible", everything_seen, sizes(2, 4, 3, 2)),
        Draw(
            "causal, with heads",
            causal_square,
            {"heads": 2, "tokens": 4, "key_dim": 4, "value_dim": 3},
            {"tokens": 2},
        ),
        Draw("three axes", three_axes, sizes(2, 4, 2, 3, heads=3), TWO_KEYS),
        Draw("four axes", four_axes, sizes(4, 5, 3, 2, batch=2, heads=3), TWO_KEYS),
        Draw("a fully masked row", with_a_masked_row, sizes(3, 3, 2, 2)),
        Draw(
            "a hidden key whose score is far above all others",
            with_a_loud_hidden_key,
            sizes(2, 3, 2, 2),
            TWO_KEYS,
            round=False,
        ),
        Draw("scores far below 0", with_low_scores, sizes(2, 4, 2, 2), TWO_KEYS, round=False),
        Draw(
            "rows whose scores lie far apart",
            far_apart,
            sizes(2, 3, 2, 2),
            {"query_len": 2, "key_len": 2},
            round=False,
        ),
    ),
    expected=right_output,
    audited=audited,
    misconceptions=(
        Misconception(
            "the hidden keys are visible: visible makes no difference.",
            lambda query, key, value, visible: attend(query, key, value)[0],
        ),
        Misconception(
            "the mask is inverted: the hidden keys are visible, and the visible ones are not.",
            lambda query, key, value, visible: attend(query, key, value, ~visible)[0],
        ),
        Misconception(
            "the weights sum to 1 over the hidden keys too: the mask came after the softmax, so the visible "
            "ones sum to less.",
            after_the_softmax,
        ),
        Misconception(
            "the mask came after the softmax: divided by their sum once more, the weights are right as long "
            "as a hidden score is not far above the visible ones; then the visible weights all vanish. Hide "
            "first. (Subtracting a hidden score as the largest of its row has the same effect.)",
            renormalized,
        ),
        Misconception(
            "the mask came after the softmax, or the largest score that was subtracted is a hidden one: if "
            "that is far above the visible ones, they all vanish, and 0 / 0 is left, as in a fully masked "
            "row. Hide first.",
            renormalized_bare,
        ),
        Misconception(
            "the hidden scores are 0 instead of -inf: e^0 = 1, so hidden keys still get weight.", zero_scores
        ),
        Misconception(
            "a fully masked row is NaN: all its scores are -inf, and its sum is 0. " + NO_ROW + ".",
            masked_with(bare_softmax),
        ),
        Misconception(
            "a fully masked row averages the hidden values, as it does if hidden scores are a finite number "
            "like -1e9 instead of -inf. " + NO_ROW + ".",
            averaged_if_masked,
        ),
        Misconception(
            "a finite number like -1e9 is added to the hidden scores: a fully masked row mixes the hidden "
            "values as if they were visible. " + NO_ROW + ".",
            added(-1e9),
        ),
        Misconception(
            "the hidden scores are only some thousands below 0: if the visible ones lie lower still, the "
            "hidden keys are visible, and a fully masked row mixes hidden values. Only -inf is below every "
            "score.",
            filled(-1e4),
        ),
        Misconception(
            "the scores are not scaled by the square root of key_dim.", masked_with(scale=lambda d, v, n: 1.0)
        ),
        Misconception(
            "the scores are divided by key_dim and not by its square root.",
            masked_with(scale=lambda d, v, n: 1 / d),
        ),
        Misconception(
            "the scores are scaled by the length of a value; it should be key_dim, the length of a query.",
            masked_with(scale=lambda d, v, n: v**-0.5),
        ),
        Misconception(
            "the scores are scaled by the number of keys; it should be key_dim, the length of a query.",
            masked_with(scale=lambda d, v, n: n**-0.5),
        ),
        Misconception(
            "values are set to 0 if a key is hidden from all queries, but their weights stay: hide the "
            "scores.",
            hidden_values,
        ),
        Misconception(
            "the softmax runs over the queries instead of the keys.",
            masked_with(lambda scores: softmax(scores, axis=-2)),
        ),
        Misconception("the first mask is used for all heads and sequences.", first_mask_for_all),
        Misconception(
            "the largest score of all rows is subtracted: if a row lies far below it, all its exponentials "
            "vanish. Each row has its own largest.",
            masked_with(softmax_of_one_shift),
        ),
        Misconception(
            "the exponentials overflow or vanish: subtract the largest visible score of each row first.",
            masked_with(unshifted_softmax),
        ),
    ),
    symptoms=(
        Symptom(
            "a fully masked row should be 0.",
            lambda arguments, came, right: masked_rows_only(arguments, came, right),
        ),
    ),
)


def masked_rows_only(arguments: Arguments, came: Arrays, right: Arrays) -> bool:
    """Whether only fully masked rows are wrong."""
    sees = arguments["visible"].any(-1)
    return bool(not sees.all() and np.allclose(came[0][sees], right[0][sees], rtol=2.0**-12))


def poisoned(bad: float) -> Any:
    def make(rng: np.random.Generator, size: Any) -> Arguments:
        made = two_axes(rng, size)
        made["visible"][:, -1] = False
        made["visible"][:, 0] = True
        made["value"][-1] = bad
        if np.isnan(bad):
            made["key"][-1] = bad
        return made

    return make


def right_clean(query: Array, key: Array, value: Array, visible: Array) -> tuple[Expected, ...]:
    clean = [np.nan_to_num(each, nan=0.0, posinf=0.0) for each in (query, key, value)]
    return right_output(clean[0], clean[1], clean[2], visible)


CLEAN = Task(
    name="clean_attention",
    parameters=("query", "key", "value", "visible"),
    results=("output",),
    draws=(
        *MASKED.draws[:2],
        Draw("NaN in a hidden key and value", poisoned(np.nan), sizes(2, 3, 2, 2), TWO_KEYS),
        Draw("inf in a hidden value", poisoned(np.inf), sizes(2, 3, 2, 2), TWO_KEYS),
    ),
    expected=right_clean,
    misconceptions=(
        Misconception(
            "a hidden NaN or inf reaches the output: its weight is 0, but 0 times NaN is NaN.", masked_with()
        ),
        *MASKED.misconceptions[:3],
    ),
)

EXERCISE = Exercise(
    3, "masks", (VISIBLE, MASKED), (VISIBLE_IN_WINDOW, CLEAN), difficulty=2, minutes=35, after=(1, 2)
)
