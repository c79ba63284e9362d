"""Wrong answers to exercise 7."""

import math

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import cache_bytes


def of_token(c):
    return c["layers"] * c["kv_heads"] * (c["key_dim"] + c["value_dim"]) * c["bytes_per_element"]


@planted(7, "cache_bytes", "2 * key_dim is counted")
def twice_the_key(config, tokens, batch):
    c = config
    return 2 * c["layers"] * c["kv_heads"] * c["key_dim"] * c["bytes_per_element"] * tokens * batch


@planted(7, "cache_bytes", "the values are missing")
def keys_alone(config, tokens, batch):
    c = config
    return c["layers"] * c["kv_heads"] * c["key_dim"] * c["bytes_per_element"] * tokens * batch


@planted(7, "cache_bytes", "the layers are missing")
def one_layer(config, tokens, batch):
    return of_token(config) // config["layers"] * tokens * batch


@planted(7, "cache_bytes", "the heads are missing")
def one_head(config, tokens, batch):
    return of_token(config) // config["kv_heads"] * tokens * batch


@planted(7, "cache_bytes", "not their bytes")
def elements(config, tokens, batch):
    return of_token(config) // config["bytes_per_element"] * tokens * batch


@planted(7, "cache_bytes", "the batch is missing")
def one_sequence(config, tokens, batch):
    return of_token(config) * tokens


@planted(7, "cache_bytes", "not with their square")
def quadratic(config, tokens, batch):
    return of_token(config) * tokens**2 * batch


@planted(7, "cache_bytes", "these are bits")
def bits(config, tokens, batch):
    return of_token(config) * tokens * batch * 8


@planted(7, "cache_bytes", "expected a whole number")
def gibibytes(config, tokens, batch):
    return of_token(config) * tokens * batch / 2**30


@planted(7, "cache_bytes", "no part of the cache")
def with_weights(config, tokens, batch):
    return of_token(config) * tokens * batch + config["weight_bytes"]


@planted(7, "cache_bytes", "key_dim is multiplied by value_dim")
def product(config, tokens, batch):
    c = config
    return (
        c["layers"] * c["kv_heads"] * c["key_dim"] * c["value_dim"] * c["bytes_per_element"] * tokens * batch
    )


@planted(7, "max_sequences", "weights are missing")
def no_weights(config, context, memory_bytes):
    return memory_bytes // cache_bytes(config, context, 1)


@planted(7, "max_sequences", "negative")
def negative(config, context, memory_bytes):
    return (memory_bytes - config["weight_bytes"]) // cache_bytes(config, context, 1)


@planted(7, "max_sequences", "rounded up")
def rounded_up(config, context, memory_bytes):
    return max(0, math.ceil((memory_bytes - config["weight_bytes"]) / cache_bytes(config, context, 1)))


@planted(7, "max_sequences", "to the nearest")
def nearest(config, context, memory_bytes):
    return max(0, round((memory_bytes - config["weight_bytes"]) / cache_bytes(config, context, 1)))


@planted(7, "max_sequences", "expected a whole number")
def a_fraction(config, context, memory_bytes):
    return max(0, (memory_bytes - config["weight_bytes"]) / cache_bytes(config, context, 1))


@planted(7, "max_sequences", "not sequences of that many tokens")
def tokens_instead(config, context, memory_bytes):
    return max(0, (memory_bytes - config["weight_bytes"]) // cache_bytes(config, 1, 1))


@planted(7, "max_sequences", "all sequences share them")
def weights_each(config, context, memory_bytes):
    return memory_bytes // (config["weight_bytes"] + cache_bytes(config, context, 1))


@planted(7, "decode_seconds", "weights are missing")
def cache_alone(config, context, batch, bandwidth):
    return cache_bytes(config, context, batch) / bandwidth


@planted(7, "decode_seconds", "cache is missing")
def weights_alone(config, context, batch, bandwidth):
    return config["weight_bytes"] / bandwidth


@planted(7, "decode_seconds", "once for the whole batch")
def weights_for_each(config, context, batch, bandwidth):
    return batch * (config["weight_bytes"] + cache_bytes(config, context, 1)) / bandwidth


@planted(7, "decode_seconds", "cache of one sequence")
def one_cache(config, context, batch, bandwidth):
    return (config["weight_bytes"] + cache_bytes(config, context, 1)) / bandwidth


@planted(7, "decode_seconds", "milliseconds")
def in_milliseconds(config, context, batch, bandwidth):
    return 1000 * (config["weight_bytes"] + cache_bytes(config, context, batch)) / bandwidth


@planted(7, "decode_seconds", "steps per second")
def rate(config, context, batch, bandwidth):
    return bandwidth / (config["weight_bytes"] + cache_bytes(config, context, batch))


@planted(7, "decode_seconds", "one token of the cache")
def one_token(config, context, batch, bandwidth):
    return (config["weight_bytes"] + cache_bytes(config, 1, batch)) / bandwidth


@planted(7, "windowed_cache_bytes", "windows make no difference", stretch=True)
def full(config, tokens, batch):
    return cache_bytes(config, tokens, batch)
