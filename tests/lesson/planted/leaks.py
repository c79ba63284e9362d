"""Wrong answers to exercise 9."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import blind, movements


def moves(attention_fn, tokens, *, keys=True, values=True, least=1e-9, count=1):
    rng = np.random.default_rng(3)
    q, k, v = rng.normal(size=(3, tokens, 8))
    out = attention_fn(q, k, v)
    for j in range(tokens):
        k2, v2 = k.copy(), v.copy()
        if keys:
            k2[j : j + count] = rng.normal(size=k2[j : j + count].shape)
        if values:
            v2[j : j + count] = rng.normal(size=v2[j : j + count].shape)
        changed = np.abs(attention_fn(q, k2, v2) - out).max(1)
        for i in range(tokens):
            if changed[i] > least:
                yield i, j


@planted(9, "leaks", "through the key alone are missed")
def values_alone(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, keys=False) if j > i}


@planted(9, "leaks", "through the value alone are missed")
def keys_alone(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, values=False) if j > i}


@planted(9, "leaks", "what a query may see is reported")
def everything_that_moves(attention_fn, tokens):
    return set(moves(attention_fn, tokens))


@planted(9, "leaks", "pairs are in the wrong order")
def key_first(attention_fn, tokens):
    return {(j, i) for i, j in moves(attention_fn, tokens) if j > i}


@planted(9, "leaks", "several keys are changed at once")
def all_later(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, count=tokens) if j > i}


@planted(9, "leaks", "change of the last bits")
def every_bit(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, least=0.0) if j > i}


@planted(9, "leaks", "only the key right after")
def next_key(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens) if j == i + 1}


@planted(9, "leaks", "a token's own key")
def own_key_too(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens) if j >= i}


@planted(9, "leaks", "no leak is ever found")
def trusting(attention_fn, tokens):
    return set()


@planted(9, "leaks", "expected (query, key) with both from 0")
def from_one(attention_fn, tokens):
    return {(i + 1, j + 1) for i, j in moves(attention_fn, tokens) if j > i}


@planted(8, "merge", "averaged", stretch=True)
def mean_of_two(output_a, log_a, output_b, log_b):
    return (output_a + output_b) / 2, np.logaddexp(log_a, log_b)


@planted(8, "merge", "without visible keys makes NaN", stretch=True)
def unguarded(output_a, log_a, output_b, log_b):
    log = np.logaddexp(log_a, log_b)
    return np.exp(log_a - log)[:, None] * output_a + np.exp(log_b - log)[:, None] * output_b, log


@planted(9, "blind", "pairs that do move the output are reported", stretch=True)
def live_pairs(attention_fn, tokens):
    moved = movements(attention_fn, tokens)
    return {(i, j) for i in range(tokens) for j in range(i + 1) if moved[i, j] > 1e-9}


@planted(9, "blind", "later keys are reported, too", stretch=True)
def of_the_future_too(attention_fn, tokens):
    moved = movements(attention_fn, tokens)
    return {(i, j) for i in range(tokens) for j in range(tokens) if moved[i, j] <= 1e-9}


@planted(9, "blind", "a query has to see itself", stretch=True)
def without_itself(attention_fn, tokens):
    return {(i, j) for i, j in blind(attention_fn, tokens) if i != j}
