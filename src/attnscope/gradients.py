"""The backward pass: attention_gradients()."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope import kernels, reference
from attnscope.attention import Implementation, chosen
from attnscope.problem import (
    FORMATS,
    Array,
    AttentionOptions,
    AttentionProblem,
    Forward,
    Mask,
    Operands,
    ScoringOptions,
    accumulation_dtype,
    check_out,
    describe,
    plain,
    read_forward,
)
from attnscope.result import Gradients


def attention_gradients(  # noqa: PLR0913  # attention()'s arguments, and those of the backward pass
    query: Array,
    key: Array,
    value: Array,
    grad_output: Array,
    *,
    mask: Mask | Array | None = None,
    output: Array | None = None,
    logsumexp: Array | None = None,
    bias_gradient: bool = True,
    threads: int | None = None,
    implementation: Implementation = "auto",
    **scoring: Unpack[ScoringOptions],
) -> Gradients:
    """Propagate the gradient of a loss from the output of attention() back to its inputs.

    With weights w, `g = grad_output` and `mean[i] = g[i] . output[i]`:

    `dvalue[j] = sum_i w[i, j] g[i]`, `ds[i, j] = w[i, j] (g[i] . value[j] - mean[i])`,
    `dquery[i] = scale sum_j ds[i, j] key[j]`, `dkey[j] = scale sum_i ds[i, j] query[i]`,
    `dbias = ds`, `dsink = -sum_i w_sink[i] mean[i]`. Under a soft-cap c, ds in dquery and dkey is multiplied
    by `1 - tanh(scale query . key / c)^2`.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
        As in attention().
    grad_output : ndarray, shape (batch, query_heads, query_len, value_dim)
        The gradient of the loss with respect to the output, in the query's format.
    mask : Mask or ndarray of bool, optional
        As in attention().
    output : ndarray, shape (batch, query_heads, query_len, value_dim), optional
        Of attention() or partial_attention(), in the query's format or float32. With it, `logsumexp` is
        needed, and the forward pass is not repeated.
    logsumexp : ndarray, shape (batch, query_heads, query_len), optional
        Of partial_attention(): float32, or float64 beside float64.
    bias_gradient : bool, default True
        Whether to return the gradient of the bias: in the kernel it takes a float32 matrix (batch,
        query_heads, query_len, key_len).
    threads : int, optional
        As in attention().
    implementation : {"auto", "kernel", "reference"}, default "auto"
        As in attention(). The reference computes the scores of the whole matrix.
    **scoring : Unpack[ScoringOptions]
        scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    Gradients
        query, key and value in the format and shape of the inputs; bias and sinks in the format of the sums.

    Raises
    ------
    AttentionShapeError, AttentionFormatError
        If grad_output, output or logsumexp does not fit the query, or only one of output and logsumexp comes.
    AttentionError, TypeError
        As attention() does.

    Notes
    -----
    Sums are float32 and are rounded once; float64 runs in the reference. The bits of a query's gradient
    depend on its query, keys, values, mask, scoring and incoming gradient only. Those of a key's and a
    value's depend on that key and the rows that see it, in an order fixed by absolute positions. Hidden slots
    get exactly 0 and pass nothing on, not even NaN.

    An output of 16 bits makes `mean` less exact than the float32 output that is computed without it.

    Time is O(query_len * visible keys). Memory beyond the arrays is O(query_len), float32 sums of the query
    gradients of 16-bit formats included (of at most 32 MiB, or of one kv head), and the output if it is not
    passed.

    References
    ----------
    Dao et al. 2022, arXiv:2205.14135, appendix B.4; Dao 2023, arXiv:2307.08691, Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> query, key = np.zeros((1, 1), np.float32), np.zeros((4, 1), np.float32)
    >>> value = np.array([[0.0], [0.0], [0.0], [4.0]], np.float32)
    >>> gradients = attention_gradients(query, key, value, np.ones((1, 1), np.float32))
    >>> gradients.value.ravel()  # four equal weights
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    problem, operands = describe(query, key, value, mask=mask, **scoring)
    forward = read_forward(problem, operands, grad_output, output, logsumexp)
    if chosen(implementation, problem) == "reference":
        options: AttentionOptions = {"mask": mask, **scoring}
        exact = reference.gradients(
            query, key, value, grad_output, output=output, logsumexp=logsumexp, **options
        )
        return in_formats(exact, problem, bias_gradient)
    return run_kernel(problem, operands, forward, scoring, bias_gradient=bias_gradient, threads=threads)


def attention_and_logsumexp(
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    out: NDArray[Any],
    threads: int | None = None,
    **options: Unpack[AttentionOptions],
) -> NDArray[Any]:
    """attention() into `out`, and the logsumexp that its backward pass needs."""
    problem, operands = describe(query, key, value, **options)
    check_out(out, problem, operands)
    if chosen("auto", problem) == "reference":
        part = reference.partial_attention(query, key, value, **options)
        out[...] = part.output
        return part.logsumexp.astype(accumulation_dtype(problem.number_format))
    rows = out[(None,) * (4 - operands.rank)]
    _, logsumexp = kernels.run(problem, operands, out=rows, logsumexp=True, threads=threads)
    assert logsumexp is not None
    return operands.like_query(logsumexp)


def run_kernel(
    problem: AttentionProblem,
    operands: Operands,
    forward: Forward,
    scoring: ScoringOptions,
    *,
    bias_gradient: bool,
    threads: int | None,
) -> Gradients:
    """The gradients by the kernel, after a forward pass in float32 if none was given."""
    output, logsumexp = forward.output, forward.logsumexp
    if output is None or logsumexp is None:
        output, logsumexp = kernels.run(
            problem, operands, logsumexp=True, output_format="float32", threads=threads
        )
        assert logsumexp is not None
    bias, sinks = scoring.get("bias"), operands.sinks
    computed = kernels.run_gradients(
        problem,
        operands,
        output=output,
        logsumexp=logsumexp,
        grad_output=forward.grad_output,
        bias_gradient=bias is not None and bias_gradient,
        threads=threads,
    )
    grad_bias = grad_sinks = None
    if bias is not None and computed.bias is not None:
        grad_bias = reference.summed_to(plain(bias, "bias").shape, computed.bias).astype(np.float32)
    if sinks is not None:
        grad_sinks = reference.grad_of_sinks(sinks, logsumexp, computed.mean).astype(np.float32)
    drop = operands.added_axes
    return Gradients(computed.query[drop], computed.key[drop], computed.value[drop], grad_bias, grad_sinks)


def in_formats(exact: Gradients, problem: AttentionProblem, bias_gradient: bool) -> Gradients:
    """The reference's gradients in the formats that the kernel returns."""
    dtype = FORMATS[problem.number_format]
    accumulated = accumulation_dtype(problem.number_format)
    query, key, value = (each.astype(dtype) for each in (exact.query, exact.key, exact.value))
    bias, sinks = (None if each is None else each.astype(accumulated) for each in (exact.bias, exact.sinks))
    return Gradients(query, key, value, bias if bias_gradient else None, sinks)
