"""Attention times its gradient: how much the weight on each key, all rows together, moves a loss."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.attention import CallOptions
from attnscope.gradients import attention_gradients
from attnscope.problem import FORMAT_NAMES, Array, accumulation_dtype, read_vectors


def attention_times_gradient(
    query: Array,
    key: Array,
    value: Array,
    grad_output: Array,
    *,
    output: Array | None = None,
    logsumexp: Array | None = None,
    **options: Unpack[CallOptions],
) -> NDArray[Any]:
    """Sum each weight times the gradient of the loss in that weight, over the queries.

    `relevance[j] = sum_i w[i, j] dw[i, j]`, with `dw[i, j] = grad_output[i] . value[j]`. The weights never
    become a matrix: `sum_i w[i, j] grad_output[i]` is the gradient of value j, so `relevance[j] = value[j] .
    dvalue[j]`.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    grad_output : ndarray, shape (batch, query_heads, query_len, value_dim)
        The gradient of the loss with respect to the output.
    output, logsumexp : ndarray, optional
        Of the forward pass, as in attention_gradients().
    **options : Unpack[CallOptions]
        Mask, scoring options, threads and implementation, as in attention().

    Returns
    -------
    ndarray, shape (batch, query_heads, key_len)
        In the format of the sums, without the axes that the query lacks. A key that no query sees has 0. The
        sum over the keys of a head is that of `grad_output . output` over its queries.

    Raises
    ------
    AttentionError, TypeError
        As attention_gradients() does.

    Notes
    -----
    Memory is O(query_len + key_len): keys and values are repeated for each query head.

    References
    ----------
    Chefer et al. 2021, arXiv:2103.15679, section 3, whose average over the heads keeps the positive products
    only.

    Examples
    --------
    >>> import numpy as np
    >>> query, key = np.zeros((1, 1), np.float32), np.zeros((2, 1), np.float32)
    >>> value = np.array([[3.0], [-1.0]], np.float32)
    >>> attention_times_gradient(query, key, value, np.ones((1, 1), np.float32))  # 1/2 * value
    array([ 1.5, -0.5], dtype=float32)
    """
    queries, keys, values = (
        read_vectors(each, name) for each, name in ((query, "query"), (key, "key"), (value, "value"))
    )
    group = query_heads_per_kv_head(queries, keys, values)
    if group > 1:
        keys, values = (np.repeat(each, group, axis=-3) for each in (keys, values))
    computed = attention_gradients(
        queries, keys, values, grad_output, output=output, logsumexp=logsumexp, bias_gradient=False, **options
    )
    wide = accumulation_dtype(FORMAT_NAMES[values.dtype])
    visible = np.where(computed.value != 0, values, 0)  # what is hidden may be NaN
    relevance: NDArray[Any] = (visible.astype(wide) * computed.value.astype(wide)).sum(axis=-1)
    return relevance


def query_heads_per_kv_head(query: NDArray[Any], key: NDArray[Any], value: NDArray[Any]) -> int:
    """How many query heads share a kv head; 1 if the shapes do not fit, which is refused later."""
    if not query.ndim == key.ndim == value.ndim > 2 or key.shape[-3] != value.shape[-3]:
        return 1
    heads, kv_heads = query.shape[-3], key.shape[-3]
    return heads // kv_heads if kv_heads and heads % kv_heads == 0 else 1
