"""The compiled kernel. Arrays arrive validated; bfloat16 arrives as its bits, uint16."""

from typing import Any

from numpy.typing import NDArray

class StatisticsArrays:
    def __init__(
        self,
        sizes: tuple[int, int, int, int],
        arrays: dict[str, NDArray[Any]],
        first_keys: int,
        segments: int,
        top_keys: int,
        map_shape: tuple[int, int],
    ) -> None: ...

class Plan:
    def __init__(
        self,
        level: str,
        sizes: tuple[int, int, int, int, int, int, int],
        format: str,
        key_value_format: str,
        output_format: str,
        scale: float,
        softcap: float | None,
        first_key: NDArray[Any] | None,
        end_key: NDArray[Any] | None,
        words: NDArray[Any] | None,
    ) -> None: ...
    def run(
        self,
        query: NDArray[Any],
        key: NDArray[Any],
        value: NDArray[Any],
        output: NDArray[Any],
        logsumexp: NDArray[Any] | None,
        bias: NDArray[Any] | None,
        bias_format: str,
        slopes: NDArray[Any] | None,
        sinks: NDArray[Any] | None,
        threads: int,
        statistics: StatisticsArrays | None = None,
    ) -> None: ...
    def run_pages(
        self,
        query: NDArray[Any],
        key_pages: NDArray[Any],
        value_pages: NDArray[Any],
        key_scales: NDArray[Any] | None,
        value_scales: NDArray[Any] | None,
        block_table: NDArray[Any],
        key_lens: NDArray[Any],
        output: NDArray[Any],
        logsumexp: NDArray[Any] | None,
        bias: NDArray[Any] | None,
        bias_format: str,
        slopes: NDArray[Any] | None,
        sinks: NDArray[Any] | None,
        threads: int,
        statistics: StatisticsArrays | None = None,
    ) -> None: ...

def usable_levels() -> list[str]: ...
def lanes(level: str) -> int: ...
def apply_function(level: str, function: str, from_: NDArray[Any], to: NDArray[Any]) -> None: ...
def fma_limit(level: str, threads: int, iterations: int) -> float: ...
def read_bandwidth(level: str, data: NDArray[Any], threads: int) -> float: ...
