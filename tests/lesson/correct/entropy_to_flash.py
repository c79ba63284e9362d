"""Exercises 4 and 6 to 10, in many styles."""

import math
from itertools import product

import numpy as np

from tests.lesson.correct.registry import correct
from tests.lesson.correct.softmax_to_heads import single
from tests.lesson.solutions import (
    alibi,
    cache_bytes,
    decode_seconds,
    decode_step,
    effective_keys,
    entropy,
    flash,
    induction_score,
    leaks,
    masked_attention,
    max_sequences,
    merge,
    needed_gap,
)


def entropy_in_loops(weights):
    if weights.ndim > 1:
        return [entropy_in_loops(row) for row in weights]
    return -sum(w * math.log(w) for w in weights.tolist() if w > 0)


def entropy_with_epsilon(weights):
    return -np.sum(weights * np.log(weights + 1e-12), axis=-1)


def entropy_with_nan_to_num(weights):
    return -np.nan_to_num(weights * np.log(weights)).sum(-1)


def entropy_in_bits_and_back(weights):
    logs = np.zeros_like(weights)
    np.log2(weights, out=logs, where=weights > 0)
    return -np.einsum("...k,...k->...", weights, logs) * math.log(2)


correct("float32", entropy=single(entropy), effective_keys=single(effective_keys))
correct("loops", entropy=entropy_in_loops, effective_keys=lambda weights: np.exp(entropy_in_loops(weights)))
correct(
    "epsilon",
    entropy=entropy_with_epsilon,
    effective_keys=lambda weights: np.exp(entropy_with_epsilon(weights)),
)
correct(
    "nan-to-num",
    entropy=entropy_with_nan_to_num,
    effective_keys=lambda weights: math.e ** entropy_with_nan_to_num(weights),
)
correct(
    "bits-and-back",
    entropy=entropy_in_bits_and_back,
    effective_keys=lambda w: 2 ** (entropy_in_bits_and_back(w) / math.log(2)),
)
correct(
    "product-of-powers",
    entropy=entropy,
    effective_keys=lambda weights: 1 / np.prod(weights**weights, axis=-1),
)


def four_keys():
    rng = np.random.default_rng(0)
    query, key = np.ones((1, 2)), np.log([[8.0], [4.0], [2.0], [1.0]]) * [0.7, 0.7]
    value = rng.normal(size=(4, 3))
    scores = key[1:] @ query[0] / np.sqrt(2)
    weights = np.exp(scores) / np.exp(scores).sum()
    value[0] = weights @ value[1:]
    return query, key, value


def in_single():
    return tuple(np.asarray(array, dtype=np.float32) for array in four_keys())


def as_lists():
    return [[1.0]], [[math.log(6)], [math.log(3)], [0.0]], [[3.0], [4.0], [0.0]]


def large():
    query, key, value = four_keys()
    return query, key, value * 1e6


def lightest_twice():
    return np.array([[1.0]]), np.log([[6.0], [1.0], [1.0]]), np.array([[0.0], [4.0], [-4.0]])


for counter in (four_keys, in_single, as_lists, large, lightest_twice):
    correct(counter.__name__, counterexample=counter)


def alibi_in_loops(heads, query_len, key_len):
    def slopes(n):
        if n & (n - 1) == 0:
            start = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [start * start**i for i in range(n)]
        closest = 2 ** math.floor(math.log2(n))
        return slopes(closest) + slopes(2 * closest)[0::2][: n - closest]

    bias = np.zeros((heads, query_len, key_len))
    for (h, slope), i, j in product(enumerate(slopes(heads)), range(query_len), range(key_len)):
        bias[h, i, j] = -slope * abs(i + key_len - query_len - j)
    return bias


def alibi_by_outer(heads, query_len, key_len):
    slopes = -alibi(heads, 1, 2)[:, 0, 0]
    distance = np.abs(np.subtract.outer(np.arange(key_len - query_len, key_len), np.arange(key_len)))
    return np.multiply.outer(slopes, -distance)


def alibi_single(heads, query_len, key_len):
    return alibi(heads, query_len, key_len).astype(np.float32)


def alibi_lists(heads, query_len, key_len):
    return alibi(heads, query_len, key_len).tolist()


for answer in (alibi_in_loops, alibi_by_outer, alibi_single, alibi_lists):
    correct(answer.__name__, alibi=answer)


def a_list_that_grows(cache, query, key, value):
    cache = [] if cache is None else cache
    cache.append((key.copy(), value.copy()))
    keys, values = (np.concatenate(part, axis=1) for part in zip(*cache, strict=True))
    return masked_attention(query, keys, values, True), cache


def a_buffer(cache, query, key, value):
    cache = cache or {
        "k": np.zeros((len(key), 64, key.shape[2])),
        "v": np.zeros((len(key), 64, value.shape[2])),
        "n": 0,
    }
    cache["k"][:, cache["n"]], cache["v"][:, cache["n"]] = key[:, 0], value[:, 0]
    cache["n"] += 1
    return masked_attention(query, cache["k"][:, : cache["n"]], cache["v"][:, : cache["n"]], True), cache


def newest_in_front(cache, query, key, value):
    if cache is not None:
        key, value = np.concatenate([key, cache[0]], 1), np.concatenate([value, cache[1]], 1)
    return masked_attention(query, key, value, True), [key, value]


def online_state(cache, query, key, value):
    class Cache:
        keys = value_rows = None

    cache = cache or Cache()
    cache.keys = key if cache.keys is None else np.hstack([cache.keys, key])
    cache.value_rows = value if cache.value_rows is None else np.hstack([cache.value_rows, value])
    scores = np.einsum("hqd,hkd->hqk", query, cache.keys) / math.sqrt(query.shape[2])
    parts = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hqk,hkd->hqd", parts / parts.sum(-1, keepdims=True), cache.value_rows), cache


for step in (a_list_that_grows, a_buffer, newest_in_front, online_state, single(decode_step)):
    correct(step.__name__, decode_step=step)


def bytes_in_floats(config, tokens, batch):
    return float(
        np.prod([config["layers"], config["kv_heads"], config["key_dim"] + config["value_dim"]], dtype=float)
        * config["bytes_per_element"]
        * tokens
        * batch
    )


def sequences_by_floor(config, context, memory_bytes):
    return math.floor(max(0.0, (memory_bytes - config["weight_bytes"]) / bytes_in_floats(config, context, 1)))


def sequences_by_counting(config, context, memory_bytes):
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        fits = config["weight_bytes"] + cache_bytes(config, context, middle) <= memory_bytes
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def seconds_in_parts(config, context, batch, bandwidth):
    return config["weight_bytes"] / bandwidth + batch * cache_bytes(config, context, 1) / bandwidth


correct(
    "floats", cache_bytes=bytes_in_floats, max_sequences=sequences_by_floor, decode_seconds=decode_seconds
)
correct(
    "counting", cache_bytes=cache_bytes, max_sequences=sequences_by_counting, decode_seconds=seconds_in_parts
)
correct(
    "numpy-integers",
    cache_bytes=lambda c, t, b: np.int64(cache_bytes(c, t, b)),
    max_sequences=max_sequences,
    decode_seconds=lambda *a: np.float32(decode_seconds(*a)),
)
correct(
    "zero-dimensional-arrays",
    cache_bytes=lambda *a: np.asarray(cache_bytes(*a)),
    max_sequences=max_sequences,
    decode_seconds=decode_seconds,
)


def flash_row_by_row(query, key, value, block):
    outputs, logs = [], []
    for row in query:
        top, total, output = -math.inf, 0.0, np.zeros(value.shape[1])
        for start in range(0, len(key), block):
            scores = key[start : start + block] @ row / math.sqrt(len(row))
            new = max(top, scores.max())
            parts = np.exp(scores - new)
            shrink = math.exp(top - new)
            total, output, top = (
                total * shrink + parts.sum(),
                output * shrink + parts @ value[start : start + block],
                new,
            )
        outputs.append(output / total)
        logs.append(top + math.log(total))
    return np.array(outputs), np.array(logs)


def flash_in_two_passes(query, key, value, block):
    scale = query.shape[1] ** -0.5
    blocks = [slice(start, start + block) for start in range(0, len(key), block)]
    top = np.max([(query @ key[b].T * scale).max(1) for b in blocks], axis=0)
    total = sum(np.exp(query @ key[b].T * scale - top[:, None]).sum(1) for b in blocks)
    output = sum(np.exp(query @ key[b].T * scale - top[:, None]) @ value[b] for b in blocks)
    return output / total[:, None], top + np.log(total)


def flash_by_merging(query, key, value, block):
    done = None
    for start in range(0, len(key), block):
        scores = query @ key[start : start + block].T / math.sqrt(query.shape[1])
        log = np.logaddexp.reduce(scores, axis=1)
        part = np.exp(scores - log[:, None]) @ value[start : start + block], log
        done = part if done is None else merge(*done, *part)
    return done


def flash_of_normalized(query, key, value, block):
    output, log = np.zeros((len(query), value.shape[1])), np.full(len(query), -np.inf)
    for start in range(0, len(key), block):
        scores = query @ key[start : start + block].T / math.sqrt(query.shape[1])
        new = np.logaddexp(log, np.logaddexp.reduce(scores, axis=1))
        output = (
            output * np.exp(log - new)[:, None] + np.exp(scores - new[:, None]) @ value[start : start + block]
        )
        log = new
    return [output, log]


def leaks_by_nan(attention_fn, tokens):
    found = []
    for j in range(1, tokens):
        for which in (1, 2):
            arrays = [np.random.default_rng(i).normal(size=(tokens, 3)) for i in range(3)]
            arrays[which][j] = np.nan
            found += [(i, j) for i in range(j) if np.isnan(attention_fn(*arrays)[i]).any()]
    return found


def leaks_by_allclose(attention_fn, tokens):
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(size=(3, tokens, 16))
    pairs = set()
    for i, j in product(range(tokens), repeat=2):
        for key, value in ((100.0, 0.0), (0.0, 100.0)):
            k2, v2 = k.copy(), v.copy()
            k2[j] -= key
            v2[j] += value
            if j > i and not np.allclose(attention_fn(q, k2, v2)[i], attention_fn(q, k, v)[i]):
                pairs.add((np.int64(i), np.int64(j)))
    return pairs


def leaks_as_an_array(attention_fn, tokens):
    return np.array(sorted(leaks(attention_fn, tokens))).reshape(-1, 2)


def leaks_both_at_once(attention_fn, tokens):
    rng = np.random.default_rng(2)
    arrays = rng.normal(size=(3, tokens, 4))
    before = attention_fn(*arrays)
    table = np.zeros((tokens, tokens), dtype=bool)
    for j in range(tokens):
        changed = arrays.copy()
        changed[1:, j] = rng.normal(size=(2, 4))
        table[:, j] = np.abs(attention_fn(*changed) - before).max(1) > 1e-6
    return {tuple(pair) for pair in np.argwhere(np.triu(table, 1)).tolist()}


correct("row-by-row-and-nan", flash=flash_row_by_row, leaks=leaks_by_nan)
correct("two-passes-and-allclose", flash=flash_in_two_passes, leaks=leaks_by_allclose)
correct("merging-and-an-array", flash=flash_by_merging, leaks=leaks_as_an_array)
correct("normalized-and-both-at-once", flash=flash_of_normalized, leaks=leaks_both_at_once)
correct("float32", flash=single(flash), leaks=leaks)


def induction_in_loops(weights, tokens):
    last: dict[int, int] = {}
    total, rows = np.zeros(len(weights)), 0
    for row, token in enumerate(tokens.tolist()):
        if token in last:
            total += weights[:, row, last[token] + 1]
            rows += 1
        last[token] = row
    return total / rows if rows else total


def induction_by_a_table(weights, tokens):
    n = len(tokens)
    same = (tokens[:, None] == tokens) & np.tri(n, k=-1, dtype=bool)
    rows = np.flatnonzero(same.any(axis=1))
    if not len(rows):
        return [0.0] * len(weights)
    last = n - 1 - same[rows, ::-1].argmax(axis=1)
    return weights[:, rows, last + 1].mean(axis=1)


def gap_by_halving(others, share):
    low, high = -50.0, 80.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if 1 / (1 + others * math.exp(-middle)) < share else (low, middle)
    return middle


correct(
    "loops", induction_score=induction_in_loops, needed_gap=lambda n, s: math.log(n) + math.log(s / (1 - s))
)
correct("table", induction_score=induction_by_a_table, needed_gap=gap_by_halving)
correct("float32", induction_score=single(induction_score), needed_gap=needed_gap)
correct(
    "arrays",
    induction_score=lambda w, t: list(induction_score(w, t)),
    needed_gap=lambda n, s: -np.log((1 / s - 1) / n),
)
