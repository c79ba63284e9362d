"""The arrays of a problem, and the array that receives the output."""

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import kind_of
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem.arrays import check_vectors, overlap, plain
from attnscope.problem.problem import AttentionProblem

Number = TypeVar("Number", bound=np.generic)


class Operands(NamedTuple):
    """Validated views of the caller's arrays; query, key and value are never copied.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    bias : ndarray, shape (batch, query_heads, query_len, key_len), or None
        A broadcast view.
    alibi_slopes, sinks : ndarray, shape (query_heads,), or None
        In the accumulation format.
    rank : int
        Number of axes of the caller's query: 2, 3 or 4.
    """

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    bias: NDArray[Any] | None
    alibi_slopes: NDArray[Any] | None
    sinks: NDArray[Any] | None
    rank: int

    @property
    def added_axes(self) -> tuple[int, ...]:
        """The index that removes from a result the axes that the caller's query did not have."""
        return (0,) * (4 - self.rank)

    def like_query(self, array: NDArray[Number]) -> NDArray[Number]:
        """The array without the axes that the caller's query did not have."""
        rows: NDArray[Number] = array[self.added_axes]
        return rows


def check_out(out: Any, problem: AttentionProblem, operands: Operands) -> NDArray[Any]:
    """View `out` as an array; check that the output fits into it, and that writing it overwrites no input.

    `out` has shape (batch, query_heads, query_len, value_dim), without the axes that the caller's query
    lacks. Raises AttentionFormatError or AttentionShapeError.
    """
    written = plain(out, "out")
    if isinstance(out, np.ndarray) and type(out) not in (np.ndarray, np.memmap):
        raise AttentionFormatError(
            f"out is a {kind_of(out)}, expected a plain array. Pass np.asarray(out), a view."
        )
    _check_kind(written, problem, operands)
    check_vectors(written, "out")
    if not written.flags.writeable:
        raise AttentionFormatError(
            "out is read-only, expected a writable array. Pass another array, or omit out=."
        )
    if written.size and not _entries_apart(written):
        raise AttentionFormatError(
            "out is a view whose entries share memory, expected separate entries. Pass an array of its own."
        )
    for name, array in operands._asdict().items():
        if isinstance(array, np.ndarray) and overlap(written, array):
            raise AttentionFormatError(
                f"out overlaps {name} in memory, expected separate memory: {name} would be overwritten "
                "while it is "
                "read. Pass another array."
            )
    return written


def _check_kind(out: NDArray[Any], problem: AttentionProblem, operands: Operands) -> None:
    shape = problem.shape
    expected = (shape.batch, shape.query_heads, shape.query_len, shape.value_dim)[4 - operands.rank :]
    if out.shape != expected:
        raise AttentionShapeError(
            f"out has shape {list(out.shape)}, expected {list(expected)}. "
            f"Make it with np.empty({expected}, query.dtype)."
        )
    if out.dtype != operands.query.dtype:
        raise AttentionFormatError(
            f"out is {out.dtype.str if out.dtype.kind == 'f' else out.dtype}, expected "
            f"{operands.query.dtype}, "
            "the query's dtype. Convert the result instead."
        )


def _entries_apart(array: NDArray[Any]) -> bool:
    """Whether each axis strides over all that the finer axes reach, as in every slice of a plain array."""
    reach = array.itemsize
    for stride, size in sorted(
        (abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True)
    ):
        if size > 1:
            if stride < reach:
                return False
            reach += stride * (size - 1)
    return True
