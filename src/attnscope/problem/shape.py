"""The sizes of an attention problem."""

from dataclasses import dataclass, fields
from math import prod

from attnscope.arguments import whole_number
from attnscope.errors import AttentionShapeError

LARGEST_DIM = 1024
MOST_TOKENS = 2**31
MOST_HEADS_FACTORED = 4096  # for the error's text


@dataclass(frozen=True)
class AttentionShape:
    """How many of what: the seven sizes that all of attnscope speaks in.

    Shapes
        query     (batch, query_heads, query_len, key_dim)
        key       (batch, kv_heads, key_len, key_dim)
        value     (batch, kv_heads, key_len, value_dim)
        output    (batch, query_heads, query_len, value_dim)
    Errors
        AttentionShapeError for sizes that no attention has, or no machine could hold.
    """

    batch: int
    query_heads: int
    kv_heads: int
    query_len: int
    key_len: int
    key_dim: int
    value_dim: int

    def __post_init__(self) -> None:
        for field in fields(self):
            size = whole_number(getattr(self, field.name), field.name, minimum=0, error=AttentionShapeError)
            object.__setattr__(self, field.name, size)
        self._check_heads()
        for name, dim in (("key_dim", self.key_dim), ("value_dim", self.value_dim)):
            if not 1 <= dim <= LARGEST_DIM:
                raise AttentionShapeError(
                    f"{name}={dim}: expected 1 to {LARGEST_DIM}. The last axis holds a vector, the axis before it "
                    "counts tokens."
                )
        for name, tokens in (("query_len", self.query_len), ("key_len", self.key_len)):
            if tokens >= MOST_TOKENS:
                raise AttentionShapeError(
                    f"{name}={tokens}: expected less than 2**31 tokens. Split the call."
                )
        row = max(self.key_len, self.key_dim, self.value_dim)
        if (
            prod((max(self.batch, 1), self.query_heads, max(self.query_len, 1), row, 8)) >= 2**63
        ):  # 8 bytes each
            raise AttentionShapeError(
                f"batch={self.batch} x query_heads={self.query_heads} x query_len={self.query_len} x "
                f"key_len={self.key_len}: the product overflows 64 bits. Split the batch or the queries."
            )

    def _check_heads(self) -> None:
        query_heads, kv_heads = self.query_heads, self.kv_heads
        if query_heads < 1 or kv_heads < 1:
            raise AttentionShapeError(
                f"query_heads={query_heads}, kv_heads={kv_heads}: expected at least 1 of each. "
                "An empty call has 0 batch rows, 0 queries or 0 keys."
            )
        if query_heads % kv_heads:
            divisors = "that divides query_heads"
            if query_heads <= MOST_HEADS_FACTORED:
                divisors = f"in {[heads for heads in range(1, query_heads + 1) if query_heads % heads == 0]}"
            raise AttentionShapeError(
                f"query_heads={query_heads} cannot share kv_heads={kv_heads}: each kv head must serve the same "
                f"number of query heads. Use kv_heads {divisors}."
            )
