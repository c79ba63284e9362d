"""Wrong answers to exercise 7."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import decode_step, masked_attention

STORE: dict = {}


def extended(cache, key, value):
    if cache is None:
        return key, value
    return np.concatenate([cache[0], key], axis=1), np.concatenate([cache[1], value], axis=1)


def attend(query, key, value, scale=1.0):
    return masked_attention(query * scale, key, value, True)


@planted(7, "decode_step", "own token alone")
def no_past(cache, query, key, value):
    return attend(query, key, value), extended(cache, key, value)


@planted(7, "decode_step", "the newest replaced it")
def overwritten(cache, query, key, value):
    if cache is not None:
        both = np.concatenate([cache[0], key], 1), np.concatenate([cache[1], value], 1)
        return attend(query, *(part[:, -1:] for part in both)), (key, value)
    return attend(query, key, value), (key, value)


@planted(7, "decode_step", "new token does not see itself")
def asks_before_it_joins(cache, query, key, value):
    output = value if cache is None else attend(query, *cache)
    return output, extended(cache, key, value)


@planted(7, "decode_step", "is the old one")
def cache_stays(cache, query, key, value):
    keys, values = extended(cache, key, value)
    return attend(query, keys, values), (key, value) if cache is None else cache


@planted(7, "decode_step", "scaled again at each step")
def keys_shrink(cache, query, key, value):
    keys, values = extended(cache, key, value)
    keys = keys / np.sqrt(query.shape[-1])
    return attend(query, keys, values, np.sqrt(query.shape[-1])), (keys, values)


@planted(7, "decode_step", "two sequences share a cache")
def in_a_global(cache, query, key, value):
    if cache is None:
        STORE["kv"] = None
    STORE["kv"] = extended(STORE["kv"], key, value)
    return attend(query, *STORE["kv"]), "see STORE"


@planted(7, "decode_step", "keep something between calls")
def in_a_default(cache, query, key, value, kept=[]):  # noqa: B006  # that is the mistake
    kept.append((key, value))
    keys, values = (np.concatenate(part, axis=1) for part in zip(*kept, strict=True))
    return attend(query, keys, values), kept


@planted(7, "decode_step", "not scaled")
def unscaled(cache, query, key, value):
    keys, values = extended(cache, key, value)
    return attend(query, keys, values, np.sqrt(query.shape[-1])), (keys, values)


@planted(7, "decode_step", "cached in another order")
def values_in_front(cache, query, key, value):
    if cache is not None:
        key, value = np.concatenate([cache[0], key], 1), np.concatenate([value, cache[1]], 1)
    return attend(query, key, value), (key, value)


@planted(7, "decode_step", "query is cached")
def caches_queries(cache, query, key, value):
    keys, values = extended(cache, query, value)
    return attend(query, keys, values), (keys, values)


@planted(7, "decode_step", "last two tokens")
def short_memory(cache, query, key, value):
    keys, values = extended(cache, key, value)
    return attend(query, keys[:, -2:], values[:, -2:]), (keys, values)


@planted(7, "decode_step", "appended twice")
def joins_twice(cache, query, key, value):
    keys, values = extended(cache, key, value)
    if cache is not None:
        keys, values = extended((keys, values), key, value)
    return attend(query, keys, values), (keys, values)


@planted(7, "decode_step", "raises ValueError")
def along_heads(cache, query, key, value):
    if cache is not None:
        key, value = np.concatenate([cache[0], key], axis=0), np.concatenate([cache[1], value], axis=0)
    return attend(query, key, value), (key, value)


@planted(7, "decode_step", "expected two: (output, cache)")
def output_alone(cache, query, key, value):
    return decode_step(cache, query, key, value)[0]


@planted(7, "decode_step", "are output and cache swapped")
def swapped(cache, query, key, value):
    output, new = decode_step(cache, query, key, value)
    return {"cache": new}, output


@planted(7, "decode_step", "has shape (1, 1), expected (1, 1, 1)")
def an_axis_less(cache, query, key, value):
    output, new = decode_step(cache, query, key, value)
    return output[:, 0], new


@planted(7, "decode_step", "returns None for the cache")
def no_cache(cache, query, key, value):
    return decode_step(cache, query, key, value)[0], None


@planted(7, "decode_step", "cache of head 0")
def first_head(cache, query, key, value):
    keys, values = extended(cache, key, value)
    heads = len(keys)
    return attend(query, np.repeat(keys[:1], heads, 0), np.repeat(values[:1], heads, 0)), (keys, values)


@planted(7, "decode_in_window", "keeps growing", stretch=True)
def keeps_all(cache, query, key, value, window):
    keys, values = extended(cache, key, value)
    return attend(query, keys[:, -window:], values[:, -window:]), (keys, values)


@planted(7, "decode_in_window", "All earlier tokens are visible", stretch=True)
def no_window(cache, query, key, value, window):
    return decode_step(cache, query, key, value)
