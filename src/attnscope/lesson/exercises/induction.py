"""Exercise 10: measure an induction head, and the gap that a long context needs."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, softmax
from attnscope.lesson.comparing import UNIT
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Misconception, Task


def heads_and_text(rng: np.random.Generator, size: Any) -> Arguments:
    """Causal weights of some heads, and a text whose words recur."""
    tokens = rng.integers(0, size.words, size.tokens)
    scores = 2 * rng.standard_normal((size.heads, size.tokens, size.tokens))
    weights = softmax(np.where(np.tri(size.tokens, dtype=bool), scores, -np.inf))
    return {"weights": weights, "tokens": tokens}


def without_repeats(rng: np.random.Generator, size: Any) -> Arguments:
    """A text of different words."""
    return {**heads_and_text(rng, size), "tokens": rng.permutation(size.tokens)}


def matches(tokens: Array, *, first: bool = False) -> list[tuple[int, int]]:
    """(row, its word's last earlier row), or the first one."""
    found = []
    for row, token in enumerate(tokens):
        earlier = np.flatnonzero(tokens[:row] == token)
        if len(earlier):
            found.append((row, int(earlier[0 if first else -1])))
    return found


def score(
    weights: Array,
    tokens: Array,
    *,
    after: int = 1,
    first: bool = False,
    turned: bool = False,
    rows: Any = None,
) -> Array:
    """The mean weight on the word `after` places behind a match."""
    pairs = matches(tokens, first=first)
    if not pairs:
        return np.zeros(len(weights))
    given = weights.swapaxes(-1, -2) if turned else weights
    total = sum(given[:, row, earlier + after] for row, earlier in pairs)
    return np.asarray(total / (len(pairs) if rows is None else rows(tokens)))


def right_score(weights: Array, tokens: Array) -> tuple[Expected, ...]:
    right = score(weights, tokens)
    return (Expected(right, UNIT * (len(tokens) + 4) * (np.abs(right) + 1)),)


SIZES = {"heads": 2, "tokens": 9, "words": 4}
INDUCTION = Task(
    name="induction_score",
    parameters=("weights", "tokens"),
    results=("scores",),
    draws=(
        Draw("words that recur", heads_and_text, SIZES, {"tokens": 4, "words": 2}, seeds=3),
        Draw("many heads", heads_and_text, {"heads": 5, "tokens": 12, "words": 3}, {"tokens": 4, "words": 2}),
        Draw(
            "two words only", heads_and_text, {"heads": 2, "tokens": 8, "words": 2}, {"tokens": 4, "words": 2}
        ),
        Draw("no word recurs", without_repeats, SIZES, {"tokens": 2, "words": 1}),
    ),
    expected=right_score,
    misconceptions=(
        Misconception(
            "this is the weight on the earlier word itself; an induction head reads the one after it.",
            lambda weights, tokens: score(weights, tokens, after=0),
        ),
        Misconception(
            "the first earlier occurrence is taken; expected the last one before the row.",
            lambda weights, tokens: score(weights, tokens, first=True),
        ),
        Misconception(
            "rows and columns are exchanged: weights[head, query, key] belongs to the later word's row.",
            lambda weights, tokens: score(weights, tokens, turned=True),
        ),
        Misconception(
            "the sum is divided by all rows; only rows whose word occurred before count.",
            lambda weights, tokens: score(weights, tokens, rows=len),
        ),
        Misconception(
            "the weights are added up; expected their mean.",
            lambda weights, tokens: score(weights, tokens, rows=lambda tokens: 1),
        ),
        Misconception(
            "this is the weight on the previous word: a previous-token head would score high.",
            lambda weights, tokens: weights[:, np.arange(1, len(tokens)), np.arange(len(tokens) - 1)].mean(
                -1
            ),
        ),
        Misconception(
            "all heads together get one number; expected one per head.",
            lambda weights, tokens: np.full(len(weights), score(weights, tokens).mean()),
        ),
        Misconception(
            "a text without a recurring word makes NaN, 0 / 0: its scores are 0.",
            lambda weights, tokens: (
                score(weights, tokens) if matches(tokens) else np.full(len(weights), np.nan)
            ),
        ),
    ),
)


def gap_question(rng: np.random.Generator, size: Any) -> Arguments:
    return {"others": int(size.others), "share": float(rng.uniform(0.2, 0.99))}


def gap(others: int, share: float) -> float:
    """The solution of share = 1 / (1 + others * e^-gap)."""
    return float(np.log(others * share / (1 - share)))


GAP = Task(
    name="needed_gap",
    parameters=("others", "share"),
    results=("gap",),
    draws=(
        Draw("a hundred others", gap_question, {"others": 100}, round=False, seeds=2),
        Draw("a million others", gap_question, {"others": 1_000_000}, round=False, seeds=2),
        Draw("one other", gap_question, {"others": 1}, round=False),
    ),
    expected=lambda others, share: (
        Expected(np.asarray(gap(others, share)), 16 * UNIT * (1 + abs(gap(others, share)))),
    ),
    misconceptions=(
        Misconception(
            "this is ln(others): with it the good key has the weight of all others together, one half.",
            lambda others, share: np.log(others),
        ),
        Misconception(
            "the other keys are counted once: each of them adds its own e^0 to the sum.",
            lambda others, share: np.log(share / (1 - share)),
        ),
        Misconception(
            "the share is turned round: this is the gap at which the others keep it.",
            lambda others, share: np.log(others * (1 - share) / share),
        ),
        Misconception(
            "the logarithm is to base 2; expected the natural one.",
            lambda others, share: gap(others, share) / np.log(2),
        ),
        Misconception(
            "the logarithm is to base 10; expected the natural one.",
            lambda others, share: gap(others, share) / np.log(10),
        ),
        Misconception(
            "this is e to the gap; take the logarithm.", lambda others, share: others * share / (1 - share)
        ),
        Misconception(
            "the sign is wrong: the good key scores higher.", lambda others, share: -gap(others, share)
        ),
        Misconception(
            "the good key is counted among the others, too.", lambda others, share: gap(others + 1, share)
        ),
    ),
)


def last_row(rng: np.random.Generator, size: Any) -> Arguments:
    made = heads_and_text(rng, size)
    return {"weights": made["weights"][0, -1], "tokens": made["tokens"], "words": size.words + 1}


def copied(weights: Array, tokens: Array, words: int) -> Array:
    """The weight of every word, wherever it stands."""
    return np.bincount(tokens, weights=weights, minlength=words)


COPIED = Task(
    name="copied_words",
    parameters=("weights", "tokens", "words"),
    results=("chances",),
    draws=(Draw("words that recur", last_row, SIZES, {"tokens": 3, "words": 2}, seeds=3),),
    expected=lambda weights, tokens, words: (
        Expected(copied(weights, tokens, words), UNIT * (len(tokens) + 4) * np.ones(words)),
    ),
    misconceptions=(
        Misconception(
            "of several occurrences only the last one counts: their weights add up.",
            lambda weights, tokens, words: last_only(weights, tokens, words),
        ),
        Misconception(
            "these are counts of words; each counts by its weight.",
            lambda weights, tokens, words: np.bincount(tokens, minlength=words) / len(tokens),
        ),
        Misconception(
            "there is a number per place of the text; expected one per word of the vocabulary.",
            lambda weights, tokens, words: weights,
        ),
    ),
)


def last_only(weights: Array, tokens: Array, words: int) -> Array:
    chances = np.zeros(words)
    chances[tokens] = weights
    return chances


EXERCISE = Exercise(
    10, "induction and long contexts", (INDUCTION, GAP), (COPIED,), difficulty=2, minutes=25, after=(1,)
)
