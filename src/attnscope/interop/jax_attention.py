"""attention() inside JAX programs, with a gradient: two callbacks to NumPy."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from attnscope.errors import UnsupportedProblemError
from attnscope.gradients import attention_and_logsumexp, attention_gradients
from attnscope.problem import Mask


@dataclass(frozen=True)
class Constants:
    """The arguments of attention() that have no gradient; equal ones share a compiled program."""

    mask: Mask | None
    scale: float | None
    softcap: float | None
    threads: int | None

    def options(self, bias: Any, sinks: Any) -> dict[str, Any]:
        """All options of one call."""
        given = {"mask": self.mask, "scale": self.scale, "softcap": self.softcap, "threads": self.threads}
        return {**given, "bias": bias, "sinks": sinks}


def attention(  # noqa: PLR0913  # the options of attention()
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: Mask | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    bias: jax.Array | None = None,
    sinks: jax.Array | None = None,
    threads: int | None = None,
) -> jax.Array:
    """Compute attention() in a JAX program, and its gradients by jax.grad().

    Parameters
    ----------
    query : Array, shape (batch, query_heads, query_len, key_dim)
    key : Array, shape (batch, kv_heads, key_len, key_dim)
    value : Array, shape (batch, kv_heads, key_len, value_dim)
        float32, bfloat16 or float16, and float64 if JAX enables it. On the CPU.
    mask : Mask, optional
        A statement: Causal(), Window(...), or Dense(array). It is a constant of the compiled program.
    scale, softcap : float, optional
    bias : Array, broadcastable to (batch, query_heads, query_len, key_len), optional
        Its gradient takes a matrix.
    sinks : Array, shape (query_heads,), optional
    threads : int, optional
        As in attention().

    Returns
    -------
    Array, shape (batch, query_heads, query_len, value_dim)

    Raises
    ------
    UnsupportedProblemError
        If JAX's default backend is not the CPU.
    AttentionError
        As attention() does; under jax.jit() when the program runs.

    Notes
    -----
    jit and grad work, also together; vmap calls once per item, one after another. There is no second
    derivative: JAX raises, as for every callback. The arrays' memory is shared with the callback.

    Examples
    --------
    >>> jax.grad(lambda query: attention(query, key, value).sum())(query)  # doctest: +SKIP
    """
    if jax.default_backend() != "cpu":
        raise UnsupportedProblemError(
            f"JAX computes on {jax.default_backend()}, and attnscope on the CPU. "
            "Set JAX_PLATFORMS=cpu, or use jax.nn.dot_product_attention."
        )
    constants = Constants(mask, scale, softcap, threads)
    output: jax.Array = recorded(constants, query, key, value, bias, sinks)
    return output


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def recorded(constants: Constants, query: Any, key: Any, value: Any, bias: Any, sinks: Any) -> Any:
    """The output alone."""
    return forward(constants, query, key, value, bias, sinks)[0]


def forward(constants: Constants, query: Any, key: Any, value: Any, bias: Any, sinks: Any) -> tuple[Any, Any]:
    """The output, and what the backward pass needs."""
    sums = np.float64 if query.dtype == np.float64 else np.float32
    shapes = (
        jax.ShapeDtypeStruct((*query.shape[:-1], value.shape[-1]), query.dtype),
        jax.ShapeDtypeStruct(query.shape[:-1], sums),
    )

    def run(*given: Any) -> tuple[Any, Any]:
        query, key, value, bias, sinks = arrays_of(given)
        output = np.empty(shapes[0].shape, query.dtype)
        return output, attention_and_logsumexp(
            query, key, value, out=output, **constants.options(bias, sinks)
        )

    inputs = (query, key, value, bias, sinks)
    output, logsumexp = jax.pure_callback(run, shapes, *inputs, vmap_method="sequential")
    return output, (*inputs, output, logsumexp)


def backward(constants: Constants, kept: tuple[Any, ...], grad_output: Any) -> tuple[Any, ...]:
    """The gradients of query, key, value, bias and sinks; None for those that are absent."""
    inputs = kept[:5]
    shapes = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), inputs)

    def run(*given: Any) -> tuple[Any, ...]:
        query, key, value, bias, sinks, output, logsumexp, grad = arrays_of(given)
        options = constants.options(bias, sinks)
        found = attention_gradients(query, key, value, grad, output=output, logsumexp=logsumexp, **options)
        all_five = (found.query, found.key, found.value, found.bias, found.sinks)
        return tuple(
            None if each is None else each.astype(shape.dtype, copy=False)
            for each, shape in zip(all_five, shapes, strict=True)
        )

    gradients: tuple[Any, ...] = jax.pure_callback(run, shapes, *kept, grad_output, vmap_method="sequential")
    return gradients


def arrays_of(given: tuple[Any, ...]) -> list[Any]:
    """What JAX passes to a callback, as arrays of NumPy; None stays."""
    return [None if each is None else np.asarray(each) for each in given]


recorded.defvjp(forward, backward)
