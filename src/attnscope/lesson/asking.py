"""How an answer is put to a question: in one call, or a token at a time.

What stands here runs inside the watch for calls to the library, and is not counted as one.
"""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

Answer = Callable[..., Any]


def at_once(answer: Answer, arguments: dict[str, Any]) -> Any:
    """One call with all arguments, by position."""
    return answer(*arguments.values())


def token_by_token(answer: Answer, arguments: dict[str, Any]) -> Any:
    """A step a token, the cache handed on from step to step; all sequences in turn, one token each.

    Shapes
        query, key, value    (sequences, heads, tokens, dim)
        output               (sequences, heads, tokens, value_dim)
    """
    query, key, value = arguments["query"], arguments["key"], arguments["value"]
    sequences, _, tokens, _ = query.shape
    caches: list[Any] = [None] * sequences
    outputs: list[list[Any]] = [[] for _ in range(sequences)]
    for token in range(tokens):
        now = slice(token, token + 1)
        for sequence in range(sequences):
            step = (query[sequence, :, now], key[sequence, :, now], value[sequence, :, now])
            result = answer(caches[sequence], *step)
            output, caches[sequence] = result_and_cache(result, step[2].shape)
            outputs[sequence].append(output)
    return np.stack([np.concatenate(rows, axis=1) for rows in outputs])


def within_a_window(answer: Answer, arguments: dict[str, Any]) -> Any:
    """A step a token with a window, and how large the cache is after each: (output, cache_bytes)."""
    query, key, value, window = (arguments[name] for name in ("query", "key", "value", "window"))
    cache: Any = None
    outputs, sizes = [], []
    for token in range(query.shape[1]):
        now = slice(token, token + 1)
        result = answer(cache, query[:, now], key[:, now], value[:, now], window)
        output, cache = result_and_cache(result, value[:, now].shape)
        outputs.append(output)
        sizes.append(len(pickle.dumps(cache)))
    return np.concatenate(outputs, axis=1), np.array(sizes)


class StepResultError(ValueError):
    """A step that gave something else than an output and a cache."""


def result_and_cache(result: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The two results of a step, the output of the shape that one token's has."""
    if result is None or result is ...:
        raise NotImplementedError
    if not isinstance(result, tuple | list) or len(result) != 2:
        what = f"{len(result)} things" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
        raise StepResultError(f"a step returns {what}, expected two: (output, cache)")
    output, cache = result
    if output is None or output is ...:
        raise NotImplementedError
    if cache is None:
        raise StepResultError("a step returns None for the cache: the next one would begin from nothing")
    try:
        rows = np.asarray(output, dtype=np.float64)
    except (TypeError, ValueError) as error:
        swapped = "; are output and cache swapped" if np.shape(cache) == shape else ""
        raise StepResultError(
            f"the output of a step is a {type(output).__name__}, expected an array of shape {shape}{swapped}"
        ) from error
    if rows.shape != shape:
        raise StepResultError(f"the output of a step has shape {rows.shape}, expected {shape}")
    return rows, cache
