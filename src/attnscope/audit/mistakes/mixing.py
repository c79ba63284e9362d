"""Mistakes about the softmax, the values, heads and the batch."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.mistakes.mistake import Mistake
from attnscope.audit.reading import Answering, Floats, Reading, by_definition
from attnscope.reference import Inputs, biased, capped_scores, masked_scores, mix, softmax

HEADS = "Query head h reads kv head h // (query_heads // kv_heads)."
MASK = "Set hidden scores to -inf before the softmax."


def kv_heads_in(order: Callable[[Reading], np.ndarray]) -> Callable[[Reading], Reading | None]:
    """Read other kv heads; `order` says which one each query head reads."""

    def reread(reading: Reading) -> Reading | None:
        own = order(reading) * reading.group  # the first of the repeated copies
        return reading.but(key=reading.inputs.key[:, own], value=reading.inputs.value[:, own])

    return reread


def by(answering: Answering) -> Callable[[Reading], Reading | None]:
    return lambda reading: reading.answered(answering)


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
    """A finite number stands for minus infinity, in the place of a hidden score or added to it."""

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


def logs_as(wrong: Callable[[Inputs, Floats], Floats]) -> Callable[[Reading], Reading | None]:
    """The output is right; the logsumexp is not."""

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        output, logs = by_definition(inputs)
        return output, wrong(inputs, logs)

    return lambda reading: reading.answered(answer) if reading.call.options.get("return_logsumexp") else None


def top_of(inputs: Inputs) -> Floats:
    top: Floats = masked_scores(inputs).max(axis=-1, initial=-np.inf)
    return top if inputs.sinks is None else np.maximum(top, inputs.sinks[:, None])


def later_items_are_zero(reading: Reading) -> Reading | None:
    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        output, logs = by_definition(inputs)
        output[1:] = 0.0
        return output, logs

    return reading.answered(answer) if reading.shape[0] > 1 else None


def of_batch_item(order: Callable[[int], np.ndarray]) -> Callable[[Reading], Reading | None]:
    """Keys and values of other batch items."""

    def reread(reading: Reading) -> Reading | None:
        own = order(reading.shape[0])
        return (
            reading.but(key=reading.inputs.key[own], value=reading.inputs.value[own])
            if len(own) > 1
            else None
        )

    return reread


def without_the_maximum(inputs: Inputs) -> tuple[Floats, Floats]:
    """e^score as it is: endless above 88, nothing below -103 in float32."""
    parts = np.exp(masked_scores(inputs)).astype(np.float32)
    sinks = 0.0 if inputs.sinks is None else np.exp(inputs.sinks).astype(np.float32)[:, None]
    total = parts.sum(axis=-1) + sinks
    weights = np.where(inputs.visible, parts, 0) / np.where(total == 0, 1, total)[..., None]
    return mix(weights.astype(np.float64), inputs.visible, inputs.value), np.log(total.astype(np.float64))


def not_transposed(inputs: Inputs) -> tuple[Floats, Floats]:
    output, logs = by_definition(inputs)
    return output.swapaxes(1, 2).reshape(output.shape), logs


def swapped(reading: Reading) -> Reading | None:
    key, value = reading.inputs.key, reading.inputs.value
    return reading.but(key=value, value=key) if key.shape == value.shape else None


MIXING = (
    Mistake("grouped heads tiled: query head h reads kv head h % kv_heads", "head mapping", HEADS,
            kv_heads_in(lambda r: np.arange(r.shape[1]) % r.kv_heads)),
    Mistake("every query head reads kv head 0", "head mapping", HEADS,
            kv_heads_in(lambda r: np.zeros(r.shape[1], int))),
    Mistake("kv heads in reverse order", "head mapping", HEADS,
            kv_heads_in(lambda r: r.kv_heads - 1 - np.arange(r.shape[1]) // r.group)),
    Mistake("query head h reads kv head min(h, kv_heads - 1)", "head mapping", HEADS,
            kv_heads_in(lambda r: np.minimum(np.arange(r.shape[1]), r.kv_heads - 1))),
    Mistake("the softmax without subtracting the row's largest score", "magnitudes",
            "Subtract the largest score of a row from all of them before e^score.", by(without_the_maximum)),
    Mistake("the output's heads and tokens reshaped without a transpose", "head mapping",
            "Transpose [batch, tokens, heads, dim] to [batch, heads, tokens, dim]; a reshape mixes them up.",
            by(not_transposed)),
    Mistake("keys and values swapped", "exactness", "Score by the keys, mix the values.", swapped),
    Mistake("the mask applied after the softmax, and the rows not normalised again", "dependence", MASK, by(mask_after_softmax)),
    Mistake("the mask added to the scores as 0 and 1", "dependence", MASK, by(mask_added_as_numbers)),
    Mistake("the scores multiplied by the mask", "dependence", MASK, by(mask_multiplied)),
    *(Mistake(f"{number:g} stands for minus infinity in the scores", "dependence", MASK, by(filled(number, added=False)))
      for number in (0.0, -1.0, -10.0, -50.0, -100.0, -1e3, -1e4, -1e5, -1e6, -1e9)),
    Mistake("plus infinity stands for minus infinity in the scores", "dependence", MASK, by(filled(np.inf, added=False))),
    *(Mistake(f"{number:g} is added to hidden scores, in the place of minus infinity", "dependence", MASK,
              by(filled(number, added=True)))
      for number in (-1.0, -10.0, -100.0, -1e3, -1e4, -1e5, -1e6, -1e9)),
    Mistake("the softmax over the queries instead of the keys", "exactness", "Normalise over the last axis, the keys.",
            by(over_the_queries)),
    Mistake("the softmax over the heads instead of the keys", "exactness", "Normalise over the last axis, the keys.",
            by(over_the_heads)),
    Mistake("no softmax", "exactness", "Take the softmax of the scores.", by(without_softmax)),
    Mistake("the rows not divided by their sum", "exactness", "Divide by the sum of the weights.", by(not_normalised)),
    Mistake("batch items after the first are zero", "batch invariance", "Fill every item of the output.", later_items_are_zero),
    Mistake("every batch item reads the keys of item 0", "batch invariance", "Index keys by batch item.",
            of_batch_item(lambda batch: np.zeros(batch, int))),
    Mistake("batch items read each other's keys, in reverse order", "batch invariance", "Index keys by batch item.",
            of_batch_item(lambda batch: np.arange(batch)[::-1])),
    Mistake("the logsumexp in base 2", "logsumexp", "Multiply by ln 2, or use the natural log.",
            logs_as(lambda i, logs: logs / np.log(2))),
    Mistake("the logsumexp in base 10", "logsumexp", "Use the natural log.",
            logs_as(lambda i, logs: logs / np.log(10))),
    Mistake("the logsumexp without the row's largest score", "logsumexp", "Add the largest score back.",
            logs_as(lambda i, logs: logs - top_of(i))),
    Mistake("the row's largest score in place of the logsumexp", "logsumexp", "Add the log of the sum.",
            logs_as(lambda i, logs: top_of(i))),
    Mistake("the normalizer without its log", "logsumexp", "Take the natural log.",
            logs_as(lambda i, logs: np.exp(logs))),
    Mistake("the shifted sum in place of the logsumexp", "logsumexp", "Take its log and add the largest score.",
            logs_as(lambda i, logs: np.exp(logs - top_of(i)))),
    Mistake("the logsumexp with a sign", "logsumexp", "Return log(sum), not its negative.",
            logs_as(lambda i, logs: -logs)),
    Mistake("only the sum's log is in base 2, not the largest score", "logsumexp", "Use one base for both.",
            logs_as(lambda i, logs: top_of(i) + (logs - top_of(i)) / np.log(2))),
)  # fmt: skip
