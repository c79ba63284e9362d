"""The arrays that belong to a problem."""

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Operands(NamedTuple):
    """Validated views of the caller's arrays, never copies of query, key or value.

    Shapes
        query     (batch, query_heads, query_len, key_dim)
        key       (batch, kv_heads, key_len, key_dim)
        value     (batch, kv_heads, key_len, value_dim)
        bias      (batch, query_heads, query_len, key_len)    a broadcast view, or None
        alibi_slopes    (query_heads,)                              in the accumulation format, or None
        sinks     (query_heads,)                              in the accumulation format, or None
        rank      how many axes the caller's query had: 2, 3 or 4
    """

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    bias: NDArray[Any] | None
    alibi_slopes: NDArray[Any] | None
    sinks: NDArray[Any] | None
    rank: int
