"""Exercise 9: find the leak. Which tokens move which outputs of a function that claims to be causal."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attnscope.lesson.attending import Array
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Misconception, Symptom, Task
from attnscope.lesson.unwatched import Suspect, suspects


def suspected(name: str) -> Callable[[np.random.Generator, Any], Arguments]:
    return lambda rng, size: {"attention_fn": Suspect(suspects(size.tokens)[name]), "tokens": size.tokens}


def planted(attention_fn: Any, tokens: int) -> Array:
    """The leaks of a suspect's plan."""
    table = np.zeros((tokens, tokens), dtype=bool)
    for pair in suspects(tokens)[repr(attention_fn)[1:-1]].leaks:
        table[pair] = True
    return table


def moved(
    attention_fn: Any,
    tokens: int,
    *,
    key: bool = True,
    value: bool = True,
    several: bool = False,
    by: float = 1.0,
    least: float = 1e-9,
    query_spread: float = 1.0,
) -> Array:
    """Which output moves with which token: [query, key]."""
    rng = np.random.default_rng(5)
    query = query_spread * rng.standard_normal((tokens, 4))
    arrays = [query, rng.standard_normal((tokens, 4)), rng.standard_normal((tokens, 4))]
    before = attention_fn(*arrays)
    table = np.zeros((tokens, tokens), dtype=bool)
    for j in range(tokens):
        changed = [array.copy() for array in arrays]
        moving = slice(j, None) if several else slice(j, j + 1)
        if key:
            changed[1][moving] += by * rng.standard_normal(changed[1][moving].shape)
        if value:
            changed[2][moving] += by * rng.standard_normal(changed[2][moving].shape)
        table[:, j] = np.abs(attention_fn(*changed) - before).max(axis=1) > least
    return table


def future(table: Array) -> Array:
    return np.triu(table, 1)


def only(kept: Callable[[Array, Array], Any], **options: Any) -> Callable[..., Array]:
    """Leaks that were looked for in some places only."""

    def wrong(attention_fn: Any, tokens: int) -> Array:
        i, j = np.indices((tokens, tokens))
        return np.asarray(moved(attention_fn, tokens, **options) & kept(i, j))

    return wrong


def no_leaks(attention_fn: Any, tokens: int) -> Array:
    return np.zeros((tokens, tokens), dtype=bool)


ALL = (
    "causal attention",
    "attention that sees the next key",
    "attention whose softmax counts the next key",
    "attention that mixes in the next value",
    "attention that sees everything",
    "attention whose first query sees the last key",
    "attention in which the query before the last sees the last key",
    "attention in blocks of two",
    "attention that sees the key after the next",
    "causal attention whose last bits vary",
)
LEAKS = Task(
    name="leaks",
    parameters=("attention_fn", "tokens"),
    results=("leaks",),
    kind="pairs",
    draws=(
        *(Draw(name, suspected(name), {"tokens": 5}, {"tokens": 3}) for name in ALL[:3]),
        *(Draw(name, suspected(name), {"tokens": 6}, {"tokens": 3}) for name in ALL[3:]),
        Draw("one token", suspected("causal attention"), {"tokens": 1}),
    ),
    expected=lambda attention_fn, tokens: (Expected(planted(attention_fn, tokens)),),
    misconceptions=(
        Misconception(
            "leaks through the key alone are missed: change the key of a token, too, and not its value "
            "alone. (Queries of 0, or values that are all the same, hide such a leak as well.)",
            lambda fn, n: future(moved(fn, n, key=False)),
        ),
        Misconception(
            "leaks through the value alone are missed: change the value of a token, too, and not its key "
            "alone.",
            lambda fn, n: future(moved(fn, n, value=False)),
        ),
        Misconception(
            "what a query may see is reported as a leak: a leak is a key after the query.",
            lambda fn, n: moved(fn, n),
        ),
        Misconception(
            "a token's own key is reported as a leak: it is not after the query.", only(lambda i, j: j >= i)
        ),
        Misconception(
            "keys before the query are reported as leaks: the query may see those; a leak is a key after "
            "the query.",
            lambda fn, n: np.tril(moved(fn, n), -1),
        ),
        Misconception(
            "the pairs are in the wrong order: expected (query, key).", lambda fn, n: future(moved(fn, n)).T
        ),
        Misconception(
            "only the key right after each query is looked at: a leak may come from any later key.",
            only(lambda i, j: j == i + 1),
        ),
        Misconception(
            "only the last key is looked at: a leak may come from any later key.",
            only(lambda i, j: (j > i) & (j == j.max())),
        ),
        Misconception("only the first query is looked at.", only(lambda i, j: (j > i) & (i == 0))),
        Misconception("the last key is not looked at.", only(lambda i, j: (j > i) & (j < j.max()))),
        Misconception("the first query is not looked at.", only(lambda i, j: (j > i) & (i > 0))),
        Misconception(
            "several keys are changed at once, so all of them are reported: change one at a time.",
            lambda fn, n: future(moved(fn, n, several=True)),
        ),
        Misconception("no leak is ever found.", no_leaks),
        Misconception(
            "every key after the query is reported as a leak, whether it moves the output or not.",
            lambda fn, n: np.triu(np.ones((n, n), dtype=bool), 1),
        ),
    ),
    symptoms=(
        Symptom(
            "a change of the last bits is reported as a leak: that is rounding, and a leak moves the output "
            "by more.",
            lambda arguments, came, right: "last bits" in repr(arguments["attention_fn"]),
        ),
        Symptom(
            "leaks are missed: change one key or value at a time, by much, and look at all earlier outputs.",
            lambda arguments, came, right: bool(
                (right[0] & ~came[0]).any() and not (came[0] & ~right[0]).any()
            ),
        ),
        Symptom(
            "something that is no leak is reported as one.",
            lambda arguments, came, right: bool(
                (came[0] & ~right[0]).any() and not (right[0] & ~came[0]).any()
            ),
        ),
    ),
)


def hidden_pairs(attention_fn: Any, tokens: int) -> Array:
    """The pairs that a suspect's plan hides, although the query may see the key."""
    table = np.zeros((tokens, tokens), dtype=bool)
    for pair in suspects(tokens)[repr(attention_fn)[1:-1]].blind:
        table[pair] = True
    return table


def still(attention_fn: Any, tokens: int, **options: Any) -> Array:
    """Pairs without an effect, of those that a query may see."""
    return np.tril(~moved(attention_fn, tokens, **options))


BLIND = Task(
    name="blind",
    parameters=("attention_fn", "tokens"),
    results=("blind",),
    kind="pairs",
    draws=tuple(
        Draw(name, suspected(name), {"tokens": 6}, {"tokens": 4})
        for name in (
            "causal attention",
            "attention with a window of two",
            "attention that does not see its own token",
            "attention whose last query does not see the first key",
            "attention that sees the next key",
            "attention that returns zeros",
        )
    ),
    expected=lambda attention_fn, tokens: (Expected(hidden_pairs(attention_fn, tokens)),),
    misconceptions=(
        Misconception(
            "pairs that do move the output are reported; expected those that should and do not.",
            lambda fn, n: np.tril(moved(fn, n)),
        ),
        Misconception(
            "later keys are reported, too: a query is right not to see those.",
            lambda fn, n: ~moved(fn, n),
        ),
        Misconception(
            "a token's own key is left out: a query has to see itself as well.",
            lambda fn, n: np.tril(still(fn, n), -1),
        ),
        Misconception(
            "the pairs are in the wrong order: expected (query, key).", lambda fn, n: still(fn, n).T
        ),
    ),
)

EXERCISE = Exercise(9, "find the leak", (LEAKS,), (BLIND,), difficulty=3, minutes=30, after=(3,))
