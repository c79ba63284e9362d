"""Wrong answers to exercise 3."""

import numpy as np

from tests.lesson.planted.registry import planted


def grid(query_len, key_len, key_lengths):
    i = np.arange(query_len)[None, :, None] + key_len - query_len
    return i, np.arange(key_len)[None, None, :], np.array(key_lengths)[:, None, None]


@planted(3, "visible", "first query meets the first key")
def tril(query_len, key_len, key_lengths):
    causal = np.tril(np.ones((query_len, key_len), dtype=bool))
    return causal[None] & (np.arange(key_len)[None, None, :] < np.array(key_lengths)[:, None, None])


@planted(3, "visible", "inverted")
def hidden(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j > i) | (j >= n)


@planted(3, "visible", "does not see its own position")
def strict(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j < i) & (j < n)


@planted(3, "visible", "padded keys are seen")
def no_padding(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return np.broadcast_to(j <= i, (len(key_lengths), query_len, key_len))


@planted(3, "visible", "the future is seen")
def padding_alone(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return np.broadcast_to(j < n, (len(key_lengths), query_len, key_len))


@planted(3, "visible", "first padded key is seen")
def one_padded_key(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j <= i) & (j <= n)


@planted(3, "visible", "last key that is no padding, another one in each")
def aligned_to_each_length(query_len, key_len, key_lengths):
    out = np.zeros((len(key_lengths), query_len, key_len), dtype=bool)
    for b, n in enumerate(key_lengths):
        for i in range(query_len):
            for j in range(n):
                out[b, i, j] = j <= i + n - query_len
    return out


@planted(3, "visible", "comparison of the positions is inverted")
def triu(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j >= i) & (j < n)


@planted(3, "visible", "if either rule allows it")
def either(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return np.logical_or(j <= i, j < n)


@planted(3, "visible", "padding is assumed on the left")
def left_padding(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j <= i) & (j >= key_len - n)


@planted(3, "visible", "length of the first")
def first_length(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return np.repeat((j <= i) & (j < key_lengths[0]), len(key_lengths), axis=0)


@planted(3, "visible", "along the queries")
def rows_padded(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j <= i) & (np.arange(query_len)[None, :, None] < n)


@planted(3, "visible", "additive mask")
def additive(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return np.where((j <= i) & (j < n), 0.0, -np.inf)


@planted(3, "visible", "expected booleans")
def ones(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return ((j <= i) & (j < n)).astype(int)


@planted(3, "visible", "axis of heads too many")
def four_axes(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return ((j <= i) & (j < n))[:, None]


@planted(3, "visible", "queries and keys are exchanged")
def transposed(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return ((j <= i) & (j < n)).transpose(0, 2, 1)


@planted(3, "visible", "one key of the future")
def one_ahead(query_len, key_len, key_lengths):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j <= i + 1) & (j < n)


@planted(3, "visible", "no batch axis")
def no_batch(query_len, key_len, key_lengths):
    return np.tri(query_len, key_len, key_len - query_len, dtype=bool)


@planted(3, "visible_in_window", "one key too wide", stretch=True)
def wide(query_len, key_len, key_lengths, window):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (j <= i) & (j < n) & (i - j <= window)


@planted(3, "visible_in_window", "reaches into the future", stretch=True)
def both_sides(query_len, key_len, key_lengths, window):
    i, j, n = grid(query_len, key_len, key_lengths)
    return (np.abs(i - j) < window) & (j < n)
