"""Mistakes about scores: scale, soft-cap, bias and sinks, and their order."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from attnscope.audit.mistakes.mistake import Mistake
from attnscope.audit.reading import Floats, Reading, by_definition
from attnscope.reference import Inputs, biased, dot_products, masked, mix, soft_capped, softmax

ORDER = "The order is scale, soft-cap, bias, mask; sinks are neither scaled nor capped."
DEFAULT = "Multiply the dot products by the scale, 1/sqrt(key_dim) unless given, once."


def scale_is(wrong: Callable[[Reading, float], float]) -> Callable[[Reading], Reading | None]:
    return lambda reading: reading.but(scale=wrong(reading, reading.inputs.scale))


def default_scale(reading: Reading) -> float:
    return 1 / sqrt(reading.call.query.shape[-1])


def with_option(
    option: str, wrong: Callable[[Reading, Any], dict[str, Any]]
) -> Callable[[Reading], Reading | None]:
    """Change the inputs where an option is given."""

    def reread(reading: Reading) -> Reading | None:
        given = getattr(reading.inputs, option)
        return None if given is None else reading.but(**wrong(reading, given))

    return reread


def scored(score: Callable[[Inputs], Floats]) -> Callable[[Inputs], tuple[Floats, Floats]]:
    """Answer from scores of another make, masked as usual."""

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        weights, logsumexp = softmax(masked(score(inputs), inputs.visible), inputs.visible, inputs.sinks)
        return mix(weights, inputs.visible, inputs.value), logsumexp

    return answer


def answered_with(option: str, score: Callable[[Inputs, Any], Floats]) -> Callable[[Reading], Reading | None]:
    """Answer from other scores where an option is given."""

    def reread(reading: Reading) -> Reading | None:
        given = getattr(reading.inputs, option)
        return None if given is None else reading.answered(scored(lambda inputs: score(inputs, given)))

    return reread


def cap_after_bias(inputs: Inputs, softcap: float) -> Floats:
    return soft_capped(biased(dot_products(inputs), inputs), softcap)


def cap_before_scale(inputs: Inputs, softcap: float) -> Floats:
    raw = dot_products(inputs) / inputs.scale
    return biased(inputs.scale * soft_capped(raw, softcap), inputs)


def cap_after_mask(reading: Reading) -> Reading | None:
    """What is hidden scores -softcap instead of -inf."""
    if reading.inputs.softcap is None:
        return None

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        capped = cap_after_bias(inputs, inputs.softcap or 1.0)
        scores = np.where(inputs.visible, capped, -(inputs.softcap or 1.0))
        everywhere = np.ones_like(inputs.visible)
        weights, logsumexp = softmax(scores, everywhere, inputs.sinks)
        return mix(weights, everywhere, inputs.value), logsumexp

    return reading.answered(answer)


def sink_keeps_its_weight(reading: Reading) -> Reading | None:
    """The rows are normalised again after the sink was dropped."""
    return None if reading.inputs.sinks is None else reading.but(sinks=None)


def sink_without_output(inputs: Inputs) -> tuple[Floats, Floats]:
    """The sink joins the output's normalizer, not the one that is returned."""
    output, _ = by_definition(inputs)
    _, logs = softmax(
        masked(biased(soft_capped(dot_products(inputs), inputs.softcap), inputs), inputs.visible),
        inputs.visible,
        None,
    )
    return output, logs


def sink_as_a_probability(inputs: Inputs) -> tuple[Floats, Floats]:
    """The sink itself is added to the sum, not e^sink."""
    scores = masked(biased(soft_capped(dot_products(inputs), inputs.softcap), inputs), inputs.visible)
    top = scores.max(axis=-1, keepdims=True)
    parts = np.where(inputs.visible, np.exp(scores - top), 0.0)
    sinks = np.zeros(parts.shape[1]) if inputs.sinks is None else inputs.sinks
    total = parts.sum(axis=-1) + sinks[:, None]
    return mix(parts / total[..., None], inputs.visible, inputs.value), top[..., 0] + np.log(total)


def sink_unshifted(inputs: Inputs) -> tuple[Floats, Floats]:
    """e^sink is added to a sum whose other terms were shifted by the row's largest score."""
    scores = masked(biased(soft_capped(dot_products(inputs), inputs.softcap), inputs), inputs.visible)
    top = scores.max(axis=-1, keepdims=True)
    parts = np.where(inputs.visible, np.exp(scores - top), 0.0)
    sinks = np.zeros(parts.shape[1]) if inputs.sinks is None else inputs.sinks
    total = parts.sum(axis=-1) + np.exp(sinks)[:, None]
    return mix(parts / total[..., None], inputs.visible, inputs.value), top[..., 0] + np.log(total)


def when_sinks(answer: Callable[[Inputs], tuple[Floats, Floats]]) -> Callable[[Reading], Reading | None]:
    return lambda reading: None if reading.inputs.sinks is None else reading.answered(answer)


SCORING = (
    Mistake("the scale missing: dot products as they are", "scale", DEFAULT, scale_is(lambda r, s: 1.0)),
    Mistake("the given scale ignored", "scale", DEFAULT, scale_is(lambda r, s: default_scale(r))),
    Mistake("the given scale multiplied onto 1/sqrt(key_dim)", "scale", DEFAULT,
            scale_is(lambda r, s: s * default_scale(r) if "scale" in r.call.options else s)),
    Mistake("the given scale divides instead of multiplying", "scale", DEFAULT, scale_is(lambda r, s: 1 / s)),
    Mistake("the scale applied twice", "scale", DEFAULT, scale_is(lambda r, s: s * s)),
    Mistake("the square root of the scale", "scale", DEFAULT, scale_is(lambda r, s: sqrt(s))),
    Mistake("1/sqrt of all heads' dims together", "scale", "Use the dim of one head: 1/sqrt(key_dim).",
            scale_is(lambda r, s: 1 / sqrt(r.shape[1] * r.call.query.shape[-1]))),
    Mistake("1/sqrt(value_dim)", "scale", "Use the dim of a key: 1/sqrt(key_dim).",
            scale_is(lambda r, s: 1 / sqrt(r.call.value.shape[-1]))),
    Mistake("1/sqrt(key_len)", "scale", "Use the dim of a key: 1/sqrt(key_dim).",
            scale_is(lambda r, s: 1 / sqrt(r.shape[3]))),
    Mistake("1/sqrt(query_heads)", "scale", "Use the dim of a key: 1/sqrt(key_dim).",
            scale_is(lambda r, s: 1 / sqrt(r.shape[1]))),
    Mistake("1/key_dim, without the square root", "scale", DEFAULT,
            scale_is(lambda r, s: 1 / r.call.query.shape[-1])),
    Mistake("the soft-cap ignored", "softcap", "Apply softcap * tanh(score / softcap).",
            with_option("softcap", lambda r, cap: {"softcap": None})),
    Mistake("the soft-cap as score * tanh(score / softcap)", "softcap", "Apply softcap * tanh(score / softcap).",
            answered_with("softcap", lambda i, cap: biased(dot_products(i) * np.tanh(dot_products(i) / cap), i))),
    Mistake("the soft-cap as tanh(score / softcap), not multiplied back", "softcap", "Apply softcap * tanh(score / softcap).",
            answered_with("softcap", lambda i, cap: biased(np.tanh(dot_products(i) / cap), i))),
    Mistake("the soft-cap as softcap * tanh(score), not divided", "softcap", "Apply softcap * tanh(score / softcap).",
            answered_with("softcap", lambda i, cap: biased(cap * np.tanh(dot_products(i)), i))),
    Mistake("the scores clipped at +-softcap", "softcap", "Apply softcap * tanh(score / softcap).",
            answered_with("softcap", lambda i, cap: biased(np.clip(dot_products(i), -cap, cap), i))),
    Mistake("the soft-cap applied after the bias", "softcap", ORDER, answered_with("softcap", cap_after_bias)),
    Mistake("the soft-cap applied before the scale", "softcap", ORDER, answered_with("softcap", cap_before_scale)),
    Mistake("the soft-cap applied after the mask: a hidden key scores -softcap", "softcap", ORDER, cap_after_mask),
    Mistake("the bias ignored", "bias", "Add the bias to the scaled scores.",
            with_option("bias", lambda r, bias: {"bias": None})),
    Mistake("the bias multiplied by the scale", "bias", ORDER,
            with_option("bias", lambda r, bias: {"bias": bias * r.inputs.scale})),
    Mistake("the bias multiplied by 1/sqrt(key_dim)", "bias", ORDER,
            with_option("bias", lambda r, bias: {"bias": bias * default_scale(r)})),
    Mistake("the bias subtracted", "bias", "Add the bias.", with_option("bias", lambda r, bias: {"bias": -bias})),
    Mistake("the bias added twice", "bias", "Add the bias once.", with_option("bias", lambda r, bias: {"bias": 2 * bias})),
    Mistake("the bias of head 0 used for every head", "bias", "Give each head its own bias.",
            with_option("bias", lambda r, bias: {"bias": np.broadcast_to(bias[:, :1], bias.shape)})),
    Mistake("the bias of batch item 0 used for every item", "bias", "Give each batch item its own bias.",
            with_option("bias", lambda r, bias: {"bias": np.broadcast_to(bias[:1], bias.shape)})),
    Mistake("the bias of query 0 used for every query", "bias", "Give each query its own row of the bias.",
            with_option("bias", lambda r, bias: {"bias": np.broadcast_to(bias[:, :, :1], bias.shape)})),
    Mistake("the bias of the heads in reverse order", "bias", "Give each head its own bias.",
            with_option("bias", lambda r, bias: {"bias": bias[:, ::-1]})),
    Mistake("the bias transposed: queries and keys swapped", "bias", "bias[..., i, j] is query i and key j.",
            with_option("bias", lambda r, bias: {"bias": bias.swapaxes(2, 3) if r.shape[2] == r.shape[3] else bias})),
    Mistake("the sinks ignored", "sinks", "Add e^sink to the sum that the weights are divided by.",
            with_option("sinks", lambda r, sinks: {"sinks": None})),
    Mistake("the sinks multiplied by the scale", "sinks", ORDER,
            with_option("sinks", lambda r, sinks: {"sinks": sinks * r.inputs.scale})),
    Mistake("the sinks divided by the scale: applied before it", "sinks", ORDER,
            with_option("sinks", lambda r, sinks: {"sinks": sinks / r.inputs.scale})),
    Mistake("the sinks soft-capped", "sinks", ORDER,
            with_option("sinks", lambda r, sinks: {"sinks": soft_capped(sinks, r.inputs.softcap)})),
    Mistake("the sink of head 0 used for every head", "sinks", "Give each query head its own sink.",
            with_option("sinks", lambda r, sinks: {"sinks": np.broadcast_to(sinks[:1], sinks.shape)})),
    Mistake("the sinks of the heads in reverse order", "sinks", "Give each query head its own sink.",
            with_option("sinks", lambda r, sinks: {"sinks": sinks[::-1]})),
    Mistake("the sinks of kv heads used for query heads", "sinks", "There is a sink for each query head.",
            with_option("sinks", lambda r, sinks: {"sinks": np.repeat(sinks[: r.kv_heads], r.group)})),
    Mistake("the sinks in the order of tiled heads", "sinks", "There is a sink for each query head, in their order.",
            with_option("sinks", lambda r, sinks: {"sinks": sinks.reshape(r.group, r.kv_heads).T.ravel()})),
    Mistake("the sinks counted twice", "sinks", "Add e^sink once.",
            with_option("sinks", lambda r, sinks: {"sinks": sinks + np.log(2)})),
    Mistake("the sinks subtracted", "sinks", "Add e^sink.", with_option("sinks", lambda r, sinks: {"sinks": -sinks})),
    Mistake("the sinks added to the sum as they are, not as e^sink", "sinks", "Add e^sink.", when_sinks(sink_as_a_probability)),
    Mistake("e^sink added to a sum that was shifted by the row's largest score", "sinks",
            "Add e^(sink - largest score).", when_sinks(sink_unshifted)),
    Mistake("the logsumexp without the sinks", "logsumexp", "The sink is part of the sum.",
            when_sinks(sink_without_output)),
)  # fmt: skip
