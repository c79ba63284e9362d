"""The array that the output is to be written into."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import kind_of
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem.arrays import check_vectors, plain
from attnscope.problem.operands import Operands
from attnscope.problem.problem import AttentionProblem

EFFORT = 10_000  # to find out whether two strided views meet; beyond it they are taken to


def check_out(out: NDArray[Any], problem: AttentionProblem, operands: Operands) -> None:
    """Check that the output fits into `out`, and overwrites nothing that is still read.

    Shapes
        out    (batch, query_heads, query_len, value_dim), less the axes that the caller's query went without
    Errors
        AttentionFormatError, AttentionShapeError.
    """
    if type(out) not in (np.ndarray, np.memmap):
        plain(out, "out")
        raise AttentionFormatError(
            f"out is a {kind_of(out)}, expected a plain array. Pass np.asarray(out), a view."
        )
    shape = problem.shape
    expected = (shape.batch, shape.query_heads, shape.query_len, shape.value_dim)[4 - operands.rank :]
    if out.shape != expected:
        raise AttentionShapeError(
            f"out has shape {list(out.shape)}, expected {list(expected)}. Make it with np.empty({expected}, query.dtype)."
        )
    if out.dtype != operands.query.dtype:
        raise AttentionFormatError(
            f"out is {out.dtype.str if out.dtype.kind == 'f' else out.dtype}, expected {operands.query.dtype}, "
            "the query's. Convert the result instead."
        )
    check_vectors(out, "out")
    if not out.flags.writeable:
        raise AttentionFormatError(
            "out is read-only, expected a writable array. Pass another, or leave out= away."
        )
    if out.size and not _entries_apart(out):
        raise AttentionFormatError(
            "out is a view whose entries share memory, expected one place for each. Pass an array of its own."
        )
    for name, array in operands._asdict().items():
        if isinstance(array, np.ndarray) and overlap(out, array):
            raise AttentionFormatError(
                f"out overlaps {name} in memory, expected memory of its own: {name} would be overwritten while it is "
                "read. Pass another array."
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


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays share memory, or may do where that is hard to say."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=EFFORT))  # type: ignore[arg-type]  # NumPy's stub knows 0 and -1
    except np.exceptions.TooHardError:
        return True
