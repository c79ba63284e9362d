"""The sizes of an attention problem, and the axes of its score matrix."""

from dataclasses import dataclass, fields
from math import prod
from typing import NamedTuple, Self

from attnscope.arguments import whole_number
from attnscope.errors import AttentionShapeError

LARGEST_DIM = 1024
MOST_TOKENS = 2**31
MOST_HEADS_FACTORED = 4096  # an error message lists the divisors of at most so many heads


@dataclass(frozen=True)
class AttentionShape:
    """The seven sizes of an attention problem.

    Arrays have the shapes query (batch, query_heads, query_len, key_dim), key (batch, kv_heads, key_len,
    key_dim), value (batch, kv_heads, key_len, value_dim) and output (batch, query_heads, query_len,
    value_dim).

    Parameters
    ----------
    batch : int
        Number of independent sequences, 0 or more.
    query_heads : int
        Number of heads of queries, a multiple of `kv_heads`.
    kv_heads : int
        Number of heads of keys and values; query head h reads kv head h // (query_heads // kv_heads).
    query_len : int
        Number of queries, 0 or more.
    key_len : int
        Number of keys, 0 or more.
    key_dim : int
        Length of a query and of a key, 1 to 1024.
    value_dim : int
        Length of a value and of an output row, 1 to 1024.

    Raises
    ------
    AttentionShapeError
        If a size is out of its range, the heads cannot be shared, or no machine could hold the arrays.

    References
    ----------
    Shared kv heads: Ainslie et al. 2023, arXiv:2305.13245.

    Examples
    --------
    >>> heads = {"query_heads": 8, "kv_heads": 2}
    >>> decode = AttentionShape(1, **heads, query_len=1, key_len=100, key_dim=64, value_dim=64)
    >>> decode.query_heads // decode.kv_heads  # query heads that read the same keys
    4
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
                    f"{name}={dim}: expected 1 to {LARGEST_DIM}. The last axis holds a vector, the axis "
                    "before it "
                    "counts tokens."
                )
        for name, tokens in (("query_len", self.query_len), ("key_len", self.key_len)):
            if tokens >= MOST_TOKENS:
                raise AttentionShapeError(
                    f"{name}={tokens}: expected less than 2**31 tokens. Split the call."
                )
        row = max(self.key_len, self.key_dim, self.value_dim)
        bytes_per_number = 8
        factors = (max(self.batch, 1), self.query_heads, max(self.query_len, 1), row, bytes_per_number)
        if prod(factors) >= 2**63:
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
                f"query_heads={query_heads} cannot share kv_heads={kv_heads}: each kv head must serve the "
                "same "
                f"number of query heads. Use kv_heads {divisors}."
            )


class Sizes(NamedTuple):
    """The axes of the score matrix, to which masks and biases broadcast."""

    batch: int
    heads: int
    query_len: int
    key_len: int

    @property
    def queries(self) -> range:
        """The indices of all queries."""
        return range(self.query_len)

    @classmethod
    def of(cls, shape: AttentionShape) -> Self:
        """The score matrix of a problem."""
        return cls(shape.batch, shape.query_heads, shape.query_len, shape.key_len)


class Slot(NamedTuple):
    """The indices of one entry of the score matrix."""

    batch: int
    head: int
    query: int
    key: int
