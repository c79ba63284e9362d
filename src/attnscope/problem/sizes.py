"""The sizes that a mask is asked about, and one entry of the score matrix."""

from typing import NamedTuple, Self

from attnscope.problem.shape import AttentionShape


class Sizes(NamedTuple):
    """The axes that masks and biases broadcast to."""

    batch: int
    heads: int
    query_len: int
    key_len: int

    @property
    def queries(self) -> range:
        """All of them."""
        return range(self.query_len)

    @classmethod
    def of(cls, shape: AttentionShape) -> Self:
        """The score matrix of a problem."""
        return cls(shape.batch, shape.query_heads, shape.query_len, shape.key_len)


class Slot(NamedTuple):
    """One entry of the score matrix."""

    batch: int
    head: int
    query: int
    key: int
