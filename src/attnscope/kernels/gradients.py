"""The backward pass of a described problem, computed by the compiled kernel."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnscope.kernels.plan import as_bits
from attnscope.kernels.run import plan_of
from attnscope.kernels.threads import checked_threads, default_threads
from attnscope.problem import FORMAT_NAMES, AttentionProblem, Operands


class KernelGradients(NamedTuple):
    """The gradients of one call, with four axes.

    Parameters
    ----------
    query, key, value : ndarray
        In the problem's format and the shapes of the operands, with the axes in the same order in memory.
    bias : ndarray of float32, shape (batch, query_heads, query_len, key_len), or None
        The gradients of the scores.
    mean : ndarray of float32, shape (batch, query_heads, query_len)
        grad_output . output of each row.
    """

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    bias: NDArray[np.float32] | None
    mean: NDArray[np.float32]


def run_gradients(
    problem: AttentionProblem,
    operands: Operands,
    *,
    output: NDArray[Any],
    logsumexp: NDArray[np.float32],
    grad_output: NDArray[Any],
    bias_gradient: bool = False,
    threads: int | None = None,
) -> KernelGradients:
    """Compute the gradients of query, key, value and, if asked for, of the scores.

    Parameters
    ----------
    problem : AttentionProblem
    operands : Operands
        The arrays that `problem` was described from.
    output : ndarray, shape (batch, query_heads, query_len, value_dim)
        Of the forward pass, in float32 or the problem's format.
    logsumexp : ndarray of float32, shape (batch, query_heads, query_len)
        Of the forward pass.
    grad_output : ndarray, shape (batch, query_heads, query_len, value_dim)
        In the problem's format.
    bias_gradient : bool, default False
        Whether to return the gradients of the scores, which takes a matrix.
    threads : int, optional

    Returns
    -------
    KernelGradients

    Raises
    ------
    UnsupportedProblemError
        If why_not() returns a reason.
    AttentionError
        If `threads` is not a number of threads.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    plan = plan_of(problem, FORMAT_NAMES[output.dtype])
    rows = operands.query.shape[:3]
    grad_bias = None
    if bias_gradient:
        grad_bias = np.zeros((*rows, operands.key.shape[2]), np.float32)
    grad_query, grad_key, grad_value = (zeros_like(array) for array in operands[:3])
    mean = np.empty(rows, np.float32)
    query, key, value, bias, alibi_slopes, _, _ = operands
    plan.run_gradients(
        query=as_bits(query),
        key=as_bits(key),
        value=as_bits(value),
        bias=None if bias is None else as_bits(bias),
        slopes=alibi_slopes,
        output=as_bits(output),
        logsumexp=np.ascontiguousarray(logsumexp),
        grad_output=as_bits(grad_output),
        grad_query=as_bits(grad_query),
        grad_key=as_bits(grad_key),
        grad_value=as_bits(grad_value),
        grad_bias=grad_bias,
        mean=mean,
        threads=threads,
    )
    return KernelGradients(grad_query, grad_key, grad_value, grad_bias, mean)


def zeros_like(array: NDArray[Any]) -> NDArray[Any]:
    """New zeros whose first three axes have the same order in memory; pages are mapped when written."""
    order = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))
    zeros = np.zeros([array.shape[axis] for axis in (*order, 3)], array.dtype)
    return zeros.transpose(*(order.index(axis) for axis in range(3)), 3)
