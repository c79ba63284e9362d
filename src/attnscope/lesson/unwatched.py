"""The library's code that runs inside an answer's call, and is not counted as a call to the library.

Two things are here: how an answer is called, at once or one token at a time; and the attention functions that
an answer is given in exercise 9. A call into any other file of the library ends the answer
(lesson/calling.py).
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Answer = Callable[..., Any]
Through = Literal["key and value", "key", "value"]
Pairs = frozenset[tuple[int, int]]


def at_once(answer: Answer, arguments: dict[str, Any]) -> Any:
    """Call once with all arguments, by position."""
    return answer(*arguments.values())


def token_by_token(answer: Answer, arguments: dict[str, Any]) -> Any:
    """Call once per token, passing each step's cache to the next; the sequences take turns.

    query, key, value: (sequences, heads, tokens, dim); result: (sequences, heads, tokens, value_dim).
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
            output, caches[sequence] = output_and_cache(result, step[2].shape)
            outputs[sequence].append(output)
    return np.stack([np.concatenate(rows, axis=1) for rows in outputs])


def within_a_window(answer: Answer, arguments: dict[str, Any]) -> Any:
    """Call once per token with a window; returns the outputs and the cache's bytes after each step."""
    query, key, value, window = (arguments[name] for name in ("query", "key", "value", "window"))
    cache: Any = None
    outputs, sizes = [], []
    for token in range(query.shape[1]):
        now = slice(token, token + 1)
        result = answer(cache, query[:, now], key[:, now], value[:, now], window)
        output, cache = output_and_cache(result, value[:, now].shape)
        outputs.append(output)
        sizes.append(len(pickle.dumps(cache)))
    return np.concatenate(outputs, axis=1), np.array(sizes)


def greedily(answer: Answer, arguments: dict[str, Any]) -> Any:
    """Feed a prompt token by token, then the best tokens; returns tokens, logits and the cache's bytes."""
    model, cache = arguments["model"], None
    words = model["unembedding"].shape[1]
    fed = [int(token) for token in arguments["prompt"]]
    new: list[int] = []
    logits, sizes = [], []
    for step in range(len(fed) + arguments["new_tokens"] - 1):
        token = fed[step] if step < len(fed) else new[-1]
        row, cache = output_and_cache(answer(model, cache, token), (words,), "logits")
        logits.append(row)
        sizes.append(len(pickle.dumps(cache)))
        if step >= len(fed) - 1:
            new.append(int(np.argmax(row)))
    return np.array(new, dtype=float), np.array(logits), np.array(sizes, dtype=float)


class StepResultError(ValueError):
    """A step returned something other than an output and a cache."""


def output_and_cache(result: Any, shape: tuple[int, ...], name: str = "output") -> tuple[Any, Any]:
    """The two results of a step. The first, called `name` in messages, has the shape of one token."""
    if result is None or result is ...:
        raise NotImplementedError
    if not isinstance(result, tuple | list) or len(result) != 2:
        what = f"{len(result)} things" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
        raise StepResultError(f"a step returns {what}, expected two: ({name}, cache)")
    output, cache = result
    if output is None or output is ...:
        raise NotImplementedError
    if cache is None:
        raise StepResultError("a step returns None for the cache: the next one would begin from nothing")
    try:
        rows = np.asarray(output, dtype=np.float64)
    except (TypeError, ValueError) as error:
        swapped = f"; are {name} and cache swapped" if np.shape(cache) == shape else ""
        raise StepResultError(
            f"the {name} of a step is a {type(output).__name__}, expected an array of shape {shape}{swapped}"
        ) from error
    if rows.shape != shape:
        raise StepResultError(f"the {name} of a step has shape {rows.shape}, expected {shape}")
    return rows, cache


class Suspect:
    """An attention function that claims to be causal: attention_fn(query, key, value) on [tokens, dim].

    A key that a query does not see is not read, so planting a NaN or inf there is a fair test.
    """

    __slots__ = ("__plan",)

    def __init__(self, plan: "Plan") -> None:
        self.__plan = plan

    def __call__(self, query: Any, key: Any, value: Any) -> NDArray[np.float64]:
        query, key, value = (np.asarray(array, dtype=np.float64) for array in (query, key, value))
        return np.stack([self.__plan.row(i, query, key, value) for i in range(len(query))])

    def __repr__(self) -> str:
        return f"<{self.__plan.name}>"


@dataclass(frozen=True)
class Plan:
    """What a suspect does besides causal attention.

    Parameters
    ----------
    name : str
        What the suspect is called.
    leaks : frozenset of (query, key)
        Later keys that a query reads.
    blind : frozenset of (query, key)
        Keys that a query may see, and does not read.
    through : {"key and value", "key", "value"}
        Whether a leaked key takes part in the softmax, its value in the mix, or both.
    noisy : bool
        Whether the last bits of an output depend on later keys, as in another order of sums.
    """

    name: str
    leaks: Pairs = frozenset()
    blind: Pairs = frozenset()
    through: Through = "key and value"
    noisy: bool = False

    def row(
        self, i: int, query: NDArray[np.float64], key: NDArray[np.float64], value: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The output of one query."""
        leaked = sorted(j for q, j in self.leaks if q == i and j < len(key))
        own = [j for j in range(i + 1) if (i, j) not in self.blind]
        if not own:
            return np.zeros(value.shape[-1])
        scored = own + (leaked if self.through != "value" else [])
        scores = key[scored] @ query[i] / np.sqrt(query.shape[-1])
        parts = np.exp(scores - scores.max())
        weights = parts / parts.sum()
        mixed = len(own) if self.through == "key" else len(scored)
        output: NDArray[np.float64] = weights[:mixed] @ value[scored[:mixed]]
        if (
            self.noisy
        ):  # multiply and divide by a factor that depends on later keys: only the last bits follow it
            later = np.nan_to_num(997.3 * key[i + 1 :].sum(), nan=0.0, posinf=0.0, neginf=0.0)
            factor = 3.0 + int(abs(later)) % 7
            output = (factor * output) / factor
        return output + 0.5 * value[leaked].sum(axis=0) if self.through == "value" else output


def suspects(tokens: int) -> dict[str, Plan]:
    """All suspects by name, for this number of tokens."""
    pairs = [(i, j) for i in range(tokens) for j in range(i + 1, tokens)]
    seen = [(i, j) for i in range(tokens) for j in range(i + 1)]
    next_key = frozenset((i, i + 1) for i in range(tokens - 1))
    last = tokens - 1
    of_first = frozenset({(0, last)} if last else ())
    before_last = frozenset({(last - 1, last)} if last else ())
    in_blocks = frozenset(pair for pair in pairs if pair[0] // 2 == pair[1] // 2)
    after_next = frozenset(pair for pair in pairs if pair[1] == pair[0] + 2)
    plans = [
        Plan("causal attention"),
        Plan("causal attention whose last bits vary", noisy=True),
        Plan("attention that sees the next key", next_key),
        Plan("attention that sees everything", frozenset(pairs)),
        Plan("attention whose softmax counts the next key", next_key, through="key"),
        Plan("attention that mixes in the next value", next_key, through="value"),
        Plan("attention whose first query sees the last key", of_first),
        Plan("attention in which the query before the last sees the last key", before_last),
        Plan("attention in blocks of two", in_blocks),
        Plan("attention that sees the key after the next", after_next),
        Plan("attention with a window of two", blind=frozenset(p for p in seen if p[0] - p[1] > 1)),
        Plan(
            "attention that does not see its own token", blind=frozenset(p for p in seen if p[0] == p[1] > 0)
        ),
        Plan(
            "attention whose last query does not see the first key",
            blind=frozenset({(last, 0)} if last else ()),
        ),
        Plan("attention that returns zeros", blind=frozenset(seen)),
    ]
    return {plan.name: plan for plan in plans}
