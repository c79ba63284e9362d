"""How the output moves when the inputs do: the backward pass, written out by the chain rule."""

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionShapeError
from attnscope.reference.definition import dot_products, like_query, masked_scores, mix, quietly, softmax
from attnscope.reference.inputs import Floats, Inputs, Options, read


@dataclass(frozen=True, eq=False)
class Gradients:
    """The gradient of a loss with respect to each input of attention.

    Shapes
        query, key, value    those of the inputs
        bias                 that of the bias, None without one: axes it was broadcast over are summed
        sinks                (query_heads,), None without sinks
    Precision
        float64.
    """

    query: Floats
    key: Floats
    value: Floats
    bias: Floats | None
    sinks: Floats | None


@quietly
def gradients(
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    grad_output: NDArray[Any],
    **options: Unpack[Options],
) -> Gradients:
    """Carry the gradient of a loss from attention's output back to its inputs.

    With weights w, scores s (what the softmax reads), raw scores r (before the soft-cap c), and
    g[i] = the given gradient of output i:

    dw[i, j] = g[i] . value[j]                      dvalue[j] = sum_i w[i, j] g[i]
    ds[i, j] = w[i, j] (dw[i, j] - mean[i]),        mean[i] = sum_j w[i, j] dw[i, j]
    dsink    = sum_i w_sink[i] (0 - mean[i])        a sink's value is 0
    dbias    = ds
    dr       = ds (1 - tanh(r / c)^2)
    dquery[i] = scale sum_j dr[i, j] key[j]         dkey[j] = scale sum_i dr[i, j] query[i]

    Shapes
        grad_output    that of attention()'s output
    Precision
        float64; checked against central differences in tests/reference/test_gradients.py.
    Errors
        AttentionShapeError when grad_output has another shape; AttentionError from describe().
    Source
        Dao et al. 2022, arXiv:2205.14135, appendix B.2.

    >>> one = np.array([[1.0]])
    >>> gradients(one, one, one, one).value  # one key: its weight is 1 whatever the scores
    array([[1.]])
    """
    problem, operands, inputs = read(query, key, value, **options)
    shape, bias = problem.shape, options.get("bias")
    expected = (*np.shape(query)[:-1], shape.value_dim)
    if np.shape(grad_output) != expected:
        raise AttentionShapeError(
            f"grad_output has shape {np.shape(grad_output)}, expected {expected}, the output's. "
            "Pass the gradient of the loss with respect to attention()'s output."
        )
    grad_rows = np.asarray(grad_output, dtype=np.float64).reshape(
        shape.batch, shape.query_heads, shape.query_len, shape.value_dim
    )

    # 1. forward again: the weights are cheaper to recompute than to keep
    weights, logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)

    # 2. through the mix and the softmax
    seen_by = inputs.visible.swapaxes(-1, -2)
    grad_value = mix(weights.swapaxes(-1, -2), seen_by, grad_rows)
    grad_weights = np.where(inputs.visible, grad_rows @ inputs.value.swapaxes(-1, -2), 0.0)
    mean = (weights * grad_weights).sum(axis=-1)
    grad_scores = np.where(inputs.visible, weights * (grad_weights - mean[..., None]), 0.0)

    # 3. through the soft-cap and the dot product
    grad_dots = inputs.scale * np.where(inputs.visible, grad_scores * soft_cap_slope(inputs), 0.0)
    grad_query = mix(grad_dots, inputs.visible, inputs.key)
    grad_key = mix(grad_dots.swapaxes(-1, -2), seen_by, inputs.query)

    return Gradients(
        query=like_query(operands, grad_query),
        key=like_query(operands, of_shared_heads(shape.kv_heads, grad_key)),
        value=like_query(operands, of_shared_heads(shape.kv_heads, grad_value)),
        bias=None if bias is None else summed_to(bias.shape, grad_scores),
        sinks=None if inputs.sinks is None else grad_of_sinks(inputs.sinks, logsumexp, mean),
    )


def soft_cap_slope(inputs: Inputs) -> Floats:
    """Differentiate softcap * tanh(r / softcap) in r: 1 for small scores, 0 for capped ones."""
    if inputs.softcap is None:
        return np.ones_like(inputs.visible, dtype=np.float64)
    return 1.0 - np.tanh(dot_products(inputs) / inputs.softcap) ** 2


def grad_of_sinks(sinks: Floats, logsumexp: Floats, mean: Floats) -> Floats:
    """Add up, over the rows of a head, w_sink (0 - mean)."""
    absent = np.isneginf(sinks)[:, None]  # a sink of -inf is none: avoid (-inf) - (-inf) = nan
    weight_of_sink = np.where(absent, 0.0, np.exp(sinks[:, None] - logsumexp))
    grad: Floats = -np.sum(weight_of_sink * mean, axis=(0, -1))
    return grad


def of_shared_heads(kv_heads: int, grad: Floats) -> Floats:
    """Add up the gradients of the neighbouring query heads that read the same kv head."""
    batch, query_heads, *rest = grad.shape
    summed: Floats = np.sum(grad.reshape(batch, kv_heads, query_heads // kv_heads, *rest), axis=2)
    return summed


def summed_to(shape: tuple[int, ...], grad: Floats) -> Floats:
    """Sum backward what was broadcast forward."""
    missing = grad.ndim - len(shape)
    stretched = [missing + axis for axis, size in enumerate(shape) if size == 1]
    summed: Floats = np.sum(grad, axis=(*range(missing), *stretched)).reshape(shape)
    return summed
