"""What a backward pass reads besides the operands: the incoming gradient and the forward results."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionError, AttentionFormatError, AttentionShapeError
from attnscope.problem.arrays import FORMATS, accumulation_dtype, check_array, plain, read_vectors
from attnscope.problem.operands import Operands
from attnscope.problem.problem import AttentionProblem


class Forward(NamedTuple):
    """Validated views of the caller's arrays, with four axes and, the logsumexp, three.

    Parameters
    ----------
    grad_output : ndarray, shape (batch, query_heads, query_len, value_dim)
        In the problem's format.
    output : ndarray, shape (batch, query_heads, query_len, value_dim), or None
        In the problem's format or that of the sums.
    logsumexp : ndarray, shape (batch, query_heads, query_len), or None
        In the format of the sums.
    """

    grad_output: NDArray[Any]
    output: NDArray[Any] | None
    logsumexp: NDArray[Any] | None


def read_forward(
    problem: AttentionProblem,
    operands: Operands,
    grad_output: Any,
    output: Any,
    logsumexp: Any,
    *,
    wider: bool = False,
) -> Forward:
    """Validate the arrays of a backward pass against a described problem; `wider` accepts float64 beside all.

    Raises AttentionFormatError or AttentionShapeError, and AttentionError if only one of output and logsumexp
    is given.
    """
    if (output is None) != (logsumexp is None):
        given, missing = ("output", "logsumexp") if logsumexp is None else ("logsumexp", "output")
        raise AttentionError(
            f"{given} comes without {missing}, expected both of the forward pass, or neither. "
            "partial_attention() returns both."
        )
    shape, outer = problem.shape, (None,) * (4 - operands.rank)
    rows = (shape.batch, shape.query_heads, shape.query_len)[4 - operands.rank :]
    own, sums = FORMATS[problem.number_format], accumulation_dtype(problem.number_format)
    widest = (FORMATS["float64"],) if wider else ()
    grad_output = read_vectors(grad_output, "grad_output")
    _expect(grad_output, "grad_output", (*rows, shape.value_dim), (own, *widest))
    if output is None:
        return Forward(grad_output[outer], None, None)
    output, logsumexp = read_vectors(output, "output"), plain(logsumexp, "logsumexp")
    check_array(logsumexp, "logsumexp")
    _expect(output, "output", (*rows, shape.value_dim), (own, sums, *widest))
    _expect(logsumexp, "logsumexp", rows, (sums, *widest))
    return Forward(grad_output[outer], output[outer], logsumexp[outer])


def _expect(
    array: NDArray[Any], name: str, shape: tuple[int, ...], formats: tuple[np.dtype[Any], ...]
) -> None:
    if array.shape != shape:
        raise AttentionShapeError(
            f"{name} has shape {list(array.shape)}, expected {list(shape)}. {ORIGIN[name]}"
        )
    if array.dtype not in formats:
        names = " or ".join(dict.fromkeys(str(each) for each in formats))
        raise AttentionFormatError(f"{name} is {array.dtype}, expected {names}. {ORIGIN[name]}")


ORIGIN = {
    "grad_output": "Pass the gradient of the loss with respect to attention()'s output, "
    "in the query's format.",
    "output": "Pass the output of attention() or partial_attention() for this query.",
    "logsumexp": "Pass the logsumexp of partial_attention() for this query.",
}
