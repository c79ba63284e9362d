"""Known mistakes about the softmax, the values, heads and the batch."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.interpretation import Answering, Floats, Interpretation, by_definition
from attnscope.probing import KnownMistake
from attnscope.reference import Inputs, biased, capped_scores, masked_scores, mix, softmax

HEADS = "Query head h reads kv head h // (query_heads // kv_heads)."
MASK = "Set hidden scores to -inf before the softmax."


def kv_heads_in(
    order: Callable[[Interpretation], np.ndarray],
) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that reads other kv heads; `order` gives the kv head of each query head."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        own = order(asked) * asked.group  # the first of the repeated copies
        return asked.but(key=asked.inputs.key[:, own], value=asked.inputs.value[:, own])

    return mistaken


def by(answering: Answering, *, local: bool = True) -> Callable[[Interpretation], Interpretation | None]:
    return lambda asked: asked.answered(answering, local=local)


def everything(inputs: Inputs) -> np.ndarray:
    return np.ones_like(inputs.visible)


def mask_after_softmax(inputs: Inputs) -> tuple[Floats, Floats]:
    weights, logs = softmax(biased(capped_scores(inputs), inputs), everything(inputs), inputs.sinks)
    return mix(np.where(inputs.visible, weights, 0.0), inputs.visible, inputs.value), logs


def mask_added_as_numbers(inputs: Inputs) -> tuple[Floats, Floats]:
    weights, logs = softmax(
        biased(capped_scores(inputs), inputs) + inputs.visible, everything(inputs), inputs.sinks
    )
    return mix(weights, everything(inputs), inputs.value), logs


def mask_multiplied(inputs: Inputs) -> tuple[Floats, Floats]:
    weights, logs = softmax(
        biased(capped_scores(inputs), inputs) * inputs.visible, everything(inputs), inputs.sinks
    )
    return mix(weights, everything(inputs), inputs.value), logs


def filled(number: float, *, added: bool) -> Answering:
    """A finite number instead of minus infinity, which replaces a hidden score or is added to it."""

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        scores = biased(capped_scores(inputs), inputs)
        hidden = scores + number if added else number
        weights, logs = softmax(np.where(inputs.visible, scores, hidden), everything(inputs), inputs.sinks)
        return mix(weights, everything(inputs), inputs.value), logs

    return answer


def over_the_queries(inputs: Inputs) -> tuple[Floats, Floats]:
    weights, _ = softmax(masked_scores(inputs).swapaxes(2, 3), inputs.visible.swapaxes(2, 3), inputs.sinks)
    _, logs = by_definition(inputs)
    return mix(weights.swapaxes(2, 3), inputs.visible, inputs.value), logs


def over_the_heads(inputs: Inputs) -> tuple[Floats, Floats]:
    weights, _ = softmax(masked_scores(inputs).swapaxes(1, 3), inputs.visible.swapaxes(1, 3), None)
    _, logs = by_definition(inputs)
    return mix(weights.swapaxes(1, 3), inputs.visible, inputs.value), logs


def without_softmax(inputs: Inputs) -> tuple[Floats, Floats]:
    scores = np.where(inputs.visible, biased(capped_scores(inputs), inputs), 0.0)
    return mix(scores, inputs.visible, inputs.value), by_definition(inputs)[1]


def not_normalised(inputs: Inputs) -> tuple[Floats, Floats]:
    output, logs = by_definition(inputs)
    top = masked_scores(inputs).max(axis=-1)
    return output * np.exp(logs - top)[..., None], logs


def logs_as(wrong: Callable[[Inputs, Floats], Floats]) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake whose output is right and whose logsumexp is wrong."""

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        output, logs = by_definition(inputs)
        return output, wrong(inputs, logs)

    return lambda asked: asked.answered(answer) if asked.call.options.get("return_logsumexp") else None


def top_of(inputs: Inputs) -> Floats:
    top: Floats = masked_scores(inputs).max(axis=-1, initial=-np.inf)
    return top if inputs.sinks is None else np.maximum(top, inputs.sinks[:, None])


def later_items_are_zero(asked: Interpretation) -> Interpretation | None:
    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        output, logs = by_definition(inputs)
        output[1:] = 0.0
        return output, logs

    return asked.answered(answer, local=False) if asked.shape[0] > 1 else None


def of_batch_item(order: Callable[[int], np.ndarray]) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that reads keys and values of other batch items."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        own = order(asked.shape[0])
        return asked.but(key=asked.inputs.key[own], value=asked.inputs.value[own]) if len(own) > 1 else None

    return mistaken


def started_from(start: float) -> Answering:
    """The largest score of a row, but at least `start`, is subtracted: lower rows underflow in float32."""

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        scores = masked_scores(inputs)
        top = np.maximum(top_of(inputs), start)
        parts = np.exp(scores - top[..., None]).astype(np.float32)
        sinks = 0.0 if inputs.sinks is None else np.exp(inputs.sinks[:, None] - top).astype(np.float32)
        total = (parts.sum(axis=-1) + sinks).astype(np.float64)
        weights = parts / np.where(total == 0, 1, total)[..., None]
        return mix(weights, inputs.visible, inputs.value), np.log(total) + top

    return answer


def in_float16(asked: Interpretation) -> Interpretation | None:
    """Query, key and value pass through float16."""
    if asked.call.query.dtype == np.float16:
        return None
    given = {name: getattr(asked.inputs, name) for name in ("query", "key", "value")}
    with np.errstate(over="ignore"):
        short = {name: array.astype(np.float16).astype(np.float64) for name, array in given.items()}
    return asked.but(**short)


def without_the_maximum(inputs: Inputs) -> tuple[Floats, Floats]:
    """e^score without subtracting the maximum: in float32 infinite above 88, 0 below -103."""
    parts = np.exp(masked_scores(inputs)).astype(np.float32)
    sinks = 0.0 if inputs.sinks is None else np.exp(inputs.sinks).astype(np.float32)[:, None]
    total = parts.sum(axis=-1) + sinks
    weights = np.where(inputs.visible, parts, 0) / np.where(total == 0, 1, total)[..., None]
    return mix(weights.astype(np.float64), inputs.visible, inputs.value), np.log(total.astype(np.float64))


def not_transposed(inputs: Inputs) -> tuple[Floats, Floats]:
    output, logs = by_definition(inputs)
    return output.swapaxes(1, 2).reshape(output.shape), logs


def swapped(asked: Interpretation) -> Interpretation | None:
    key, value = asked.inputs.key, asked.inputs.value
    return asked.but(key=value, value=key) if key.shape == value.shape else None


FILLS = (
    *(
        KnownMistake(
            f"{number:g} is used for minus infinity in the scores",
            by(filled(number, added=False)),
            "dependence",
            MASK,
        )
        for number in (0.0, -1.0, -10.0, -50.0, -100.0, -1e3, -1e4, -1e5, -1e6, -1e9)
    ),
    KnownMistake(
        "plus infinity is used for minus infinity in the scores",
        by(filled(np.inf, added=False)),
        "dependence",
        MASK,
    ),
    *(
        KnownMistake(
            f"{number:g} is added to hidden scores, instead of minus infinity",
            by(filled(number, added=True)),
            "dependence",
            MASK,
        )
        for number in (-1.0, -10.0, -100.0, -1e3, -1e4, -1e5, -1e6, -1e9)
    ),
)
STARTS = tuple(
    KnownMistake(
        f"the running maximum of a row starts at {start:g}",
        by(started_from(start)),
        "magnitudes",
        "Start the running maximum at minus infinity.",
    )
    for start in (
        -1e9,
        -1e6,
        -1e5,
        -65504.0,
        -1e4,
        -1e3,
        -100.0,
        0.0,
    )  # the lowest that explains all failures
)
MIXING = (
    KnownMistake(
        "grouped heads tiled: query head h reads kv head h % kv_heads",
        kv_heads_in(lambda r: np.arange(r.shape[1]) % r.kv_heads),
        "head mapping",
        HEADS,
    ),
    KnownMistake(
        "every query head reads kv head 0",
        kv_heads_in(lambda r: np.zeros(r.shape[1], int)),
        "head mapping",
        HEADS,
    ),
    KnownMistake(
        "kv heads in reverse order",
        kv_heads_in(lambda r: r.kv_heads - 1 - np.arange(r.shape[1]) // r.group),
        "head mapping",
        HEADS,
    ),
    KnownMistake(
        "query head h reads kv head min(h, kv_heads - 1)",
        kv_heads_in(lambda r: np.minimum(np.arange(r.shape[1]), r.kv_heads - 1)),
        "head mapping",
        HEADS,
    ),
    *STARTS,  # before the next one, which agrees with them if all scores are negative
    KnownMistake(
        "the softmax without subtracting the row's largest score",
        by(without_the_maximum),
        "magnitudes",
        "Subtract the largest score of a row from all of them before e^score.",
    ),
    KnownMistake(
        "query, key and value converted to float16, whose numbers end at 65504",
        in_float16,
        "dtypes",
        "Compute in the format of the arrays, or in a wider one.",
    ),
    KnownMistake(
        "the output's heads and tokens reshaped without a transpose",
        by(not_transposed, local=False),
        "head mapping",
        "Transpose [batch, tokens, heads, dim] to [batch, heads, tokens, dim]; a reshape mixes them up.",
    ),
    KnownMistake(
        "keys and values swapped",
        swapped,
        "exactness",
        "Compute scores from the keys, outputs from the values.",
    ),
    KnownMistake(
        "the mask applied after the softmax, and the rows not normalised again",
        by(mask_after_softmax),
        "dependence",
        MASK,
    ),
    KnownMistake("the mask added to the scores as 0 and 1", by(mask_added_as_numbers), "dependence", MASK),
    KnownMistake("the scores multiplied by the mask", by(mask_multiplied), "dependence", MASK),
    *FILLS,
    KnownMistake(
        "the softmax over the queries instead of the keys",
        by(over_the_queries),
        "exactness",
        "Normalise over the last axis, the keys.",
    ),
    KnownMistake(
        "the softmax over the heads instead of the keys",
        by(over_the_heads, local=False),
        "exactness",
        "Normalise over the last axis, the keys.",
    ),
    KnownMistake("no softmax", by(without_softmax), "exactness", "Take the softmax of the scores."),
    KnownMistake(
        "the rows not divided by their sum",
        by(not_normalised),
        "exactness",
        "Divide by the sum of the weights.",
    ),
    KnownMistake(
        "batch items after the first are zero",
        later_items_are_zero,
        "batch invariance",
        "Write every batch item of the output.",
    ),
    KnownMistake(
        "every batch item reads the keys of item 0",
        of_batch_item(lambda batch: np.zeros(batch, int)),
        "batch invariance",
        "Index keys by batch item.",
    ),
    KnownMistake(
        "batch items read each other's keys, in reverse order",
        of_batch_item(lambda batch: np.arange(batch)[::-1]),
        "batch invariance",
        "Index keys by batch item.",
    ),
    KnownMistake(
        "the logsumexp in base 2",
        logs_as(lambda i, logs: logs / np.log(2)),
        "logsumexp",
        "Multiply by ln 2, or use the natural log.",
    ),
    KnownMistake(
        "the logsumexp in base 10",
        logs_as(lambda i, logs: logs / np.log(10)),
        "logsumexp",
        "Use the natural log.",
    ),
    KnownMistake(
        "the logsumexp without the row's largest score",
        logs_as(lambda i, logs: logs - top_of(i)),
        "logsumexp",
        "Add the largest score back.",
    ),
    KnownMistake(
        "the row's largest score instead of the logsumexp",
        logs_as(lambda i, logs: top_of(i)),
        "logsumexp",
        "Add the log of the sum.",
    ),
    KnownMistake(
        "the softmax denominator without its log",
        logs_as(lambda i, logs: np.exp(logs)),
        "logsumexp",
        "Take the natural log.",
    ),
    KnownMistake(
        "the shifted sum instead of the logsumexp",
        logs_as(lambda i, logs: np.exp(logs - top_of(i))),
        "logsumexp",
        "Take its log and add the largest score.",
    ),
    KnownMistake(
        "the negative logsumexp",
        logs_as(lambda i, logs: -logs),
        "logsumexp",
        "Return log(sum), not its negative.",
    ),
    KnownMistake(
        "only the sum's log is in base 2, not the largest score",
        logs_as(lambda i, logs: top_of(i) + (logs - top_of(i)) / np.log(2)),
        "logsumexp",
        "Use one base for both.",
    ),
)
