"""How fast the cache decodes here: one new token of each sequence, over all that came before."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

import attnscope as at
from attnscope.bench.memory import check_memory
from attnscope.bench.speed import duration, share
from attnscope.machine import Machine, this_machine
from attnscope.problem import FORMATS

if TYPE_CHECKING:
    from rich.console import Console

KEY_LENS = (4096, 32768, 131072)
BEYOND_CACHES = 2**28  # bytes that are read before a layer's turn comes again, as in a model
CHUNK_TOKENS = 4096  # drawn once, and appended until the cache is full: what is in it does not matter


@dataclass(frozen=True)
class DecodeCase:
    """What is timed: attend() with one query a sequence, on layers taken in turn."""

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
        """Each key and value once, as it is stored; int8 has a float32 scale for each."""
        dims = self.key_dim + self.value_dim
        item_bytes = {"float32": 4, "int8": 1}.get(self.number_format, 2)
        row_bytes = dims * item_bytes + (2 * 4 if self.number_format == "int8" else 0)
        return self.batch * self.kv_heads * self.key_len * row_bytes

    @property
    def layers(self) -> int:
        return max(1, -(-BEYOND_CACHES // self.bytes_read))


@dataclass(frozen=True)
class DecodeMeasurement:
    """Seconds of one layer's attend(), and the speeds that follow."""

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
    """The command line's options: one case, or one for each of three lengths where none was given."""
    given = {name: option for name, option in options.items() if option is not None}
    query_heads = given.setdefault("query_heads", 32)
    given.setdefault("kv_heads", max(1, query_heads // 4))
    given.setdefault("value_dim", given["key_dim"])
    given.setdefault("page_tokens", 64)
    given.setdefault("threads", at.kernels.default_threads())
    lens = [given.pop("key_len")] if "key_len" in given else KEY_LENS
    return [DecodeCase(**given, key_len=key_len) for key_len in lens]


def measure_decode(case: DecodeCase) -> DecodeMeasurement:
    """Fill a cache, and attend to its layers in turn; the read bandwidth is measured in between."""
    cache, sequences, query = filled_cache(case)
    seconds, bandwidths = [], []
    for turn in range(case.repeat + 1):
        bandwidths.append(at.kernels.measure_read_bandwidth(case.threads, rounds=1))
        for layer in range(case.layers):
            start = time.perf_counter()
            cache.attend(layer, sequences, query, threads=case.threads)
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


def filled_cache(case: DecodeCase) -> tuple[at.KVCache, list[int], Any]:
    """A cache whose sequences have key_len tokens in every layer, and a query for each."""
    check_memory(case.layers * case.bytes_read + BEYOND_CACHES, "the cache takes {}")
    cache = at.KVCache(
        layers=case.layers,
        kv_heads=case.kv_heads,
        key_dim=case.key_dim,
        value_dim=case.value_dim,
        dtype=case.number_format,
        page_tokens=case.page_tokens,
        capacity_tokens=case.batch * (case.key_len + case.page_tokens),
    )
    int8 = case.number_format == "int8"  # which rounds what it is given in float32
    draw, dtype = np.random.default_rng(0), FORMATS["float32" if int8 else case.number_format]
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


def print_decode(measured: Sequence[DecodeMeasurement], console: "Console") -> None:
    """What ran, and a row for each length."""
    from rich.table import Table

    case = measured[0].case
    console.print(f"[dim]{measured[0].machine}[/]")
    console.print(
        f"decode: {case.batch} sequence{'s' * (case.batch > 1)}, {case.query_heads} query heads on {case.kv_heads} kv "
        f"heads, dims {case.key_dim} and {case.value_dim}, cached as {case.number_format} in pages of {case.page_tokens} "
        "tokens; layers in turn, so that none is in the processor's caches",
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("keys", "a layer", "keys, values"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in measured:
        table.add_row(
            f"{row.case.key_len:,}",
            f"[bold]{duration(row.median_seconds)}[/]",
            f"{row.bytes_per_second / 1e9:,.1f} GB/s",
            share(row.share_of_read_bandwidth, row.read_bandwidth_bytes_per_second, "GB/s of a read alone"),
        )
    console.print(table)
