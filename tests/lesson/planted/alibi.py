"""Wrong answers to exercise 6."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import alibi


def apart(query_len, key_len):
    return (np.arange(query_len) + key_len - query_len)[:, None] - np.arange(key_len)[None, :]


def slopes(heads):
    return -alibi(heads, 1, 2)[:, 0, 0]


@planted(6, "alibi", "the first query meets the first key")
def from_the_start(heads, query_len, key_len):
    distance = np.abs(np.arange(query_len)[:, None] - np.arange(key_len)[None, :])
    return -slopes(heads)[:, None, None] * distance


@planted(6, "alibi", "although heads is no power of two")
def formula_for_any(heads, query_len, key_len):
    m = np.array([2 ** (-8 * (h + 1) / heads) for h in range(heads)])
    return -m[:, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "next power of two")
def cut_off(heads, query_len, key_len):
    n = int(2 ** np.ceil(np.log2(heads)))
    m = 2.0 ** (-8 * np.arange(1, n + 1) / n)
    return -m[:heads, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "slopes begin with 1")
def from_zero(heads, query_len, key_len):
    m = 2.0 ** (-8 * np.arange(heads) / heads)
    return -m[:, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "sign is missing")
def reward(heads, query_len, key_len):
    return slopes(heads)[:, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "keys of the future are favoured")
def signed(heads, query_len, key_len):
    return -slopes(heads)[:, None, None] * apart(query_len, key_len)


@planted(6, "alibi", "keys of the future are hidden")
def with_a_mask(heads, query_len, key_len):
    bias = alibi(heads, query_len, key_len)
    return np.where(apart(query_len, key_len) < 0, -np.inf, bias)


@planted(6, "alibi", "squared")
def squared(heads, query_len, key_len):
    return -slopes(heads)[:, None, None] * apart(query_len, key_len) ** 2


@planted(6, "alibi", "opposite order")
def reversed_heads(heads, query_len, key_len):
    return alibi(heads, query_len, key_len)[::-1]


@planted(6, "alibi", "axis of heads is the last")
def heads_last(heads, query_len, key_len):
    return alibi(heads, query_len, key_len).transpose(1, 2, 0)


@planted(6, "alibi", "wrong slopes of the next one")
def wrong_half(heads, query_len, key_len):
    below = 2 ** int(np.log2(heads))
    m = [2 ** (-8 * (h + 1) / below) for h in range(below)]
    m += [2 ** (-4 * (h + 1) / below) for h in range(1, 2 * below, 2)][: heads - below]
    return -np.array(m)[:, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "sorted")
def in_order(heads, query_len, key_len):
    m = np.sort(slopes(heads))[::-1]
    return -m[:, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "1/2, 1/4, 1/8")
def halves(heads, query_len, key_len):
    m = 0.5 ** np.arange(1, heads + 1)
    return -m[:, None, None] * np.abs(apart(query_len, key_len))


@planted(6, "alibi", "get no penalty")
def past_alone(heads, query_len, key_len):
    return -slopes(heads)[:, None, None] * np.maximum(apart(query_len, key_len), 0)


@planted(6, "alibi", "distance to itself")
def one_more(heads, query_len, key_len):
    return -slopes(heads)[:, None, None] * (np.abs(apart(query_len, key_len)) + 1)


@planted(6, "rotary", "neighbours are paired", stretch=True)
def interleaved(x, positions):
    pairs = x.shape[1] // 2
    angle = positions[:, None] * 10000.0 ** (-np.arange(pairs) / pairs)
    out = np.empty_like(x)
    out[:, ::2] = x[:, ::2] * np.cos(angle) - x[:, 1::2] * np.sin(angle)
    out[:, 1::2] = x[:, ::2] * np.sin(angle) + x[:, 1::2] * np.cos(angle)
    return out
