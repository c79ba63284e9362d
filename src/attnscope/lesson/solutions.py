"""Solutions of the exercises, with comments. `solution(n)` shows one after a pass, or three failed tries."""

import numpy as np


def softmax(scores):
    # Subtracting the same number from a whole row changes no weight. With the largest score subtracted every
    # exponent is at most 0, so nothing overflows, and the largest term is exactly 1.
    parts = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return parts / parts.sum(axis=-1, keepdims=True)


def soft_lookup(query, keys, values, beta):
    # A score for each key, a weight for each score, and the mixture of the values.
    return softmax(beta * (keys @ query)) @ values


def lookup_gradient(query, keys, values, beta):
    # d w_j / d q = beta w_j (k_j - sum_i w_i k_i); summed with the values, the mean key may be left to
    # the values: sum_j w_j (v_j - o) k_j.
    weights = softmax(beta * (keys @ query))
    centred = values - weights @ values
    return beta * (weights[:, None] * centred).T @ keys


def attention(query, key, value):
    # key_dim is the last axis: the length of the vectors that are multiplied.
    weights = softmax(query @ key.T / np.sqrt(query.shape[1]))
    return weights @ value, weights


def softmax_backward(weights, upstream):
    # Each score moves all weights of its row: w_i (g_i - sum_j w_j g_j).
    return weights * (upstream - (weights * upstream).sum(axis=-1, keepdims=True))


def visible(query_len, key_len, key_lengths):
    # Positions as a column, keys as a row, lengths on an axis of their own in front.
    position = np.arange(query_len)[:, None] + key_len - query_len
    key = np.arange(key_len)
    return (key <= position) & (key < np.asarray(key_lengths)[:, None, None])


def visible_in_window(query_len, key_len, key_lengths, window):
    # The token itself and the window - 1 before it.
    position = np.arange(query_len)[:, None] + key_len - query_len
    return visible(query_len, key_len, key_lengths) & (np.arange(key_len) > position - window)


def masked_softmax(scores):
    # A fully masked row has only -inf. If 0 is subtracted, not -inf, its parts are 0, and over 1 they stay 0.
    top = scores.max(axis=-1, keepdims=True)
    parts = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = parts.sum(axis=-1, keepdims=True)
    return parts / np.where(total == 0, 1, total)


def masked_attention(query, key, value, visible):
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    return masked_softmax(np.where(visible, scores, -np.inf)) @ value


def clean_attention(query, key, value, visible):
    # 0 * NaN is NaN, so what no query sees is replaced before it is multiplied.
    seen = visible.any(axis=tuple(range(visible.ndim - 1)))[..., None]
    return masked_attention(query, np.where(seen, key, 0), np.where(seen, value, 0), visible)


def entropy(weights):
    # ln 1 is 0: a key without weight adds nothing, and no logarithm of 0 is taken.
    return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)


def effective_keys(weights):
    return np.exp(entropy(weights))


def counterexample():
    # The heaviest key's value is the mixture of the others, so removing it changes nothing.
    query = np.array([[1.0]])
    key = np.log([[6.0], [3.0], [1.0]])  # weights 0.6, 0.3, 0.1
    value = np.array([[0.0], [4.0], [0.0]])
    value[0] = (3 * value[1] + 1 * value[2]) / 4
    return query, key, value


def temperature_for(scores, target):
    # The entropy grows with the temperature, so an interval that holds the answer can be halved.
    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if entropy(softmax(scores / middle)) < target else (low, middle)
    return middle


def twins():
    # Two queries that prefer opposite keys, whose values are equal.
    key = np.array([[4.0], [0.0], [-4.0]])
    return np.array([[1.0]]), np.array([[-1.0]]), key, np.array([[1.0], [5.0], [1.0]])


def multi_head(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    def split(rows, heads):
        # Columns become (heads, dim); then heads and tokens change places.
        return rows.reshape(*rows.shape[:-1], heads, -1).swapaxes(-2, -3)

    query = split(x @ w_q, heads)
    # Neighbouring query heads share a kv head: each is repeated beside itself.
    key = np.repeat(split(x @ w_k, kv_heads), heads // kv_heads, axis=-3)
    value = np.repeat(split(x @ w_v, kv_heads), heads // kv_heads, axis=-3)
    mixed = masked_attention(query, key, value, True if visible is None else visible).swapaxes(-2, -3)
    return mixed.reshape(*mixed.shape[:-2], -1) @ w_o


def pool_heads(w, heads, kv_heads):
    # Neighbouring heads share a kv head, so the mean is over the axis within a group.
    return w.reshape(len(w), kv_heads, heads // kv_heads, -1).mean(axis=2).reshape(len(w), -1)


def alibi(heads, query_len, key_len):
    def powers(count):
        return 2.0 ** (-8 * np.arange(1, count + 1) / count)

    below = 2 ** int(np.log2(heads))
    slopes = np.concatenate([powers(below), powers(2 * below)[::2][: heads - below]])
    # The last query is aligned with the last key.
    distance = np.arange(query_len)[:, None] + key_len - query_len - np.arange(key_len)
    return -slopes[:, None, None] * np.abs(distance)


def rotary(x, positions):
    pairs = x.shape[1] // 2
    angle = positions[:, None] * 10000.0 ** (-np.arange(pairs) / pairs)
    # Dims i and i + pairs are the two coordinates of a point, which is turned by its angle.
    a, b = x[:, :pairs], x[:, pairs:]
    return np.concatenate(
        [a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], axis=1
    )


def decode_step(cache, query, key, value):
    # The new key and value belong to the cache before the query reads it: a token sees itself.
    if cache is not None:
        key, value = (np.concatenate(both, axis=1) for both in zip(cache, (key, value), strict=True))
    return masked_attention(query, key, value, True), (key, value)


def decode_in_window(cache, query, key, value, window):
    if cache is not None:
        key, value = (np.concatenate(both, axis=1) for both in zip(cache, (key, value), strict=True))
    # Copied: a view would keep the whole array.
    key, value = key[:, -window:].copy(), value[:, -window:].copy()
    return masked_attention(query, key, value, True), (key, value)


def cache_bytes(config, tokens, batch):
    row = config["key_dim"] + config["value_dim"]
    return config["layers"] * config["kv_heads"] * row * config["bytes_per_element"] * tokens * batch


def max_sequences(config, context, memory_bytes):
    # // rounds down, also below zero: without room for the weights nothing fits.
    return max(0, (memory_bytes - config["weight_bytes"]) // cache_bytes(config, context, 1))


def decode_seconds(config, context, batch, bandwidth):
    # The weights are read once for the batch, each sequence's cache once.
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
        # What was summed with the old maximum is brought to the new one.
        shrink = np.exp(top - new)
        total = total * shrink + parts.sum(axis=1)
        output = output * shrink[:, None] + parts @ value[start : start + block]
        top = new
    return output / total[:, None], top + np.log(total)


def merge(output_a, log_a, output_b, log_b):
    top = np.maximum(log_a, log_b)
    anchor = np.where(np.isneginf(top), 0, top)  # two parts without keys: -inf - (-inf) would be NaN
    a, b = np.exp(log_a - anchor), np.exp(log_b - anchor)
    total = np.where(a + b == 0, 1, a + b)[:, None]
    with np.errstate(divide="ignore"):
        return (a[:, None] * output_a + b[:, None] * output_b) / total, anchor + np.log(a + b)


def movements(attention_fn, tokens):
    # The output's change for each changed token, key and value one after the other: [query, key].
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, tokens, 4))
    before = attention_fn(query, key, value)
    moved = np.zeros((tokens, tokens))
    for j in range(tokens):
        for array in (key, value):
            kept = array[j].copy()
            array[j] += 1.0
            moved[:, j] = np.maximum(
                moved[:, j], np.abs(attention_fn(query, key, value) - before).max(axis=1)
            )
            array[j] = kept
    return moved


def leaks(attention_fn, tokens):
    moved = movements(attention_fn, tokens)
    # 1e-9 is far above rounding in float64, and far below what a leak moves.
    return {(i, j) for i in range(tokens) for j in range(i + 1, tokens) if moved[i, j] > 1e-9}


def blind(attention_fn, tokens):
    moved = movements(attention_fn, tokens)
    return {(i, j) for i in range(tokens) for j in range(i + 1) if moved[i, j] <= 1e-9}


def induction_score(weights, tokens):
    found = []
    for row, token in enumerate(tokens):
        earlier = np.flatnonzero(tokens[:row] == token)
        if len(earlier):
            found.append(weights[:, row, earlier[-1] + 1])  # the word after the last occurrence
    return np.mean(found, axis=0) if found else np.zeros(len(weights))


def needed_gap(others, share):
    # share = 1 / (1 + others * e^-gap), solved for the gap.
    return np.log(others * share / (1 - share))


def copied_words(weights, tokens, words):
    # A word that was read several times receives the sum of its weights.
    return np.bincount(tokens, weights=weights, minlength=words)


def flash_forward(query, key, value, block):
    n, scale = len(query), query.shape[1] ** -0.5
    top, total = np.full(n, -np.inf), np.zeros(n)
    output = np.zeros((n, value.shape[1]))
    for start in range(0, n, block):
        # Rows before the block see none of its keys.
        rows, keys = np.arange(start, n), np.arange(start, min(start + block, n))
        scores = np.where(keys <= rows[:, None], query[rows] @ key[keys].T * scale, -np.inf)
        new = np.maximum(top[rows], scores.max(axis=1))
        parts, shrink = np.exp(scores - new[:, None]), np.exp(top[rows] - new)
        total[rows] = total[rows] * shrink + parts.sum(axis=1)
        output[rows] = output[rows] * shrink[:, None] + parts @ value[keys]
        top[rows] = new
    return output / total[:, None], top + np.log(total)


def flash_backward(query, key, value, output, logsumexp, grad_output, block):
    n, scale = len(query), query.shape[1] ** -0.5
    grad_query, grad_key, grad_value = (np.zeros_like(each) for each in (query, key, value))
    # What comes through the softmax's sum: sum_j w_j (g . v_j) = g . o, one number per row.
    mean = (grad_output * output).sum(axis=1, keepdims=True)
    for start in range(0, n, block):
        rows, keys = np.arange(start, n), np.arange(start, min(start + block, n))
        scores = query[rows] @ key[keys].T * scale
        # The weights again, from the logsumexp alone: no maximum and no sum is needed.
        weights = np.where(keys <= rows[:, None], np.exp(scores - logsumexp[rows, None]), 0)
        slopes = weights * (grad_output[rows] @ value[keys].T - mean[rows]) * scale
        grad_query[rows] += slopes @ key[keys]
        grad_key[keys] = slopes.T @ query[rows]
        grad_value[keys] = weights.T @ grad_output[rows]
    return grad_query, grad_key, grad_value


def turned(x, positions):
    # Rotary positions of (heads, tokens, dim).
    return np.stack([rotary(each, positions) for each in x])


def logits_and_maps(model, tokens, without=None):
    residual, maps = model["embedding"][tokens], []
    positions = np.arange(len(tokens))
    seen = np.tri(len(tokens), dtype=bool)
    for layer in range(2):
        query, key, value = (residual @ model[f"{name}{layer}"] for name in ("w_q", "w_k", "w_v"))
        # The scale 1 / sqrt(dim) is already in w_q.
        scores = turned(query, positions) @ turned(key, positions).swapaxes(-1, -2)
        weights = softmax(np.where(seen, scores, -np.inf))
        added = weights @ value @ model[f"w_o{layer}"]
        # Heads add up, so one is taken out by leaving its term away.
        residual = residual + sum(added[head] for head in range(len(added)) if (layer, head) != without)
        maps.append(weights)
    return residual @ model["unembedding"], np.array(maps)


def attention_maps(model, tokens):
    return logits_and_maps(model, tokens)[1]


def induction_head(maps, tokens):
    scores = np.array([induction_score(layer, tokens) for layer in maps])
    return np.unravel_index(scores.argmax(), scores.shape)


def logits_without(model, tokens, layer, head):
    return logits_and_maps(model, tokens, without=(layer, head))[0]


def decoder_step(model, cache, token):
    cache = [None] * model["layers"] if cache is None else list(cache)
    position = np.array([0 if cache[0] is None else cache[0][0].shape[1]])
    residual = model["embedding"][[token]]
    for layer in range(model["layers"]):
        query, key, value = (
            (residual @ model[f"{name}{layer}"]).reshape(1, heads, -1).swapaxes(0, 1)
            for name, heads in (
                ("w_q", model["heads"]),
                ("w_k", model["kv_heads"]),
                ("w_v", model["kv_heads"]),
            )
        )
        query, key = turned(query, position), turned(key, position)
        if cache[layer] is not None:
            # A stored key was turned by its own position, once.
            key, value = (
                np.concatenate(both, axis=1) for both in zip(cache[layer], (key, value), strict=True)
            )
        cache[layer] = key, value
        group = model["heads"] // model["kv_heads"]
        mixed = masked_attention(query, np.repeat(key, group, axis=0), np.repeat(value, group, axis=0), True)
        residual = residual + mixed.swapaxes(0, 1).reshape(1, -1) @ model[f"w_o{layer}"]
        residual = residual + np.maximum(residual @ model[f"w_up{layer}"], 0) @ model[f"w_down{layer}"]
    return (residual @ model["unembedding"])[0], cache
