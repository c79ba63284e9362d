"""The work that is timed: sizes, mask, number format; its inputs, its cost, and the correct result."""

from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

DTYPES: dict[str, Any] = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}

BEYOND_CACHES = 2**28

Bound = Literal["compute", "memory", "call"]


@dataclass(frozen=True)
class Inputs:
    """query (batch, query_heads, query_len, key_dim), key and value (batch, kv_heads, key_len, dim)."""

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]


@dataclass(frozen=True)
class Work:
    """One problem. A window is causal and counts the query's own key; the last query meets the last key."""

    name: str
    query_len: int
    key_len: int
    causal: bool = False
    window: int | None = None
    batch: int = 1
    query_heads: int = 8
    kv_heads: int = 8
    key_dim: int = 128
    value_dim: int = 128
    number_format: str = "float32"
    query_scale: float = (
        1.0  # standard deviation of the queries' entries: a larger one makes more peaked rows
    )
    bound: Bound = "compute"  # what limits it: multiply-adds, memory, or the call itself
    cache_format: str | None = None  # of keys and values in the cache, if it differs from the queries'

    @property
    def offset(self) -> int:
        return self.key_len - self.query_len

    @property
    def group(self) -> int:
        return self.query_heads // self.kv_heads

    @property
    def copies(self) -> int:
        """How many inputs are taken in turn, so that none is in the CPU's caches: as a model's layers."""
        return max(1, -(-BEYOND_CACHES // self.read_bytes)) if self.bound == "memory" else 1

    def inputs(self, seed: int = 0) -> Inputs:
        """Draw from a normal distribution; the same in every process."""
        draw = np.random.default_rng(seed).standard_normal
        dtype = DTYPES[self.number_format]
        query = self.query_scale * draw(
            (self.batch, self.query_heads, self.query_len, self.key_dim), np.float32
        )
        key = draw((self.batch, self.kv_heads, self.key_len, self.key_dim), np.float32)
        value = draw((self.batch, self.kv_heads, self.key_len, self.value_dim), np.float32)
        return Inputs(query.astype(dtype), key.astype(dtype), value.astype(dtype))

    def spans(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of these queries, its first visible key and the end of its visible keys."""
        position = rows + self.offset
        end = np.full_like(rows, self.key_len) if self.window is None and not self.causal else position + 1
        first = np.zeros_like(rows) if self.window is None else np.maximum(position + 1 - self.window, 0)
        return first, end

    def visible(self) -> NDArray[np.bool_]:
        """The matrix (query_len, key_len) for libraries that have no windows."""
        first, end = self.spans(np.arange(self.query_len))
        keys = np.arange(self.key_len)
        return (first[:, None] <= keys) & (keys < end[:, None])

    @property
    def item_bytes(self) -> int:
        return int(np.dtype(DTYPES[self.number_format]).itemsize)

    @property
    def token_bytes(self) -> int:
        """Bytes of a key and a value of one kv head as stored; int8 has one float32 scale for each."""
        dims = self.key_dim + self.value_dim
        return dims + 2 * 4 if self.cache_format == "int8" else dims * self.item_bytes

    @property
    def amount(self) -> int | None:
        """Floating-point operations or bytes, by what bounds the work; None if the call itself does."""
        return {"compute": self.flops, "memory": self.read_bytes}.get(self.bound)

    @property
    def flops(self) -> int:
        """One multiplication and one addition per entry of key and value, for each visible pair."""
        first, end = self.spans(np.arange(self.query_len))
        pairs = self.batch * self.query_heads * int((end - first).sum())
        return 2 * (self.key_dim + self.value_dim) * pairs

    @property
    def read_bytes(self) -> int:
        """Bytes of all visible keys and values, each counted once."""
        first, end = self.spans(np.arange(self.query_len))
        return self.batch * self.kv_heads * int(end.max() - first.min()) * self.token_bytes

    @property
    def output_bytes(self) -> int:
        entries = self.batch * self.query_heads * self.query_len * self.value_dim
        return entries * self.item_bytes

    def rows_in_float64(self, inputs: Inputs, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute these rows of the output by the definition, (batch, query_heads, rows, value_dim)."""
        wide = [
            np.asarray(array, np.float64) for array in (inputs.query[:, :, rows], inputs.key, inputs.value)
        ]
        query, key, value = wide[0], *(np.repeat(array, self.group, axis=1) for array in wide[1:])
        scores = query @ key.swapaxes(2, 3) / np.sqrt(self.key_dim)
        first, end = self.spans(rows)
        keys = np.arange(self.key_len)
        hidden = (keys < first[:, None]) | (keys >= end[:, None])
        scores[..., hidden] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed: NDArray[np.float64] = weights @ value / weights.sum(axis=-1, keepdims=True)
        return mixed

    def error(self, output: NDArray[Any], inputs: Inputs, rows: NDArray[np.int64]) -> float:
        """The largest difference from float64, over these rows of all heads."""
        return float(np.abs(output[:, :, rows].astype(np.float64) - self.rows_in_float64(inputs, rows)).max())
