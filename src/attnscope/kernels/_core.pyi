"""
The compiled kernel. Arrays arrive validated; bfloat16 arrives as its bits, uint16.
"""

from collections.abc import Sequence
from typing import Any

import numpy.typing

class StatisticsArrays:
    """The arrays of observe(), by name."""

    def __init__(
        self,
        arrays: dict[str, numpy.typing.NDArray[Any]],
        *,
        batch: int,
        query_heads: int,
        query_len: int,
        key_len: int,
        first_keys: int,
        segments: int,
        top_keys: int,
        map_rows: int,
        map_columns: int,
    ) -> None: ...

class Plan:
    """A problem prepared for many calls."""

    def __init__(
        self,
        *,
        level: str,
        batch: int,
        query_heads: int,
        kv_heads: int,
        query_len: int,
        key_len: int,
        key_dim: int,
        value_dim: int,
        format: str,
        key_value_format: str,
        output_format: str,
        scale: float,
        softcap: float | None,
        first_key: numpy.typing.NDArray[Any] | None,
        end_key: numpy.typing.NDArray[Any] | None,
        words: numpy.typing.NDArray[Any] | None,
    ) -> None: ...
    def run(
        self,
        *,
        query: numpy.typing.NDArray[Any],
        key: numpy.typing.NDArray[Any],
        value: numpy.typing.NDArray[Any],
        output: numpy.typing.NDArray[Any],
        logsumexp: numpy.typing.NDArray[Any] | None,
        bias: numpy.typing.NDArray[Any] | None,
        slopes: numpy.typing.NDArray[Any] | None,
        sinks: numpy.typing.NDArray[Any] | None,
        threads: int,
        statistics: StatisticsArrays | None,
    ) -> None: ...
    def run_pages(
        self,
        *,
        query: numpy.typing.NDArray[Any],
        key_pages: numpy.typing.NDArray[Any],
        value_pages: numpy.typing.NDArray[Any],
        key_scales: numpy.typing.NDArray[Any] | None,
        value_scales: numpy.typing.NDArray[Any] | None,
        block_table: numpy.typing.NDArray[Any],
        key_lens: numpy.typing.NDArray[Any],
        output: numpy.typing.NDArray[Any],
        logsumexp: numpy.typing.NDArray[Any] | None,
        bias: numpy.typing.NDArray[Any] | None,
        slopes: numpy.typing.NDArray[Any] | None,
        sinks: numpy.typing.NDArray[Any] | None,
        threads: int,
        statistics: StatisticsArrays | None,
    ) -> None: ...
    def run_gradients(
        self,
        *,
        query: numpy.typing.NDArray[Any],
        key: numpy.typing.NDArray[Any],
        value: numpy.typing.NDArray[Any],
        bias: numpy.typing.NDArray[Any] | None,
        slopes: numpy.typing.NDArray[Any] | None,
        output: numpy.typing.NDArray[Any],
        logsumexp: numpy.typing.NDArray[Any],
        grad_output: numpy.typing.NDArray[Any],
        grad_query: numpy.typing.NDArray[Any],
        grad_key: numpy.typing.NDArray[Any],
        grad_value: numpy.typing.NDArray[Any],
        grad_bias: numpy.typing.NDArray[Any] | None,
        mean: numpy.typing.NDArray[Any],
        threads: int,
    ) -> None: ...

def usable_levels() -> list[str]: ...
def cpu_registers() -> list[int]: ...
def use_openmp(use: bool) -> bool: ...
def missing_features(level: str, registers: Sequence[int]) -> list[str]: ...
def lanes(level: str) -> int: ...
def apply_function(
    level: str, function: str, from_: numpy.typing.NDArray[Any], to: numpy.typing.NDArray[Any]
) -> None: ...
def fma_limit(level: str, *, threads: int, iterations: int) -> float: ...
def read_bandwidth(level: str, data: numpy.typing.NDArray[Any], *, threads: int) -> float: ...
