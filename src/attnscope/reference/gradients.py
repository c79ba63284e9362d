"""The gradients of attention: the backward pass, written out by the chain rule."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import Array, AttentionOptions, plain, read_forward
from attnscope.reference.definition import dot_products, masked_scores, mix, quietly, softmax
from attnscope.reference.inputs import Bools, Floats, Inputs, read, widen
from attnscope.result import Gradients


@quietly
def gradients(
    query: Array,
    key: Array,
    value: Array,
    grad_output: Array,
    *,
    output: Array | None = None,
    logsumexp: Array | None = None,
    **options: Unpack[AttentionOptions],
) -> Gradients:
    """Propagate the gradient of a loss from attention's output back to its inputs.

    With weights w, scores s (what the softmax reads), raw scores r (before the soft-cap c), and the
    gradient g[i] of output i:

    dw[i, j] = g[i] . value[j]                      dvalue[j] = sum_i w[i, j] g[i]
    ds[i, j] = w[i, j] (dw[i, j] - mean[i]),        mean[i] = sum_j w[i, j] dw[i, j]
    dsink    = sum_i w_sink[i] (0 - mean[i])        the value of a sink is 0
    dbias    = ds
    dr       = ds (1 - tanh(r / c)^2)
    dquery[i] = scale sum_j dr[i, j] key[j]         dkey[j] = scale sum_i dr[i, j] query[i]

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    grad_output : ndarray, shape (batch, query_heads, query_len, value_dim)
        Of the query's rank; in its format, or float64.
    output : ndarray, shape (batch, query_heads, query_len, value_dim), optional
    logsumexp : ndarray, shape (batch, query_heads, query_len), optional
        Of the forward pass, both or neither: weights are then exp(score - logsumexp), and mean is g . output.
    **options : Unpack[AttentionOptions]
        mask, scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    Gradients
        float64.

    Raises
    ------
    AttentionShapeError, AttentionFormatError
        If grad_output, output or logsumexp does not fit the query.
    AttentionError, TypeError
        As attention() does.

    Notes
    -----
    The tests compare the result with central differences.

    References
    ----------
    Dao et al. 2022, arXiv:2205.14135, appendix B.2.

    Examples
    --------
    >>> one = np.array([[1.0]])
    >>> gradients(one, one, one, one).value  # a single key has the weight 1, whatever its score
    array([[1.]])
    """
    problem, operands, inputs = read(query, key, value, **options)
    shape, bias, drop = problem.shape, options.get("bias"), operands.added_axes
    forward = read_forward(problem, operands, grad_output, output, logsumexp, wider=True)
    grad_rows = widen(forward.grad_output)

    # 1. forward again: recomputing the weights takes less memory than keeping them
    weights, row_logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)
    if forward.logsumexp is not None:
        row_logsumexp = widen(forward.logsumexp)
        weights = weights_of(inputs, row_logsumexp)

    # 2. through the mix and the softmax
    seen_by: Bools = inputs.visible.swapaxes(-1, -2)
    grad_value = mix(weights.swapaxes(-1, -2), seen_by, grad_rows)
    grad_weights = np.where(inputs.visible, grad_rows @ inputs.value.swapaxes(-1, -2), 0.0)
    mean = (weights * grad_weights).sum(axis=-1)
    if forward.output is not None:
        mean = (grad_rows * widen(forward.output)).sum(axis=-1)
    grad_scores = np.where(inputs.visible, weights * (grad_weights - mean[..., None]), 0.0)

    # 3. through the soft-cap and the dot product
    grad_dots = inputs.scale * np.where(inputs.visible, grad_scores * soft_cap_slope(inputs), 0.0)
    grad_query = mix(grad_dots, inputs.visible, inputs.key)
    grad_key = mix(grad_dots.swapaxes(-1, -2), seen_by, inputs.query)

    return Gradients(
        query=grad_query[drop],
        key=of_shared_heads(shape.kv_heads, grad_key)[drop],
        value=of_shared_heads(shape.kv_heads, grad_value)[drop],
        bias=None if bias is None else summed_to(plain(bias, "bias").shape, grad_scores),
        sinks=None if inputs.sinks is None else grad_of_sinks(inputs.sinks, row_logsumexp, mean),
    )


def weights_of(inputs: Inputs, logsumexp: Floats) -> Floats:
    """exp(score - logsumexp): the softmax, of which the logsumexp is known."""
    anchor = np.where(np.isneginf(logsumexp), 0.0, logsumexp)  # a row without weight
    weights: Floats = np.exp(masked_scores(inputs) - anchor[..., None])
    return weights


def soft_cap_slope(inputs: Inputs) -> Floats:
    """The derivative of softcap * tanh(r / softcap) in r: 1 for small scores, 0 for capped ones."""
    if inputs.softcap is None:
        return np.ones_like(inputs.visible, dtype=np.float64)
    return 1.0 - np.tanh(dot_products(inputs) / inputs.softcap) ** 2


def grad_of_sinks(sinks: NDArray[Any], logsumexp: NDArray[Any], mean: NDArray[Any]) -> Floats:
    """Sum w_sink (0 - mean) over the rows of a head."""
    absent = np.isneginf(sinks)[:, None]  # -inf is no sink; (-inf) - (-inf) would be NaN
    weight_of_sink = np.where(absent, 0.0, np.exp(sinks[:, None] - logsumexp.astype(np.float64)))
    grad: Floats = -np.sum(weight_of_sink * mean, axis=(0, -1))
    return grad


def of_shared_heads(kv_heads: int, grad: Floats) -> Floats:
    """Sum the gradients of the adjacent query heads that read the same kv head."""
    batch, query_heads, *rest = grad.shape
    summed: Floats = np.sum(grad.reshape(batch, kv_heads, query_heads // kv_heads, *rest), axis=2)
    return summed


def summed_to(shape: tuple[int, ...], grad: NDArray[Any]) -> Floats:
    """Sum over the axes that the forward pass broadcast."""
    missing = grad.ndim - len(shape)
    stretched = [missing + axis for axis, size in enumerate(shape) if size == 1]
    summed: Floats = np.sum(grad, axis=(*range(missing), *stretched), dtype=np.float64).reshape(shape)
    return summed
