"""Wrong answers to exercise 5."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import masked_attention, multi_head


def split(rows, heads):
    return np.moveaxis(rows.reshape(*rows.shape[:-1], heads, rows.shape[-1] // heads), -2, -3)


def join(mixed):
    moved = np.moveaxis(mixed, -3, -2)
    return moved.reshape(*moved.shape[:-2], -1)


def attend(query, key, value, visible, heads, kv_heads, scale=1.0):
    key, value = np.repeat(key, heads // kv_heads, -3), np.repeat(value, heads // kv_heads, -3)
    return masked_attention(query * scale, key, value, True if visible is None else visible)


@planted(5, "multi_head", "interleaved with other heads'")
def interleaved(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    def cut(rows, n):
        return np.moveaxis(rows.reshape(*rows.shape[:-1], rows.shape[-1] // n, n), -1, -3)

    return (
        join(
            attend(
                cut(x @ w_q, heads), cut(x @ w_k, kv_heads), cut(x @ w_v, kv_heads), visible, heads, kv_heads
            )
        )
        @ w_o
    )


@planted(5, "multi_head", "mixes tokens and columns")
def split_without_transpose(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    def cut(rows, n):
        return rows.reshape(*rows.shape[:-2], n, rows.shape[-2], rows.shape[-1] // n)

    return (
        join(
            attend(
                cut(x @ w_q, heads), cut(x @ w_k, kv_heads), cut(x @ w_v, kv_heads), visible, heads, kv_heads
            )
        )
        @ w_o
    )


@planted(5, "multi_head", "mixes heads and tokens")
def joined_without_transpose(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    mixed = attend(
        split(x @ w_q, heads), split(x @ w_k, kv_heads), split(x @ w_v, kv_heads), visible, heads, kv_heads
    )
    return mixed.reshape(*x.shape[:-1], -1) @ w_o


@planted(5, "multi_head", "h % kv_heads")
def tiled(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    key, value = split(x @ w_k, kv_heads), split(x @ w_v, kv_heads)
    times = [1] * key.ndim
    times[-3] = heads // kv_heads
    return (
        join(
            masked_attention(
                split(x @ w_q, heads),
                np.tile(key, times),
                np.tile(value, times),
                True if visible is None else visible,
            )
        )
        @ w_o
    )


@planted(5, "multi_head", "scaled by d_model")
def scaled_by_model(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    query = split(x @ w_q, heads)
    ratio = np.sqrt(query.shape[-1] / x.shape[-1])
    return (
        join(
            attend(query, split(x @ w_k, kv_heads), split(x @ w_v, kv_heads), visible, heads, kv_heads, ratio)
        )
        @ w_o
    )


@planted(5, "multi_head", "not scaled")
def unscaled(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    query = split(x @ w_q, heads)
    ratio = np.sqrt(query.shape[-1])
    return (
        join(
            attend(query, split(x @ w_k, kv_heads), split(x @ w_v, kv_heads), visible, heads, kv_heads, ratio)
        )
        @ w_o
    )


@planted(5, "multi_head", "visible makes no difference")
def no_mask(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    return multi_head(x, w_q, w_k, w_v, w_o, heads, kv_heads)


@planted(5, "multi_head", "inverted")
def inverted(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    return multi_head(x, w_q, w_k, w_v, w_o, heads, kv_heads, None if visible is None else ~visible)


@planted(5, "multi_head", "visible=None sees all")
def causal_by_default(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    if visible is None:
        visible = np.tril(np.ones((x.shape[-2], x.shape[-2]), dtype=bool))
    return multi_head(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible)


@planted(5, "multi_head", "projection by w_o is missing")
def no_output_projection(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    return join(
        attend(
            split(x @ w_q, heads),
            split(x @ w_k, kv_heads),
            split(x @ w_v, kv_heads),
            visible,
            heads,
            kv_heads,
        )
    )


@planted(5, "multi_head", "first key head")
def multi_query(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    key, value = split(x @ w_k, kv_heads), split(x @ w_v, kv_heads)
    key, value = np.repeat(key[..., :1, :, :], heads, -3), np.repeat(value[..., :1, :, :], heads, -3)
    return (
        join(masked_attention(split(x @ w_q, heads), key, value, True if visible is None else visible)) @ w_o
    )


@planted(5, "multi_head", "raises ValueError")
def ungrouped(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    return multi_head(x, w_q, w_k, w_v, w_o, heads, heads, visible)


@planted(5, "multi_head", "raises")
def no_batch(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    tokens = x.shape[0]
    query = (x @ w_q).reshape(tokens, heads, -1).transpose(1, 0, 2)
    key = (x @ w_k).reshape(tokens, kv_heads, -1).transpose(1, 0, 2)
    value = (x @ w_v).reshape(tokens, kv_heads, -1).transpose(1, 0, 2)
    return join(attend(query, key, value, visible, heads, kv_heads)) @ w_o


@planted(5, "multi_head", "attended to as one")
def a_single_head(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    if heads != kv_heads:
        w_k, w_v = (
            np.repeat(w.reshape(len(w), kv_heads, -1), heads // kv_heads, 1).reshape(len(w), -1)
            for w in (w_k, w_v)
        )
    return masked_attention(x @ w_q, x @ w_k, x @ w_v, True if visible is None else visible) @ w_o


@planted(5, "multi_head", "wrong order")
def columns_first(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    mixed = attend(
        split(x @ w_q, heads), split(x @ w_k, kv_heads), split(x @ w_v, kv_heads), visible, heads, kv_heads
    )
    moved = np.moveaxis(mixed, -3, -1)
    return moved.reshape(*moved.shape[:-2], -1) @ w_o


@planted(5, "pool_heads", "summed", stretch=True)
def added(w, heads, kv_heads):
    return w.reshape(w.shape[0], kv_heads, heads // kv_heads, -1).sum(2).reshape(w.shape[0], -1)
