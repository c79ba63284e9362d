"""Part of exercise 7: serving numbers. Bytes of a cache, sequences that fit, seconds per step."""

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np

from attnscope.lesson.comparing import UNIT
from attnscope.lesson.question import Arguments, Draw, Expected, Misconception, Task

Config = dict[str, int]
FIELDS = ("layers", "kv_heads", "key_dim", "value_dim", "bytes_per_element", "weight_bytes")
SMALL = {
    "layers": 3,
    "kv_heads": 2,
    "key_dim": 4,
    "value_dim": 6,
    "bytes_per_element": 2,
    "weight_bytes": 5000,
}
EQUAL = {**SMALL, "value_dim": 4, "kv_heads": 5, "bytes_per_element": 4}
LLAMA_8B = {
    "layers": 32,
    "kv_heads": 8,
    "key_dim": 128,
    "value_dim": 128,
    "bytes_per_element": 2,
    "weight_bytes": 16_060_522_496,
}


def asked(*more: str) -> Callable[[np.random.Generator, Any], Arguments]:
    """A config and further numbers, all of them sizes."""

    def make(rng: np.random.Generator, size: Any) -> Arguments:
        given = vars(size)
        return {"config": {name: given[name] for name in FIELDS}, **{name: given[name] for name in more}}

    return make


def draw(name: str, config: Config, **more: int) -> Draw:
    """A question about a config and these numbers."""
    return Draw(name, asked(*more), {**config, **more})


def token_bytes(config: Config) -> int:
    """One row of keys and one of values, in each layer and head."""
    rows = config["key_dim"] + config["value_dim"]
    return config["layers"] * config["kv_heads"] * rows * config["bytes_per_element"]


def whole(number: int) -> tuple[Expected, ...]:
    return (Expected(np.asarray(number, dtype=object)),)


def right_bytes(config: Config, tokens: int, batch: int) -> tuple[Expected, ...]:
    return whole(token_bytes(config) * tokens * batch)


def right_sequences(config: Config, context: int, memory_bytes: int) -> tuple[Expected, ...]:
    return whole(max(0, (memory_bytes - config["weight_bytes"]) // (token_bytes(config) * context)))


def right_seconds(config: Config, context: int, batch: int, bandwidth: float) -> tuple[Expected, ...]:
    seconds = np.asarray((config["weight_bytes"] + token_bytes(config) * context * batch) / bandwidth)
    return (Expected(seconds, 16 * UNIT * seconds),)


def per_token(**instead: Any) -> Callable[[Config], float]:
    """The bytes per token with some fields of the config replaced."""

    def wrong(config: Config) -> float:
        return token_bytes({**config, **{name: read(config) for name, read in instead.items()}})

    return wrong


def product_of_dims(config: Config) -> float:
    dims = config["key_dim"], config["value_dim"]
    return token_bytes(config) * dims[0] * dims[1] / sum(dims)


WRONG_TOKEN_BYTES: tuple[tuple[str, Callable[[Config], float]], ...] = (
    (
        "2 * key_dim is counted: a value has value_dim numbers, which may be another number.",
        per_token(value_dim=lambda c: c["key_dim"]),
    ),
    (
        "2 * value_dim is counted: a key has key_dim numbers, which may be another number.",
        per_token(key_dim=lambda c: c["value_dim"]),
    ),
    ("the values are missing: a token leaves a key and a value.", per_token(value_dim=lambda c: 0)),
    ("the keys are missing: a token leaves a key and a value.", per_token(key_dim=lambda c: 0)),
    ("the layers are missing: each layer has its own cache.", per_token(layers=lambda c: 1)),
    (
        "the heads are missing: each of the kv_heads has its own keys and values.",
        per_token(kv_heads=lambda c: 1),
    ),
    ("the numbers are counted, not their bytes.", per_token(bytes_per_element=lambda c: 1)),
    ("these are bits, not bytes.", per_token(bytes_per_element=lambda c: 8 * c["bytes_per_element"])),
    ("key_dim is multiplied by value_dim; a token leaves key_dim + value_dim numbers.", product_of_dims),
)


def with_wrong_token_bytes(
    formula: Callable[[Callable[[Config], float]], Callable[..., Any]],
) -> tuple[Misconception, ...]:
    """A formula that is right, with each wrong number of bytes per token."""
    return tuple(Misconception(message, formula(wrong)) for message, wrong in WRONG_TOKEN_BYTES)


BYTES = Task(
    name="cache_bytes",
    parameters=("config", "tokens", "batch"),
    results=("cache_bytes",),
    kind="whole numbers",
    draws=(
        draw("a small model", SMALL, tokens=10, batch=3),
        draw("keys as long as values", EQUAL, tokens=7, batch=2),
        draw("one sequence", SMALL, tokens=5, batch=1),
        draw("a model of 8 billion parameters", LLAMA_8B, tokens=131072, batch=16),
        draw("no token yet", SMALL, tokens=0, batch=3),
    ),
    expected=right_bytes,
    misconceptions=(
        *with_wrong_token_bytes(lambda per: lambda config, tokens, batch: per(config) * tokens * batch),
        Misconception(
            "the batch is missing: each sequence has a cache of its own.",
            lambda c, tokens, batch: token_bytes(c) * tokens,
        ),
        Misconception("the tokens are missing.", lambda c, tokens, batch: token_bytes(c) * batch),
        Misconception(
            "the tokens are squared: a cache grows with the tokens, not with their square.",
            lambda c, tokens, batch: token_bytes(c) * tokens * tokens * batch,
        ),
        Misconception(
            "the weights are counted; they are no part of the cache.",
            lambda c, tokens, batch: token_bytes(c) * tokens * batch + c["weight_bytes"],
        ),
    ),
)


def fitting(
    per: Callable[[Config], float] = token_bytes,
    free: Callable[[Config, int], float] = lambda c, memory: memory - c["weight_bytes"],
    rounded: Callable[[float], int] = lambda count: max(0, int(count // 1)),
) -> Callable[..., Any]:
    return lambda config, context, memory: rounded(free(config, memory) / (per(config) * context))


SEQUENCES = Task(
    name="max_sequences",
    parameters=("config", "context", "memory_bytes"),
    results=("sequences",),
    kind="whole numbers",
    draws=(
        draw("a small model", SMALL, context=10, memory_bytes=9400),
        draw("keys as long as values", EQUAL, context=7, memory_bytes=61_234),
        draw("many short sequences", SMALL, context=1, memory_bytes=5000 + 120 * 57),
        draw("just enough", SMALL, context=10, memory_bytes=5000 + 1200 * 3),
        draw("a byte too little", SMALL, context=10, memory_bytes=4999 + 1200 * 3),
        draw("a model of 8 billion parameters", LLAMA_8B, context=8192, memory_bytes=80 * 2**30),
        draw("weights that do not fit", SMALL, context=10, memory_bytes=1300),
    ),
    expected=right_sequences,
    misconceptions=(
        Misconception(
            "the weights are missing: they are in the same memory.", fitting(free=lambda c, memory: memory)
        ),
        Misconception(
            "the number is negative if the weights do not fit: then it should be 0.",
            fitting(rounded=lambda count: int(count // 1)),
        ),
        Misconception(
            "the number is negative if the weights do not fit: then it should be 0.", fitting(rounded=int)
        ),
        Misconception(
            "it is rounded up: a sequence that fits in part does not fit.",
            fitting(rounded=lambda count: max(0, ceil(count))),
        ),
        Misconception(
            "it is rounded to the nearest: a sequence that fits in part does not fit.",
            fitting(rounded=lambda count: max(0, round(count))),
        ),
        Misconception(
            "one too few: memory that is just enough is enough.",
            fitting(rounded=lambda count: max(0, ceil(count) - 1)),
        ),
        Misconception(
            "these are tokens, not sequences of that many tokens.",
            lambda c, context, memory: max(0, (memory - c["weight_bytes"]) // token_bytes(c)),
        ),
        Misconception(
            "the weights are counted for each sequence; all sequences share them.",
            lambda c, context, memory: memory // (token_bytes(c) * context + c["weight_bytes"]),
        ),
        Misconception(
            "the weights are added to the memory; they should be subtracted.",
            fitting(free=lambda c, memory: memory + c["weight_bytes"]),
        ),
        *with_wrong_token_bytes(lambda per: fitting(per)),
    ),
)
SECONDS = Task(
    name="decode_seconds",
    parameters=("config", "context", "batch", "bandwidth"),
    results=("seconds",),
    draws=(
        draw("a small model", SMALL, context=10, batch=3, bandwidth=1000),
        draw("keys as long as values", EQUAL, context=70, batch=2, bandwidth=5000),
        draw("one sequence", SMALL, context=100, batch=1, bandwidth=777),
        draw(
            "a model of 8 billion parameters", LLAMA_8B, context=8192, batch=32, bandwidth=3_350_000_000_000
        ),
    ),
    expected=right_seconds,
    misconceptions=(
        Misconception(
            "the weights are missing: each step reads them all.",
            lambda c, context, batch, rate: token_bytes(c) * context * batch / rate,
        ),
        Misconception(
            "the cache is missing: each step reads the keys and values of all earlier tokens.",
            lambda c, context, batch, rate: c["weight_bytes"] / rate,
        ),
        Misconception(
            "the weights are read for each sequence; a step reads them once for the whole batch.",
            lambda c, context, batch, rate: (c["weight_bytes"] + token_bytes(c) * context) * batch / rate,
        ),
        Misconception(
            "the cache of one sequence is read; each sequence of the batch has its own.",
            lambda c, context, batch, rate: (c["weight_bytes"] + token_bytes(c) * context) / rate,
        ),
        Misconception(
            "this is the time for each sequence of the batch; expected the time of a step.",
            lambda c, context, batch, rate: (
                (c["weight_bytes"] + token_bytes(c) * context * batch) / rate / batch
            ),
        ),
        Misconception(
            "the bytes are multiplied by the bandwidth; bytes divided by bytes per second are seconds.",
            lambda c, context, batch, rate: (c["weight_bytes"] + token_bytes(c) * context * batch) * rate,
        ),
        Misconception(
            "these are steps per second; expected seconds per step.",
            lambda c, context, batch, rate: rate / (c["weight_bytes"] + token_bytes(c) * context * batch),
        ),
        Misconception(
            "these are milliseconds; expected seconds.",
            lambda c, context, batch, rate: (
                1e3 * (c["weight_bytes"] + token_bytes(c) * context * batch) / rate
            ),
        ),
        Misconception(
            "the bandwidth is read as gigabytes per second; it is in bytes per second.",
            lambda c, context, batch, rate: (
                (c["weight_bytes"] + token_bytes(c) * context * batch) / (rate * 1e9)
            ),
        ),
        Misconception(
            "one token of the cache is read; a step reads those of the whole context.",
            lambda c, context, batch, rate: (c["weight_bytes"] + token_bytes(c) * batch) / rate,
        ),
        *with_wrong_token_bytes(
            lambda per: lambda c, context, batch, rate: (c["weight_bytes"] + per(c) * context * batch) / rate
        ),
    ),
)


def layered(rng: np.random.Generator, size: Any) -> Arguments:
    config: dict[str, Any] = {name: vars(size)[name] for name in FIELDS}
    config["windows"] = [None if layer % 3 == 2 else size.window for layer in range(size.layers)]
    return {"config": config, "tokens": size.tokens, "batch": size.batch}


def windowed(config: dict[str, Any], tokens: int, batch: int, kept: Any = min) -> int:
    of_layer = token_bytes({**config, "layers": 1})
    return batch * sum(of_layer * (tokens if w is None else kept(tokens, w)) for w in config["windows"])


WINDOWED_BYTES = Task(
    name="windowed_cache_bytes",
    parameters=("config", "tokens", "batch"),
    results=("cache_bytes",),
    kind="whole numbers",
    draws=(
        Draw(
            "more tokens than the window",
            layered,
            {**SMALL, "layers": 6, "window": 4, "tokens": 10, "batch": 2},
        ),
        Draw(
            "fewer tokens than the window",
            layered,
            {**SMALL, "layers": 6, "window": 16, "tokens": 9, "batch": 3},
        ),
    ),
    expected=lambda config, tokens, batch: whole(windowed(config, tokens, batch)),
    misconceptions=(
        Misconception(
            "the windows make no difference.", lambda c, tokens, batch: token_bytes(c) * tokens * batch
        ),
        Misconception(
            "a window is counted whole before it is full.",
            lambda c, tokens, batch: windowed(c, tokens, batch, kept=lambda tokens, w: w),
        ),
        Misconception(
            "a layer without a window keeps nothing; it should keep all.",
            lambda c, tokens, batch: (
                batch * sum(token_bytes({**c, "layers": 1}) * min(tokens, w or 0) for w in c["windows"])
            ),
        ),
    ),
)
