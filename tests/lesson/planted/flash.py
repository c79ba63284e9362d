"""Wrong answers to exercise 10."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import flash, softmax


def tiles(key, value, block):
    for start in range(0, len(key), block):
        yield key[start : start + block], value[start : start + block]


def run(query, key, value, block, *, output_factor=True, total_factor=True, top=-np.inf, scale=None):
    m = np.full(len(query), top)
    total, output = np.zeros(len(query)), np.zeros((len(query), value.shape[1]))
    for k, v in tiles(key, value, block):
        s = query @ k.T * (query.shape[1] ** -0.5 if scale is None else scale)
        new = np.maximum(m, s.max(1))
        p = np.exp(s - new[:, None])
        factor = np.exp(m - new)
        total = total * (factor if total_factor else 1) + p.sum(1)
        output = output * (factor[:, None] if output_factor else 1) + p @ v
        m = new
    return output, total, m


@planted(10, "flash", "neither the output nor the sum")
def no_rescale(query, key, value, block):
    output, total, m = run(query, key, value, block, output_factor=False, total_factor=False)
    return output / total[:, None], m + np.log(total)


@planted(10, "flash", "accumulated output is not rescaled")
def output_kept(query, key, value, block):
    output, total, m = run(query, key, value, block, output_factor=False)
    return output / total[:, None], m + np.log(total)


@planted(10, "flash", "accumulated sum is not rescaled")
def total_kept(query, key, value, block):
    output, total, m = run(query, key, value, block, total_factor=False)
    return output / total[:, None], m + np.log(total)


@planted(10, "flash", "last block is left out")
def whole_blocks(query, key, value, block):
    if len(key) < block:
        return flash(query, key, value, block)
    n = len(key) // block * block
    return flash(query, key[:n], value[:n], block)


@planted(10, "flash", "not divided by the sum")
def not_divided(query, key, value, block):
    output, total, m = run(query, key, value, block)
    return output, m + np.log(total)


@planted(10, "flash", "not scaled")
def unscaled(query, key, value, block):
    output, total, m = run(query, key, value, block, scale=1.0)
    return output / total[:, None], m + np.log(total)


@planted(10, "flash", "begins at 0")
def maximum_from_zero(query, key, value, block):
    output, total, m = run(query, key, value, block, top=0.0)
    return output / total[:, None], m + np.log(total)


@planted(10, "flash", "all queries share one running maximum")
def one_maximum(query, key, value, block):
    m, total, output = -np.inf, np.zeros(len(query)), np.zeros((len(query), value.shape[1]))
    for k, v in tiles(key, value, block):
        s = query @ k.T / np.sqrt(query.shape[1])
        new = max(m, s.max())
        p = np.exp(s - new)
        total = total * np.exp(m - new) + p.sum(1)
        output = output * np.exp(m - new) + p @ v
        m = new
    return output / total[:, None], m + np.log(total)


@planted(10, "flash", "its base is 2")
def base_two(query, key, value, block):
    output, log = flash(query, key, value, block)
    return output, log / np.log(2)


@planted(10, "flash", "it is the sum itself")
def the_sum(query, key, value, block):
    output, total, m = run(query, key, value, block)
    return output / total[:, None], total


@planted(10, "flash", "has to be added to the logarithm")
def no_maximum(query, key, value, block):
    output, total, m = run(query, key, value, block)
    return output / total[:, None], np.log(total)


@planted(10, "flash", "averaged")
def mean_of_blocks(query, key, value, block):
    outputs, logs = [], []
    for k, v in tiles(key, value, block):
        s = query @ k.T / np.sqrt(query.shape[1])
        outputs.append(softmax(s) @ v)
        logs.append(np.log(np.exp(s).sum(1)))
    return np.mean(outputs, axis=0), np.log(np.exp(logs).sum(0))


@planted(10, "flash", "subtract the largest score so far")
def no_shift(query, key, value, block):
    total, output = np.zeros(len(query)), np.zeros((len(query), value.shape[1]))
    for k, v in tiles(key, value, block):
        p = np.exp(query @ k.T / np.sqrt(query.shape[1]))
        total += p.sum(1)
        output += p @ v
    return output / total[:, None], np.log(total)


@planted(10, "flash", "hold no n x n array")
def materialized(query, key, value, block):
    s = query @ key.T / np.sqrt(query.shape[1])
    m = s.max(1)
    p = np.exp(s - m[:, None])
    return p @ value / p.sum(1)[:, None], m + np.log(p.sum(1))


@planted(10, "flash", "hold no n x n array")
def all_blocks_kept(query, key, value, block):
    scores = [query @ k.T / np.sqrt(query.shape[1]) for k, v in tiles(key, value, block)]
    m = np.max([s.max(1) for s in scores], axis=0)
    parts = [np.exp(s - m[:, None]) for s in scores]
    total = sum(p.sum(1) for p in parts)
    mixed = sum(p @ v for p, (k, v) in zip(parts, tiles(key, value, block), strict=True))
    return mixed / total[:, None], m + np.log(total)


@planted(10, "flash", "an axis too many")
def column(query, key, value, block):
    output, log = flash(query, key, value, block)
    return output, log[:, None]


@planted(10, "flash", "expected 2: (output, logsumexp)")
def output_alone(query, key, value, block):
    return flash(query, key, value, block)[0]


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


@planted(10, "leaks", "through the key alone are missed")
def values_alone(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, keys=False) if j > i}


@planted(10, "leaks", "through the value alone are missed")
def keys_alone(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, values=False) if j > i}


@planted(10, "leaks", "what a query may see is reported")
def everything_that_moves(attention_fn, tokens):
    return set(moves(attention_fn, tokens))


@planted(10, "leaks", "pairs are in the wrong order")
def key_first(attention_fn, tokens):
    return {(j, i) for i, j in moves(attention_fn, tokens) if j > i}


@planted(10, "leaks", "several keys are changed at once")
def all_later(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, count=tokens) if j > i}


@planted(10, "leaks", "change of the last bits")
def every_bit(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens, least=0.0) if j > i}


@planted(10, "leaks", "only the key right after")
def next_key(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens) if j == i + 1}


@planted(10, "leaks", "a token's own key")
def own_key_too(attention_fn, tokens):
    return {(i, j) for i, j in moves(attention_fn, tokens) if j >= i}


@planted(10, "leaks", "no leak is ever found")
def trusting(attention_fn, tokens):
    return set()


@planted(10, "leaks", "expected (query, key) with both from 0")
def from_one(attention_fn, tokens):
    return {(i + 1, j + 1) for i, j in moves(attention_fn, tokens) if j > i}


@planted(10, "merge", "averaged", stretch=True)
def mean_of_two(output_a, log_a, output_b, log_b):
    return (output_a + output_b) / 2, np.logaddexp(log_a, log_b)


@planted(10, "merge", "without visible keys makes NaN", stretch=True)
def unguarded(output_a, log_a, output_b, log_b):
    log = np.logaddexp(log_a, log_b)
    return np.exp(log_a - log)[:, None] * output_a + np.exp(log_b - log)[:, None] * output_b, log
