"""The sizes of an attention problem."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionShape:
    """How many of what: the seven sizes that all of attnscope speaks in.

    Shapes
        query     (batch, query_heads, query_len, key_dim)
        key       (batch, kv_heads, key_len, key_dim)
        value     (batch, kv_heads, key_len, value_dim)
        output    (batch, query_heads, query_len, value_dim)
    """

    batch: int
    query_heads: int
    kv_heads: int
    query_len: int
    key_len: int
    key_dim: int
    value_dim: int
