"""How fast the cache decodes here: one new token per sequence, over all tokens before it."""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from attnscope.bench.call import check_memory
from attnscope.cache import KVCache
from attnscope.kernels import default_threads, measure_read_bandwidth
from attnscope.machine import Machine, this_machine
from attnscope.problem import FORMATS

KEY_LENS = (4096, 32768, 131072)
BEYOND_CACHES = 2**28  # bytes that are read before a layer's turn comes again, as in a model
CHUNK_TOKENS = 4096  # drawn once, and appended until the cache is full: its content does not matter


def token_bytes(kv_heads: int, key_dim: int, value_dim: int, number_format: str) -> int:
    """Bytes of one token in one layer; an int8 row has a float32 scale."""
    if number_format == "int8":
        return kv_heads * (key_dim + value_dim + 2 * 4)
    return kv_heads * (key_dim + value_dim) * FORMATS[number_format].itemsize


def given_format(number_format: str) -> np.dtype[Any]:
    """The dtype of the arrays that a cache of this format takes: it rounds to int8 itself."""
    return FORMATS["float32" if number_format == "int8" else number_format]


@dataclass(frozen=True)
class DecodeCase:
    """Decoding to time: attend() with one query per sequence, on layers taken in turn.

    Parameters
    ----------
    batch, query_heads, kv_heads, key_len, key_dim, value_dim : int
        Sizes; `batch` is the number of sequences, `key_len` their tokens.
    number_format : str
        Of the cache.
    page_tokens : int
        Tokens per page.
    threads : int
        Threads of a call.
    repeat : int
        Rounds over the layers.
    """

    batch: int
    query_heads: int
    kv_heads: int
    key_len: int
    key_dim: int
    value_dim: int
    number_format: str
    page_tokens: int
    threads: int
    repeat: int

    @property
    def bytes_read(self) -> int:
        """Bytes of all keys and values of one layer as stored, each counted once."""
        token = token_bytes(self.kv_heads, self.key_dim, self.value_dim, self.number_format)
        return self.batch * self.key_len * token

    @property
    def layers(self) -> int:
        """Layers that together exceed every CPU cache."""
        return max(1, -(-BEYOND_CACHES // self.bytes_read))


@dataclass(frozen=True)
class DecodeMeasurement:
    """Seconds of one layer's attend(), and the rates that follow.

    Parameters
    ----------
    machine : Machine
        Where it was measured.
    case : DecodeCase
        What was measured.
    layers_in_turn : int
        Layers that were taken in turn.
    median_seconds, least_seconds, most_seconds : float
        Over all calls after the first round.
    bytes_read : int
        Keys and values of one layer.
    bytes_per_second : float
        Bytes over median seconds.
    read_bandwidth_bytes_per_second, share_of_read_bandwidth : float
        A streaming read, measured between the rounds, and the share of it.
    """

    machine: Machine
    case: DecodeCase
    layers_in_turn: int
    median_seconds: float
    least_seconds: float
    most_seconds: float
    bytes_read: int
    bytes_per_second: float
    read_bandwidth_bytes_per_second: float
    share_of_read_bandwidth: float


def decode_cases(options: dict[str, Any]) -> list[DecodeCase]:
    """Make cases of the command line's options: one, or one per length of KEY_LENS.

    Parameters
    ----------
    options : dict
        Fields of DecodeCase; None is open.

    Returns
    -------
    list of DecodeCase
        The cases to time.
    """
    given = {name: option for name, option in options.items() if option is not None}
    query_heads = given.setdefault("query_heads", 32)
    given.setdefault("kv_heads", max(1, query_heads // 4))
    given.setdefault("value_dim", given["key_dim"])
    given.setdefault("page_tokens", 64)
    given.setdefault("threads", default_threads())
    lens = [given.pop("key_len")] if "key_len" in given else KEY_LENS
    return [DecodeCase(**given, key_len=key_len) for key_len in lens]


def measure_decode(case: DecodeCase) -> DecodeMeasurement:
    """Fill a cache and attend to its layers in turn; the read bandwidth is measured between the rounds.

    Parameters
    ----------
    case : DecodeCase
        The decoding to time, on random numbers.

    Returns
    -------
    DecodeMeasurement
        Seconds, rates and the share of the limit.

    Raises
    ------
    AttentionError
        If the cache refuses the sizes, or the machine has too little memory for it.
    """
    cache, sequences, query = filled_cache(case)
    seconds, bandwidths = [], []
    for turn in range(case.repeat + 1):
        bandwidths.append(measure_read_bandwidth(case.threads, rounds=1))
        for layer in range(case.layers):
            start = time.perf_counter()
            cache.attend(sequences, layer, query, threads=case.threads)
            if turn:  # the first round touches new memory
                seconds.append(time.perf_counter() - start)
    typical, bandwidth = median(seconds), median(bandwidths)
    return DecodeMeasurement(
        machine=this_machine(case.threads),
        case=case,
        layers_in_turn=case.layers,
        median_seconds=typical,
        least_seconds=min(seconds),
        most_seconds=max(seconds),
        bytes_read=case.bytes_read,
        bytes_per_second=case.bytes_read / typical,
        read_bandwidth_bytes_per_second=bandwidth,
        share_of_read_bandwidth=case.bytes_read / typical / bandwidth,
    )


def filled_cache(case: DecodeCase) -> tuple[KVCache, list[int], Any]:
    """A cache whose sequences have key_len tokens in every layer, its sequences, and one query for each."""
    check_memory(case.layers * case.bytes_read + BEYOND_CACHES, "the cache takes {}")
    cache = KVCache(
        layers=case.layers,
        kv_heads=case.kv_heads,
        key_dim=case.key_dim,
        value_dim=case.value_dim,
        dtype=case.number_format,
        page_tokens=case.page_tokens,
        capacity_tokens=case.batch * (case.key_len + case.page_tokens),
    )
    draw, dtype = np.random.default_rng(0), given_format(case.number_format)
    tokens = min(CHUNK_TOKENS, case.key_len)
    key, value = (
        draw.standard_normal((case.kv_heads, tokens, dim), np.float32).astype(dtype)
        for dim in (case.key_dim, case.value_dim)
    )
    sequences = [cache.new_sequence() for _ in range(case.batch)]
    for layer in range(case.layers):
        for sequence in sequences:
            for first in range(0, case.key_len, tokens):
                now = slice(0, min(tokens, case.key_len - first))
                cache.append(sequence, layer, key[:, now], value[:, now])
    query = draw.standard_normal((case.batch, case.query_heads, 1, case.key_dim), np.float32)
    return cache, sequences, query.astype(dtype)
