"""Known mistakes about scores: scale, soft-cap, bias and sinks, and their order."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from attnscope.audit.interpretation import Floats, Interpretation, by_definition
from attnscope.probing import KnownMistake
from attnscope.reference import Inputs, biased, dot_products, masked, mix, soft_capped, softmax

ORDER = "The order is scale, soft-cap, bias, mask; sinks are neither scaled nor capped."
DEFAULT = "Multiply the dot products by the scale, 1/sqrt(key_dim) unless given, once."


def scale_is(
    wrong: Callable[[Interpretation, float], float],
) -> Callable[[Interpretation], Interpretation | None]:
    return lambda asked: asked.but(scale=wrong(asked, asked.inputs.scale))


def default_scale(asked: Interpretation) -> float:
    return 1 / sqrt(asked.call.query.shape[-1])


def with_option(
    option: str, wrong: Callable[[Interpretation, Any], dict[str, Any]]
) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that changes the inputs if an option is given."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        given = getattr(asked.inputs, option)
        return None if given is None else asked.but(**wrong(asked, given))

    return mistaken


def scored(score: Callable[[Inputs], Floats]) -> Callable[[Inputs], tuple[Floats, Floats]]:
    """Return a computation with other scores, masked as usual."""

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        weights, logsumexp = softmax(masked(score(inputs), inputs.visible), inputs.visible, inputs.sinks)
        return mix(weights, inputs.visible, inputs.value), logsumexp

    return answer


def answered_with(
    option: str, score: Callable[[Inputs, Any], Floats]
) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that computes other scores if an option is given."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        given = getattr(asked.inputs, option)
        return None if given is None else asked.answered(scored(lambda inputs: score(inputs, given)))

    return mistaken


def cap_after_bias(inputs: Inputs, softcap: float) -> Floats:
    return soft_capped(biased(dot_products(inputs), inputs), softcap)


def cap_before_scale(inputs: Inputs, softcap: float) -> Floats:
    raw = dot_products(inputs) / inputs.scale
    return biased(inputs.scale * soft_capped(raw, softcap), inputs)


def cap_after_mask(asked: Interpretation) -> Interpretation | None:
    """Hidden keys score -softcap instead of -inf."""
    if asked.inputs.softcap is None:
        return None

    def answer(inputs: Inputs) -> tuple[Floats, Floats]:
        capped = cap_after_bias(inputs, inputs.softcap or 1.0)
        scores = np.where(inputs.visible, capped, -(inputs.softcap or 1.0))
        everywhere = np.ones_like(inputs.visible)
        weights, logsumexp = softmax(scores, everywhere, inputs.sinks)
        return mix(weights, everywhere, inputs.value), logsumexp

    return asked.answered(answer)


def sink_without_output(inputs: Inputs) -> tuple[Floats, Floats]:
    """The sink is part of the output's denominator, but not of the logsumexp that is returned."""
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


def when_sinks(
    answer: Callable[[Inputs], tuple[Floats, Floats]],
) -> Callable[[Interpretation], Interpretation | None]:
    return lambda asked: None if asked.inputs.sinks is None else asked.answered(answer)


SCORING = (
    KnownMistake("the scale missing: dot products as they are", scale_is(lambda r, s: 1.0), "scale", DEFAULT),
    KnownMistake("the given scale ignored", scale_is(lambda r, s: default_scale(r)), "scale", DEFAULT),
    KnownMistake(
        "the given scale multiplied onto 1/sqrt(key_dim)",
        scale_is(lambda r, s: s * default_scale(r) if "scale" in r.call.options else s),
        "scale",
        DEFAULT,
    ),
    KnownMistake(
        "the given scale divides instead of multiplying", scale_is(lambda r, s: 1 / s), "scale", DEFAULT
    ),
    KnownMistake("the scale applied twice", scale_is(lambda r, s: s * s), "scale", DEFAULT),
    KnownMistake("the square root of the scale", scale_is(lambda r, s: sqrt(s)), "scale", DEFAULT),
    KnownMistake(
        "1/sqrt of all heads' dims together",
        scale_is(lambda r, s: 1 / sqrt(r.shape[1] * r.call.query.shape[-1])),
        "scale",
        "Use the dim of one head: 1/sqrt(key_dim).",
    ),
    KnownMistake(
        "1/sqrt(value_dim)",
        scale_is(lambda r, s: 1 / sqrt(r.call.value.shape[-1])),
        "scale",
        "Use the dim of a key: 1/sqrt(key_dim).",
    ),
    KnownMistake(
        "1/sqrt(key_len)",
        scale_is(lambda r, s: 1 / sqrt(r.shape[3])),
        "scale",
        "Use the dim of a key: 1/sqrt(key_dim).",
    ),
    KnownMistake(
        "1/sqrt(query_heads)",
        scale_is(lambda r, s: 1 / sqrt(r.shape[1])),
        "scale",
        "Use the dim of a key: 1/sqrt(key_dim).",
    ),
    KnownMistake(
        "1/key_dim, without the square root",
        scale_is(lambda r, s: 1 / r.call.query.shape[-1]),
        "scale",
        DEFAULT,
    ),
    KnownMistake(
        "the soft-cap ignored",
        with_option("softcap", lambda r, cap: {"softcap": None}),
        "softcap",
        "Apply softcap * tanh(score / softcap).",
    ),
    KnownMistake(
        "the soft-cap as score * tanh(score / softcap)",
        answered_with("softcap", lambda i, cap: biased(dot_products(i) * np.tanh(dot_products(i) / cap), i)),
        "softcap",
        "Apply softcap * tanh(score / softcap).",
    ),
    KnownMistake(
        "the soft-cap as tanh(score / softcap), not multiplied back",
        answered_with("softcap", lambda i, cap: biased(np.tanh(dot_products(i) / cap), i)),
        "softcap",
        "Apply softcap * tanh(score / softcap).",
    ),
    KnownMistake(
        "the soft-cap as softcap * tanh(score), not divided",
        answered_with("softcap", lambda i, cap: biased(cap * np.tanh(dot_products(i)), i)),
        "softcap",
        "Apply softcap * tanh(score / softcap).",
    ),
    KnownMistake(
        "the scores clipped at +-softcap",
        answered_with("softcap", lambda i, cap: biased(np.clip(dot_products(i), -cap, cap), i)),
        "softcap",
        "Apply softcap * tanh(score / softcap).",
    ),
    KnownMistake(
        "the soft-cap applied after the bias", answered_with("softcap", cap_after_bias), "softcap", ORDER
    ),
    KnownMistake(
        "the soft-cap applied before the scale", answered_with("softcap", cap_before_scale), "softcap", ORDER
    ),
    KnownMistake(
        "the soft-cap applied after the mask: a hidden key scores -softcap", cap_after_mask, "softcap", ORDER
    ),
    KnownMistake(
        "the bias ignored",
        with_option("bias", lambda r, bias: {"bias": None}),
        "bias",
        "Add the bias to the scaled scores.",
    ),
    KnownMistake(
        "the bias multiplied by the scale",
        with_option("bias", lambda r, bias: {"bias": bias * r.inputs.scale}),
        "bias",
        ORDER,
    ),
    KnownMistake(
        "the bias multiplied by 1/sqrt(key_dim)",
        with_option("bias", lambda r, bias: {"bias": bias * default_scale(r)}),
        "bias",
        ORDER,
    ),
    KnownMistake(
        "the bias subtracted", with_option("bias", lambda r, bias: {"bias": -bias}), "bias", "Add the bias."
    ),
    KnownMistake(
        "the bias added twice",
        with_option("bias", lambda r, bias: {"bias": 2 * bias}),
        "bias",
        "Add the bias once.",
    ),
    KnownMistake(
        "the bias of head 0 used for every head",
        with_option("bias", lambda r, bias: {"bias": np.broadcast_to(bias[:, :1], bias.shape)}),
        "bias",
        "Give each head its own bias.",
    ),
    KnownMistake(
        "the bias of batch item 0 used for every item",
        with_option("bias", lambda r, bias: {"bias": np.broadcast_to(bias[:1], bias.shape)}),
        "bias",
        "Give each batch item its own bias.",
    ),
    KnownMistake(
        "the bias of query 0 used for every query",
        with_option("bias", lambda r, bias: {"bias": np.broadcast_to(bias[:, :, :1], bias.shape)}),
        "bias",
        "Give each query its own row of the bias.",
    ),
    KnownMistake(
        "the bias of the heads in reverse order",
        with_option("bias", lambda r, bias: {"bias": bias[:, ::-1]}),
        "bias",
        "Give each head its own bias.",
    ),
    KnownMistake(
        "the bias transposed: queries and keys swapped",
        with_option(
            "bias", lambda r, bias: {"bias": bias.swapaxes(2, 3) if r.shape[2] == r.shape[3] else bias}
        ),
        "bias",
        "bias[..., i, j] is query i and key j.",
    ),
    KnownMistake(
        "the sinks ignored",
        with_option("sinks", lambda r, sinks: {"sinks": None}),
        "sinks",
        "Add e^sink to the sum that the weights are divided by.",
    ),
    KnownMistake(
        "the sinks multiplied by the scale",
        with_option("sinks", lambda r, sinks: {"sinks": sinks * r.inputs.scale}),
        "sinks",
        ORDER,
    ),
    KnownMistake(
        "the sinks divided by the scale: applied before it",
        with_option("sinks", lambda r, sinks: {"sinks": sinks / r.inputs.scale}),
        "sinks",
        ORDER,
    ),
    KnownMistake(
        "the sinks soft-capped",
        with_option("sinks", lambda r, sinks: {"sinks": soft_capped(sinks, r.inputs.softcap)}),
        "sinks",
        ORDER,
    ),
    KnownMistake(
        "the sink of head 0 used for every head",
        with_option("sinks", lambda r, sinks: {"sinks": np.broadcast_to(sinks[:1], sinks.shape)}),
        "sinks",
        "Give each query head its own sink.",
    ),
    KnownMistake(
        "the sinks of the heads in reverse order",
        with_option("sinks", lambda r, sinks: {"sinks": sinks[::-1]}),
        "sinks",
        "Give each query head its own sink.",
    ),
    KnownMistake(
        "the sinks of kv heads used for query heads",
        with_option("sinks", lambda r, sinks: {"sinks": np.repeat(sinks[: r.kv_heads], r.group)}),
        "sinks",
        "There is a sink for each query head.",
    ),
    KnownMistake(
        "the sinks in the order of tiled heads",
        with_option("sinks", lambda r, sinks: {"sinks": sinks.reshape(r.group, r.kv_heads).T.ravel()}),
        "sinks",
        "There is a sink for each query head, in their order.",
    ),
    KnownMistake(
        "the sinks counted twice",
        with_option("sinks", lambda r, sinks: {"sinks": sinks + np.log(2)}),
        "sinks",
        "Add e^sink once.",
    ),
    KnownMistake(
        "the sinks subtracted",
        with_option("sinks", lambda r, sinks: {"sinks": -sinks}),
        "sinks",
        "Add e^sink.",
    ),
    KnownMistake(
        "the sinks added to the sum as they are, not as e^sink",
        when_sinks(sink_as_a_probability),
        "sinks",
        "Add e^sink.",
    ),
    KnownMistake(
        "e^sink added to a sum that was shifted by the row's largest score",
        when_sinks(sink_unshifted),
        "sinks",
        "Add e^(sink - largest score).",
    ),
    KnownMistake(
        "the logsumexp without the sinks",
        when_sinks(sink_without_output),
        "logsumexp",
        "The sink is part of the sum.",
    ),
)
