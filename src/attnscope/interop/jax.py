"""JAX's attention as an audit asks it: heads before tokens, under the names that a contract declares."""

from functools import cache
from typing import Any

import jax

import attnscope as at


@cache
def _compiled() -> Any:
    """As a whole: else JAX compiles each operation for each shape, and there is time for fewer questions."""
    return jax.jit(jax.nn.dot_product_attention, static_argnames=("is_causal", "local_window_size"))


@at.audit.tokens_first
def dot_product_attention(
    query: Any, key: Any, value: Any, *, causal: bool = False, mask: Any = None,
    window: tuple[int, int] | None = None, bias: Any = None, scale: float | None = None,
) -> Any:  # fmt: skip
    """jax.nn.dot_product_attention; its local_window_size counts neighbours, as attnscope's windows do."""
    return _compiled()(
        query, key, value, bias=bias, mask=mask, scale=scale, is_causal=causal, local_window_size=window
    )


dot_product_attention.contract = at.audit.Contract(  # type: ignore[attr-defined]
    causal=True, mask=True, window=True, bias=True, grouped_heads=True, scale=True
)
