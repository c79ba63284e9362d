"""Exercise 7: decode with a cache; a step's output is a row of the prefill's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, attend, causal, softmax, softmax_of_one_shift
from attnscope.lesson.comparing import exact, wrong_entries
from attnscope.lesson.exercises.serving import BYTES, SECONDS, SEQUENCES, WINDOWED_BYTES
from attnscope.lesson.question import Arguments, Arrays, Draw, Exercise, Expected, Misconception, Task
from attnscope.lesson.unwatched import token_by_token, within_a_window
from attnscope.problem import Window

TWO_TOKENS = {"tokens": 2}
Step = Callable[..., tuple[Any, Any]]


def sizes(
    sequences: int, heads: int, tokens: int, key_dim: int, value_dim: int, **more: int
) -> dict[str, int]:
    """The sizes of a question."""
    named = {"sequences": sequences, "heads": heads, "tokens": tokens, "key_dim": key_dim}
    return {**named, "value_dim": value_dim, **more}


def texts(rng: np.random.Generator, size: Any, dtype: type = np.float64) -> Arguments:
    leading = (size.sequences, size.heads, size.tokens)
    shapes = {"query": size.key_dim, "key": size.key_dim, "value": size.value_dim}
    return {name: rng.standard_normal((*leading, dim)).astype(dtype) for name, dim in shapes.items()}


def in_float32(rng: np.random.Generator, size: Any) -> Arguments:
    return texts(rng, size, np.float32)


def loud(rng: np.random.Generator, size: Any) -> Arguments:
    made = texts(rng, size)
    made["query"] *= 60
    made["key"] *= 60
    return made


def right_rows(query: Array, key: Array, value: Array) -> tuple[Expected, ...]:
    """A causal prefill of the reference."""
    return (exact(query, key, value, causal(query.shape[2], query.shape[2])).output,)


def stepping(make: Callable[[], Step]) -> Callable[..., Any]:
    """A wrong step, called as the learner's is."""
    return lambda query, key, value: token_by_token(make(), {"query": query, "key": key, "value": value})


def step_with(
    kept: Callable[[Any, Any], Any] = lambda old, new: np.concatenate([old, new], axis=1),
    *,
    kept_values: Callable[[Any, Any], Any] | None = None,
    attend_to: Callable[..., Any] = lambda query, keys, values: attend(query, keys, values)[0],
    cached: Callable[[Any, Any, Any], tuple[Any, Any]] = lambda query, key, value: (key, value),
) -> Callable[[], Step]:
    """A step with another way of keeping, caching or attending."""

    def step(cache: Any, query: Array, key: Array, value: Array) -> tuple[Any, Any]:
        key, value = cached(query, key, value)
        if cache is not None:
            key, value = kept(cache[0], key), (kept_values or kept)(cache[1], value)
        return attend_to(query, key, value), (key, value)

    return lambda: step


def before_it_is_kept() -> Step:
    def step(cache: Any, query: Array, key: Array, value: Array) -> tuple[Any, Any]:
        if cache is None:
            return value, (key, value)
        output = attend(query, *cache)[0]
        return output, tuple(
            np.concatenate([old, new], axis=1) for old, new in zip(cache, (key, value), strict=True)
        )

    return step


def never_updated() -> Step:
    def step(cache: Any, query: Array, key: Array, value: Array) -> tuple[Any, Any]:
        if cache is None:
            return attend(query, key, value)[0], (key, value)
        keys, values = (
            np.concatenate([old, new], axis=1) for old, new in zip(cache, (key, value), strict=True)
        )
        return attend(query, keys, values)[0], cache

    return step


def scaled_each_time() -> Step:
    def step(cache: Any, query: Array, key: Array, value: Array) -> tuple[Any, Any]:
        keys = key if cache is None else np.concatenate([cache[0], key], axis=1)
        values = value if cache is None else np.concatenate([cache[1], value], axis=1)
        keys = keys / np.sqrt(key.shape[-1])
        return attend(query, keys, values, scale=1.0)[0], (keys, values)

    return step


def shared_among_sequences() -> Step:
    held: list[Any] = [None]

    def step(cache: Any, query: Array, key: Array, value: Array) -> tuple[Any, Any]:
        output, held[0] = step_with()()(None if cache is None else held[0], query, key, value)
        return output, "kept elsewhere"

    return step


def scaled(by: Callable[[int, int, int], float]) -> Callable[[], Step]:
    return step_with(attend_to=lambda q, k, v: attend(q, k, v, scale=by(q.shape[-1], k.shape[1], len(q)))[0])


def last_two(old: Array, new: Array) -> Array:
    return np.concatenate([old[:, -1:], new], axis=1)


def twice(old: Array, new: Array) -> Array:
    return np.concatenate([old, new, new], axis=1)


def of_head_0(query: Array, keys: Array, values: Array) -> Array:
    return attend(query, np.broadcast_to(keys[:1], keys.shape), np.broadcast_to(values[:1], values.shape))[0]


def all_heads_together(query: Array, keys: Array, values: Array) -> Array:
    heads, tokens, _ = keys.shape
    flat = attend(query, keys.reshape(1, heads * tokens, -1), values.reshape(1, heads * tokens, -1))
    return flat[0]


DECODE = Task(
    name="decode_step",
    parameters=("query", "key", "value"),
    results=("output",),
    writes="decode_step(cache, query, key, value), token by token",
    ask=token_by_token,
    draws=(
        Draw("one token", texts, sizes(1, 2, 1, 2, 3)),
        Draw("several tokens", texts, sizes(1, 2, 4, 3, 2), TWO_TOKENS, seeds=2),
        Draw("two sequences in turn", texts, sizes(2, 2, 4, 3, 2), TWO_TOKENS),
        Draw("as many heads as tokens", texts, sizes(1, 3, 3, 3, 3), TWO_TOKENS),
        Draw("large scores", loud, sizes(1, 3, 5, 4, 2), TWO_TOKENS),
        Draw("float32, a longer text", in_float32, sizes(2, 2, 12, 4, 4), TWO_TOKENS),
    ),
    expected=right_rows,
    misconceptions=(
        Misconception(
            "each step sees its own token alone: what was cached is not attended to, or the newest replaced "
            "it.",
            stepping(step_with(attend_to=lambda q, k, v: attend(q, k[:, -1:], v[:, -1:])[0])),
        ),
        Misconception(
            "the new token does not see itself: append its key and value to the cache before the step "
            "attends.",
            stepping(before_it_is_kept),
        ),
        Misconception(
            "the cache that is returned is the old one: the new key and value get lost, and the next step "
            "does not see them.",
            stepping(never_updated),
        ),
        Misconception(
            "the cached keys are scaled again at each step: scale the scores, and keep the keys as they "
            "came.",
            stepping(scaled_each_time),
        ),
        Misconception(
            "two sequences share a cache: it is kept outside, in a global or a default argument. All that a "
            "step knows of the past is the cache that it gets.",
            stepping(shared_among_sequences),
        ),
        Misconception(
            "the scores are not scaled by the square root of key_dim.", stepping(scaled(lambda d, n, h: 1.0))
        ),
        Misconception(
            "the scores are divided by key_dim and not by its square root.",
            stepping(scaled(lambda d, n, h: 1 / d)),
        ),
        Misconception(
            "the scores are scaled by the number of tokens; it should be key_dim, the length of a query.",
            stepping(scaled(lambda d, n, h: n**-0.5)),
        ),
        Misconception("only the last two tokens are kept.", stepping(step_with(last_two))),
        Misconception(
            "a new token is appended twice, and gets twice its weight.", stepping(step_with(twice))
        ),
        Misconception(
            "the values are cached in another order than the keys: a key mixes the value of another token.",
            stepping(step_with(kept_values=lambda old, new: np.concatenate([new, old], axis=1))),
        ),
        Misconception(
            "the query is cached instead of the key.", stepping(step_with(cached=lambda q, k, v: (q, v)))
        ),
        Misconception("all heads read the cache of head 0.", stepping(step_with(attend_to=of_head_0))),
        Misconception(
            "all heads read the keys of all heads; each has its own.",
            stepping(step_with(attend_to=all_heads_together)),
        ),
        Misconception(
            "the softmax runs over the heads; each head has its own, over the keys.",
            stepping(
                step_with(attend_to=lambda q, k, v: attend(q, k, v, normalize=lambda s: softmax(s, 0))[0])
            ),
        ),
        Misconception(
            "the softmax is missing: the scores themselves weight the values.",
            stepping(step_with(attend_to=lambda q, k, v: attend(q, k, v, normalize=lambda s: s)[0])),
        ),
        Misconception(
            "the largest score of all heads is subtracted: if a head lies far below it, all its "
            "exponentials vanish. Each head has its own largest.",
            stepping(step_with(attend_to=lambda q, k, v: attend(q, k, v, normalize=softmax_of_one_shift)[0])),
        ),
        Misconception(
            "the exponentials overflow if scores are large: subtract the largest score of each row first.",
            stepping(step_with(attend_to=lambda q, k, v: attend(q, k, v, normalize=unshifted)[0])),
        ),
    ),
)


def unshifted(scores: Array) -> Array:
    parts = np.exp(scores)
    return np.asarray(parts / parts.sum(-1, keepdims=True))


def long_text(rng: np.random.Generator, size: Any) -> Arguments:
    made = texts(rng, size)
    return {**{name: array[0] for name, array in made.items()}, "window": size.window}


def judged_window(arguments: Arguments, came: Arrays) -> str | None:
    """What differs from the rows of a windowed prefill, or whether the cache keeps growing."""
    output, cache_bytes = came
    query, key, value, window = arguments.values()
    tokens = query.shape[1]
    visible = Window(left=window - 1, right=0).visible(tokens, tokens)
    wrong = wrong_entries(output, exact(query, key, value, visible).output)
    if wrong.any():
        token = int(np.argwhere(wrong.any(axis=(0, 2)))[0, 0])
        full = exact(query, key, value, causal(tokens, tokens)).output.value
        before = "none before it" if window == 1 else f"the {window - 1} before it"
        why = " All earlier tokens are visible to it." if np.allclose(output, full) else ""
        return f"token {token} is wrong, with a window of {window}: it sees itself and {before}.{why}"
    if cache_bytes[-1] > 1.25 * cache_bytes[2 * window]:
        return (
            f"the cache keeps growing: {cache_bytes[2 * window]:.0f} bytes after {2 * window + 1} tokens, "
            f"{cache_bytes[-1]:.0f} after {tokens}. Drop what no later token sees."
        )
    return None


WINDOWED = Task(
    name="decode_in_window",
    parameters=("query", "key", "value", "window"),
    results=("output", "cache_bytes"),
    writes="decode_in_window(cache, query, key, value, window), token by token",
    ask=within_a_window,
    draws=(
        Draw("a window of 1", long_text, sizes(1, 2, 12, 2, 2, window=1)),
        Draw("a window of 4", long_text, sizes(1, 2, 60, 4, 3, window=4)),
    ),
    judged=judged_window,
)

EXERCISE = Exercise(
    7,
    "the cache",
    (DECODE, BYTES, SEQUENCES, SECONDS),
    (WINDOWED, WINDOWED_BYTES),
    difficulty=2,
    minutes=40,
    after=(3,),
)
