"""attention() in JAX programs; and JAX's own attention for an audit, heads before tokens."""

from functools import cache
from typing import Any

import jax

from attnscope.audit import Contract, tokens_first
from attnscope.interop.jax_attention import attention as attention


@cache
def _compiled() -> Any:
    """The whole call compiled: otherwise JAX compiles every operation for every shape."""
    return jax.jit(jax.nn.dot_product_attention, static_argnames=("is_causal", "local_window_size"))


@tokens_first
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    causal: bool = False,
    mask: Any = None,
    window: tuple[int, int] | None = None,
    bias: Any = None,
    scale: float | None = None,
) -> Any:
    """Call jax.nn.dot_product_attention; its local_window_size counts neighbours, as attnscope's windows do.

    Parameters
    ----------
    query, key, value : array, (batch, tokens, heads, dim)
        Fewer key heads than query heads are shared.
    causal : bool
        Whether the mask is causal.
    mask : array of bool, (batch, heads, query_len, key_len), or None
        True = visible.
    window : (left, right) or None
        Neighbours on each side, the position itself not counted.
    bias : array, (batch, heads, query_len, key_len), or None
        Added to the scores.
    scale : float or None
        1 / sqrt(key_dim) unless given.

    Returns
    -------
    array, (batch, query_len, heads, dim)
        The output.
    """
    return _compiled()(
        query, key, value, bias=bias, mask=mask, scale=scale, is_causal=causal, local_window_size=window
    )


dot_product_attention.contract = Contract(  # type: ignore[attr-defined]
    causal=True, mask=True, window=True, bias=True, grouped_heads=True, scale=True
)
