"""Exercises 1, 2, 3 and 5, in many styles."""

import math

import numpy as np

from tests.lesson.correct.registry import correct
from tests.lesson.solutions import (
    attention,
    masked_attention,
    masked_softmax,
    multi_head,
    soft_lookup,
    softmax,
    visible,
)


def single(function):
    """The same in float32, inputs and all."""

    def answer(*arrays):
        cast = [
            a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arrays
        ]
        return function(*cast)

    return answer


def softmax_row(row):
    top = max(row)
    if top == -math.inf:
        return [0.0] * len(row)
    parts = [math.exp(score - top) for score in row]
    return [part / sum(parts) for part in parts]


def softmax_in_lists(scores):
    if scores.ndim == 1:
        return softmax_row(scores.tolist())
    return [softmax_in_lists(row) for row in scores]


def attention_in_loops(query, key, value):
    weights = [
        softmax_row([
            sum(q * k for q, k in zip(one, other, strict=True)) / math.sqrt(len(one))
            for other in key.tolist()
        ])
        for one in query.tolist()
    ]
    output = [
        [sum(w * v[d] for w, v in zip(row, value.tolist(), strict=True)) for d in range(value.shape[1])]
        for row in weights
    ]
    return output, weights


def softmax_in_place(scores):
    parts = np.array(scores, copy=True)
    top = parts.max(axis=-1, keepdims=True)
    top[np.isneginf(top)] = 0
    parts -= top
    np.exp(parts, out=parts)
    total = parts.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    parts /= total
    return parts


def attention_by_einsum(query, key, value):
    weights = softmax_in_place(np.einsum("id,jd->ij", query, key) * query.shape[1] ** -0.5)
    return np.einsum("ij,jd->id", weights, value), weights


def softmax_by_logarithm(scores):
    with np.errstate(invalid="ignore"):
        logs = np.logaddexp.reduce(scores, axis=-1, keepdims=True)
        return np.where(np.isneginf(logs), 0, np.exp(scores - np.where(np.isneginf(logs), 0, logs)))


def softmax_by_nan_to_num(scores):
    with np.errstate(all="ignore"):
        parts = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        return np.nan_to_num(parts / parts.sum(axis=-1, keepdims=True))


def attention_with_scaled_query(query, key, value):
    weights = softmax_by_nan_to_num((query / math.sqrt(query.shape[1])) @ key.T)
    return [weights.dot(value), weights]


correct("float32", softmax=single(softmax), attention=single(attention))
correct("lists", softmax=softmax_in_lists, attention=attention_in_loops)
correct("in-place-on-copies", softmax=softmax_in_place, attention=attention_by_einsum)
correct("nan-to-num", softmax=softmax_by_nan_to_num, attention=attention_with_scaled_query)
correct(
    "logaddexp",
    softmax=softmax_by_logarithm,
    attention=lambda q, k, v: (attention(q, k, v)[0], attention(q, k, v)[1].tolist()),
)


def visible_in_loops(query_len, key_len, key_lengths):
    return [
        [[j <= i + key_len - query_len and j < length for j in range(key_len)] for i in range(query_len)]
        for length in key_lengths
    ]


def visible_by_tri(query_len, key_len, key_lengths):
    causal = np.tri(query_len, key_len, key_len - query_len, dtype=bool)
    padding = np.arange(key_len)[None, :] < np.asarray(key_lengths)[:, None]
    return np.logical_and(causal[None], padding[:, None])


def visible_from_the_hidden(query_len, key_len, key_lengths):
    hidden = np.zeros((len(key_lengths), query_len, key_len), dtype=bool)
    for b, length in enumerate(key_lengths):
        hidden[b, :, int(length) :] = True
        for i in range(query_len):
            hidden[b, i, max(0, i + key_len - query_len + 1) :] = True
    return ~hidden


def visible_by_outer(query_len, key_len, key_lengths):
    position = np.arange(key_len - query_len, key_len)
    causal = np.greater_equal.outer(position, np.arange(key_len))
    return np.stack([causal & (np.arange(key_len) < length) for length in key_lengths])


correct("lists", visible=visible_in_loops)
correct("tri", visible=visible_by_tri)
correct("from-the-hidden", visible=visible_from_the_hidden)
correct("outer", visible=visible_by_outer)
correct(
    "keywords",
    visible=lambda query_len, key_len, key_lengths: visible(
        query_len=query_len, key_len=key_len, key_lengths=list(key_lengths)
    ),
)


def masked_by_einsum(query, key, value, visible):
    scores = np.einsum("...id,...jd->...ij", query, key) / np.sqrt(query.shape[-1])
    return np.einsum("...ij,...jd->...id", masked_softmax(np.where(visible, scores, -np.inf)), value)


def masked_in_loops(query, key, value, visible):
    if query.ndim > 2:
        return np.stack([masked_in_loops(*each) for each in zip(query, key, value, visible, strict=True)])
    output = np.zeros((len(query), value.shape[1]))
    for i in range(len(query)):
        seen = np.flatnonzero(visible[i])
        if len(seen):
            scores = key[seen] @ query[i] / math.sqrt(query.shape[1])
            parts = np.exp(scores - scores.max())
            output[i] = parts @ value[seen] / parts.sum()
    return output


def masked_in_place(query, key, value, visible):
    scores = query @ np.moveaxis(key, -1, -2)
    scores /= math.sqrt(query.shape[-1])
    scores[~visible] = -np.inf
    top = scores.max(-1, keepdims=True)
    top[np.isneginf(top)] = 0.0
    parts = np.exp(scores - top)
    return (parts @ value) / np.maximum(parts.sum(-1, keepdims=True), np.finfo(float).tiny)


def masked_by_where(query, key, value, visible):
    scores = np.matmul(query, key.swapaxes(-2, -1)) * query.shape[-1] ** -0.5
    top = np.max(scores, axis=-1, keepdims=True, where=visible, initial=-np.inf)
    with np.errstate(all="ignore"):
        parts = np.where(visible, np.exp(scores - top), 0)
        return np.nan_to_num(parts / parts.sum(-1, keepdims=True)) @ value


correct("float32", masked_attention=single(masked_attention))
correct("einsum", masked_attention=masked_by_einsum)
correct("loops", masked_attention=masked_in_loops)
correct("in-place", masked_attention=masked_in_place)
correct("where", masked_attention=masked_by_where)


def heads_in_loops(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    query, key, value = x @ w_q, x @ w_k, x @ w_v
    key_dim, value_dim = query.shape[-1] // heads, value.shape[-1] // kv_heads
    outputs = []
    for head in range(heads):
        kv = head * kv_heads // heads
        outputs.append(
            masked_attention(
                query[..., head * key_dim : (head + 1) * key_dim],
                key[..., kv * key_dim : (kv + 1) * key_dim],
                value[..., kv * value_dim : (kv + 1) * value_dim],
                np.True_ if visible is None else visible,
            )
        )
    return np.concatenate(outputs, axis=-1) @ w_o


def heads_by_einsum(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    q = np.einsum("...td,dhk->...htk", x, w_q.reshape(len(w_q), heads, -1))
    k = np.einsum("...td,dhk->...htk", x, w_k.reshape(len(w_k), kv_heads, -1)).repeat(
        heads // kv_heads, axis=-3
    )
    v = np.einsum("...td,dhk->...htk", x, w_v.reshape(len(w_v), kv_heads, -1)).repeat(
        heads // kv_heads, axis=-3
    )
    mixed = masked_by_einsum(q, k, v, True if visible is None else visible)
    return np.einsum("...htk,hkd->...td", mixed, w_o.reshape(heads, -1, w_o.shape[1]))


def heads_summed_up(x, w_q, w_k, w_v, w_o, heads, kv_heads, visible=None):
    shown = np.ones((x.shape[-2],) * 2, dtype=bool) if visible is None else visible
    group = heads // kv_heads
    cut = [np.split(x @ w, n, axis=-1) for w, n in ((w_q, heads), (w_k, kv_heads), (w_v, kv_heads))]
    rows = np.split(w_o, heads, axis=0)
    return sum(
        masked_attention(cut[0][h], cut[1][h // group], cut[2][h // group], shown) @ rows[h]
        for h in range(heads)
    )


def heads_by_batch(x, *rest):
    return np.stack([heads_in_loops(one, *rest) for one in x]) if x.ndim == 3 else heads_in_loops(x, *rest)


correct("float32", multi_head=single(multi_head))
correct("loops", multi_head=heads_in_loops)
correct("einsum", multi_head=heads_by_einsum)
correct("sum-over-heads", multi_head=heads_summed_up)
correct("one-batch-entry-after-the-other", multi_head=heads_by_batch)


def lookup_in_loops(query, keys, values, beta):
    scores = [beta * sum(q * k for q, k in zip(query.tolist(), key, strict=True)) for key in keys.tolist()]
    parts = [math.exp(score - max(scores)) for score in scores]
    columns = zip(*values.tolist(), strict=True)
    return [sum(p * v for p, v in zip(parts, column, strict=True)) / sum(parts) for column in columns]


def lookup_by_einsum(query, keys, values, beta):
    scores = np.einsum("d,jd->j", beta * query, keys)
    return np.einsum("j,jc->c", softmax(scores), values)


def lookup_of_columns(query, keys, values, beta):
    weights = softmax((beta * keys @ query[:, None]).T)
    return (weights @ values)[0]


correct("float32-lookup", soft_lookup=single(soft_lookup))
correct("einsum-lookup", soft_lookup=lookup_by_einsum)
correct("columns", soft_lookup=lookup_of_columns)
correct("loops-lookup", soft_lookup=lookup_in_loops)
