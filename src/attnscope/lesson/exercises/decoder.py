"""Project C: a decoder with rotary positions, grouped heads and a cache."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array
from attnscope.lesson.question import Arguments, Arrays, Draw, Exercise, Task
from attnscope.lesson.unwatched import greedily
from attnscope.positions import apply_rotary
from attnscope.problem import Causal
from attnscope.reference import attention

Model = dict[str, Any]
MARGIN = 0.05  # by which the best logit beats the next one at every step: no rounding can change a token
CLOSE = 2.0**-12  # relative to the largest logit: half of float32's digits


def drawn_model(rng: np.random.Generator, size: Any) -> Model:
    """A decoder of random weights."""
    width, hidden = size.heads * size.dim, 2 * size.heads * size.dim
    model: Model = {
        "heads": size.heads, "kv_heads": size.kv_heads, "layers": size.layers,
        "embedding": rng.standard_normal((size.words, width)),
        "unembedding": rng.standard_normal((width, size.words)) / width**0.5,
    }  # fmt: skip
    for depth in range(size.layers):
        for name, columns in (
            ("w_q", width),
            ("w_k", size.kv_heads * size.dim),
            ("w_v", size.kv_heads * size.dim),
        ):
            model[f"{name}{depth}"] = 1.5 * rng.standard_normal((width, columns)) / width**0.5
        model[f"w_o{depth}"] = rng.standard_normal((width, width)) / width**0.5
        model[f"w_up{depth}"] = rng.standard_normal((width, hidden)) / width**0.5
        model[f"w_down{depth}"] = rng.standard_normal((hidden, width)) / hidden**0.5
    return model


def question(rng: np.random.Generator, size: Any) -> Arguments:
    """A model and a prompt whose greedy continuation does not hang on rounding."""
    while True:
        model = drawn_model(rng, size)
        prompt = rng.integers(0, size.words, size.prompt)
        _, logits = continued(model, prompt, size.new)
        best = np.sort(logits[size.prompt - 1 :], axis=-1)
        if (best[:, -1] - best[:, -2]).min() > MARGIN:
            return {"model": model, "prompt": prompt, "new_tokens": int(size.new)}


def all_logits(
    model: Model, tokens: Array, *, turned: bool = True, tiled: bool = False, masked: bool = True
) -> Array:
    """The logits of every row, without a cache: (tokens, words)."""
    residual, positions = model["embedding"][tokens], np.arange(len(tokens))
    heads, kv_heads = model["heads"], model["kv_heads"]
    for depth in range(model["layers"]):
        query, key, value = (
            (residual @ model[f"{name}{depth}"]).reshape(len(tokens), count, -1).swapaxes(0, 1)
            for name, count in (("w_q", heads), ("w_k", kv_heads), ("w_v", kv_heads))
        )
        if turned:
            query, key = apply_rotary(query, positions), apply_rotary(key, positions)
        if tiled:
            key, value = (np.tile(each, (heads // kv_heads, 1, 1)) for each in (key, value))
        mixed = attention(query, key, value, mask=Causal() if masked else None)
        residual = residual + mixed.swapaxes(0, 1).reshape(len(tokens), -1) @ model[f"w_o{depth}"]
        residual = residual + np.maximum(residual @ model[f"w_up{depth}"], 0) @ model[f"w_down{depth}"]
    return np.asarray(residual @ model["unembedding"])


def continued(model: Model, prompt: Array, new_tokens: int, **options: bool) -> tuple[Array, Array]:
    """The tokens of a greedy continuation, and the logits of all rows."""
    tokens = prompt
    for _ in range(new_tokens):
        tokens = np.append(tokens, all_logits(model, tokens, **options)[-1].argmax())
    return tokens[len(prompt) :], all_logits(model, tokens[:-1], **options)


MISTAKES = (
    (
        {"turned": False},
        "the rotary positions are missing: queries and keys are turned before the dot product.",
    ),
    ({"tiled": True}, "query heads read the wrong kv heads: neighbours share, 0 0 1 1 and not 0 1 0 1."),
    ({"masked": False}, "a token sees later ones: earlier rows must not change when tokens are added."),
)


def judged(arguments: Arguments, came: Arrays) -> str | None:
    """What is wrong with the tokens, the logits or the cache."""
    model, prompt, new_tokens = arguments.values()
    tokens, logits, cache_bytes = came
    right_tokens, right_logits = continued(model, prompt, new_tokens)
    near = CLOSE * np.abs(right_logits).max()
    wrong = np.flatnonzero(np.abs(logits - right_logits).max(axis=-1) > near)
    if len(wrong):
        return f"the logits of token {wrong[0]} are wrong{cause(model, prompt, logits, near)}"
    if not np.array_equal(tokens, right_tokens):
        return f"the generated tokens are {tokens.astype(int).tolist()}, expected {right_tokens.tolist()}."
    return judged_cache(model, cache_bytes)


def cause(model: Model, prompt: Array, logits: Array, near: float) -> str:
    """The rest of the sentence: a known mistake that gives the prompt's logits, or a hint where to look."""
    rows = len(prompt)
    for options, message in MISTAKES:
        if np.abs(all_logits(model, prompt, **options)[:rows] - logits[:rows]).max() <= near:
            return f": {message}"
    first = np.abs(all_logits(model, prompt[:1]) - logits[:1]).max() <= near
    return ", although the first token's are right: look at the cache and at positions." if first else "."


def judged_cache(model: Model, cache_bytes: Array) -> str | None:
    """Whether the cache holds the keys and values of kv heads, and nothing per query head."""
    width = model["embedding"].shape[1]
    numbers = 2 * model["layers"] * model["kv_heads"] * (width // model["heads"])
    growth = float(np.diff(cache_bytes)[1:].mean())
    if growth < 4 * numbers:
        return (
            f"the cache grows by {growth:.0f} bytes per token, and keys and values of {numbers} numbers need "
            f"{4 * numbers} in float32: does it hold the tokens, and compute all keys again?"
        )
    if growth > 1.5 * 8 * numbers:
        return (
            f"the cache grows by {growth:.0f} bytes per token; keys and values of the kv heads alone are "
            f"{8 * numbers} in float64. Repeat heads when they are read, not when they are stored."
        )
    return None


SIZES = {"words": 11, "heads": 4, "kv_heads": 2, "dim": 4, "layers": 2, "prompt": 6, "new": 6}
# Two words, since the best logit is compared with the next one; two new tokens, since the cache has to grow
LEAST = {"words": 2, "heads": 4, "kv_heads": 4, "dim": 4, "prompt": 2, "new": 2}
DECODER = Task(
    name="decoder_step",
    parameters=("model", "prompt", "new_tokens"),
    results=("tokens", "logits", "cache_bytes"),
    writes="decoder_step(model, cache, token), token by token",
    ask=greedily,
    draws=(
        Draw("grouped heads", question, SIZES, LEAST),
        Draw("one kv head", question, {**SIZES, "kv_heads": 1}, LEAST),
        Draw("as many kv heads", question, {**SIZES, "kv_heads": 4, "layers": 3}, LEAST),
    ),
    judged=judged,
)

EXERCISE = Exercise("C", "a decoder", (DECODER,), difficulty=3, minutes=120, after=(5, 6, 7))
