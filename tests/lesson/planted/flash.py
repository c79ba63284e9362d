"""Wrong answers to exercise 8."""

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


@planted(8, "flash", "neither the output nor the sum")
def no_rescale(query, key, value, block):
    output, total, m = run(query, key, value, block, output_factor=False, total_factor=False)
    return output / total[:, None], m + np.log(total)


@planted(8, "flash", "accumulated output is not rescaled")
def output_kept(query, key, value, block):
    output, total, m = run(query, key, value, block, output_factor=False)
    return output / total[:, None], m + np.log(total)


@planted(8, "flash", "accumulated sum is not rescaled")
def total_kept(query, key, value, block):
    output, total, m = run(query, key, value, block, total_factor=False)
    return output / total[:, None], m + np.log(total)


@planted(8, "flash", "last block is left out")
def whole_blocks(query, key, value, block):
    if len(key) < block:
        return flash(query, key, value, block)
    n = len(key) // block * block
    return flash(query, key[:n], value[:n], block)


@planted(8, "flash", "not divided by the sum")
def not_divided(query, key, value, block):
    output, total, m = run(query, key, value, block)
    return output, m + np.log(total)


@planted(8, "flash", "not scaled")
def unscaled(query, key, value, block):
    output, total, m = run(query, key, value, block, scale=1.0)
    return output / total[:, None], m + np.log(total)


@planted(8, "flash", "begins at 0")
def maximum_from_zero(query, key, value, block):
    output, total, m = run(query, key, value, block, top=0.0)
    return output / total[:, None], m + np.log(total)


@planted(8, "flash", "all queries share one running maximum")
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


@planted(8, "flash", "its base is 2")
def base_two(query, key, value, block):
    output, log = flash(query, key, value, block)
    return output, log / np.log(2)


@planted(8, "flash", "it is the sum itself")
def the_sum(query, key, value, block):
    output, total, m = run(query, key, value, block)
    return output / total[:, None], total


@planted(8, "flash", "has to be added to the logarithm")
def no_maximum(query, key, value, block):
    output, total, m = run(query, key, value, block)
    return output / total[:, None], np.log(total)


@planted(8, "flash", "averaged")
def mean_of_blocks(query, key, value, block):
    outputs, logs = [], []
    for k, v in tiles(key, value, block):
        s = query @ k.T / np.sqrt(query.shape[1])
        outputs.append(softmax(s) @ v)
        logs.append(np.log(np.exp(s).sum(1)))
    return np.mean(outputs, axis=0), np.log(np.exp(logs).sum(0))


@planted(8, "flash", "subtract the largest score so far")
def no_shift(query, key, value, block):
    total, output = np.zeros(len(query)), np.zeros((len(query), value.shape[1]))
    for k, v in tiles(key, value, block):
        p = np.exp(query @ k.T / np.sqrt(query.shape[1]))
        total += p.sum(1)
        output += p @ v
    return output / total[:, None], np.log(total)


@planted(8, "flash", "hold no n x n array")
def materialized(query, key, value, block):
    s = query @ key.T / np.sqrt(query.shape[1])
    m = s.max(1)
    p = np.exp(s - m[:, None])
    return p @ value / p.sum(1)[:, None], m + np.log(p.sum(1))


@planted(8, "flash", "hold no n x n array")
def all_blocks_kept(query, key, value, block):
    scores = [query @ k.T / np.sqrt(query.shape[1]) for k, v in tiles(key, value, block)]
    m = np.max([s.max(1) for s in scores], axis=0)
    parts = [np.exp(s - m[:, None]) for s in scores]
    total = sum(p.sum(1) for p in parts)
    mixed = sum(p @ v for p, (k, v) in zip(parts, tiles(key, value, block), strict=True))
    return mixed / total[:, None], m + np.log(total)


@planted(8, "flash", "an axis too many")
def column(query, key, value, block):
    output, log = flash(query, key, value, block)
    return output, log[:, None]


@planted(8, "flash", "expected 2: (output, logsumexp)")
def output_alone(query, key, value, block):
    return flash(query, key, value, block)[0]
