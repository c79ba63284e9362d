"""An instructor's solutions: what a learner's notebook would hold. They are no part of the package."""

from collections.abc import Callable
from typing import Any

import numpy as np


def softmax(scores):
    top = np.max(scores, axis=-1, keepdims=True)
    parts = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = parts.sum(axis=-1, keepdims=True)
    return parts / np.where(total == 0, 1, total)


def attention(query, key, value):
    weights = softmax(query @ key.T / np.sqrt(query.shape[1]))
    return weights @ value, weights


def softmax_backward(weights, upstream):
    return weights * (upstream - (weights * upstream).sum(axis=-1, keepdims=True))


def visible(query_len, key_len, key_lengths):
    position = np.arange(query_len)[:, None] + key_len - query_len
    key = np.arange(key_len)
    return (key <= position) & (key < np.asarray(key_lengths)[:, None, None])


def visible_in_window(query_len, key_len, key_lengths, window):
    position = np.arange(query_len)[:, None] + key_len - query_len
    return visible(query_len, key_len, key_lengths) & (np.arange(key_len) > position - window)


def masked_attention(query, key, value, visible):
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    return softmax(np.where(visible, scores, -np.inf)) @ value


def clean_attention(query, key, value, visible):
    seen = visible.any(axis=tuple(range(visible.ndim - 1)))[..., None]
    return masked_attention(query, np.where(seen, key, 0), np.where(seen, value, 0), visible)


def multi_head(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    def split(rows, heads):
        return rows.reshape(*rows.shape[:-1], heads, -1).swapaxes(-2, -3)

    query = split(x @ w_q, heads)
    key = np.repeat(split(x @ w_k, kv_heads), heads // kv_heads, axis=-3)
    value = np.repeat(split(x @ w_v, kv_heads), heads // kv_heads, axis=-3)
    mixed = masked_attention(query, key, value, True if visible is None else visible).swapaxes(-2, -3)
    return mixed.reshape(*mixed.shape[:-2], -1) @ w_o


def pool_heads(w, heads, kv_heads):
    return w.reshape(len(w), kv_heads, heads // kv_heads, -1).mean(axis=2).reshape(len(w), -1)


def entropy(weights):
    return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)


def effective_keys(weights):
    return np.exp(entropy(weights))


def temperature_for(scores, target):
    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if entropy(softmax(scores / middle)) < target else (low, middle)
    return middle


def counterexample():
    query = np.array([[1.0]])
    key = np.log([[6.0], [3.0], [1.0]])
    value = np.array([[0.0], [4.0], [0.0]])
    value[0] = (3 * value[1] + 1 * value[2]) / 4
    return query, key, value


def twins():
    key = np.array([[4.0], [0.0], [-4.0]])
    return np.array([[1.0]]), np.array([[-1.0]]), key, np.array([[1.0], [5.0], [1.0]])


def alibi(heads, query_len, key_len):
    def powers(count):
        return 2.0 ** (-8 * np.arange(1, count + 1) / count)

    below = 2 ** int(np.log2(heads))
    slopes = np.concatenate([powers(below), powers(2 * below)[::2][: heads - below]])
    distance = np.arange(query_len)[:, None] + key_len - query_len - np.arange(key_len)
    return -slopes[:, None, None] * np.abs(distance)


def rotary(x, positions):
    pairs = x.shape[1] // 2
    angle = positions[:, None] * 10000.0 ** (-np.arange(pairs) / pairs)
    a, b = x[:, :pairs], x[:, pairs:]
    return np.concatenate(
        [a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], axis=1
    )


def decode_step(cache, query, key, value):
    if cache is not None:
        key, value = (np.concatenate(both, axis=1) for both in zip(cache, (key, value), strict=True))
    return masked_attention(query, key, value, True), (key, value)


def decode_in_window(cache, query, key, value, window):
    if cache is not None:
        key, value = (np.concatenate(both, axis=1) for both in zip(cache, (key, value), strict=True))
    key, value = key[:, -window:].copy(), value[:, -window:].copy()
    return masked_attention(query, key, value, True), (key, value)


def cache_bytes(config, tokens, batch):
    row = config["key_dim"] + config["value_dim"]
    return config["layers"] * config["kv_heads"] * row * config["bytes_per_element"] * tokens * batch


def max_sequences(config, context, memory_bytes):
    return max(0, (memory_bytes - config["weight_bytes"]) // cache_bytes(config, context, 1))


def decode_seconds(config, context, batch, bandwidth):
    return (config["weight_bytes"] + cache_bytes(config, context, batch)) / bandwidth


def windowed_cache_bytes(config, tokens, batch):
    kept = sum(tokens if window is None else min(window, tokens) for window in config["windows"])
    return cache_bytes({**config, "layers": 1}, kept, batch)


def flash(query, key, value, block):
    top = np.full(len(query), -np.inf)
    total = np.zeros(len(query))
    output = np.zeros((len(query), value.shape[1]))
    for start in range(0, len(key), block):
        scores = query @ key[start : start + block].T / np.sqrt(query.shape[1])
        new = np.maximum(top, scores.max(axis=1))
        parts = np.exp(scores - new[:, None])
        shrink = np.exp(top - new)
        total = total * shrink + parts.sum(axis=1)
        output = output * shrink[:, None] + parts @ value[start : start + block]
        top = new
    return output / total[:, None], top + np.log(total)


def leaks(attention_fn, tokens):
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, tokens, 4))
    before = attention_fn(query, key, value)
    found = set()
    for j in range(tokens):
        for array in (key, value):
            kept = array[j].copy()
            array[j] += 1.0
            moved = np.abs(attention_fn(query, key, value) - before).max(axis=1)
            array[j] = kept
            found |= {(i, j) for i in range(j) if moved[i] > 1e-9}
    return found


def merge(output_a, log_a, output_b, log_b):
    top = np.maximum(log_a, log_b)
    anchor = np.where(np.isneginf(top), 0, top)
    a, b = np.exp(log_a - anchor), np.exp(log_b - anchor)
    total = np.where(a + b == 0, 1, a + b)[:, None]
    return (a[:, None] * output_a + b[:, None] * output_b) / total, anchor + np.log(a + b)


Functions = tuple[Callable[..., Any], ...]
SOLUTIONS: dict[int, Functions] = {
    1: (softmax, attention),
    2: (visible,),
    3: (masked_attention,),
    4: (multi_head,),
    5: (entropy, effective_keys),
    6: (counterexample,),
    7: (alibi,),
    8: (decode_step,),
    9: (cache_bytes, max_sequences, decode_seconds),
    10: (flash, leaks),
}
STRETCH: dict[int, Functions] = {
    1: (softmax_backward,),
    2: (visible_in_window,),
    3: (clean_attention,),
    4: (pool_heads,),
    5: (temperature_for,),
    6: (twins,),
    7: (rotary,),
    8: (decode_in_window,),
    9: (windowed_cache_bytes,),
    10: (merge,),
}
