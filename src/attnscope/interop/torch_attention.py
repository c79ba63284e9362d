"""attention() on torch's CPU tensors, with a backward pass."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.attention import attention as attention_of_arrays
from attnscope.errors import AttentionError, UnsupportedProblemError
from attnscope.gradients import attention_and_logsumexp, attention_gradients
from attnscope.interop.tensors import array_of, needs_gradients, tensor_of, threads, vectors_of
from attnscope.problem import Mask

NAMES = ("query", "key", "value", "bias", "sinks")


@dataclass(frozen=True, eq=False)
class Constants:
    """The arguments of attention() that have no gradient."""

    mask: Mask | NDArray[np.bool_] | None
    scale: float | None
    softcap: float | None
    alibi_slopes: Any
    threads: int

    def options(self, bias: torch.Tensor | None, sinks: torch.Tensor | None) -> dict[str, Any]:
        """All options of one call, as arrays."""
        given: dict[str, Any] = {
            "mask": self.mask,
            "scale": self.scale,
            "softcap": self.softcap,
            "alibi_slopes": self.alibi_slopes,
            "threads": self.threads,
            "bias": None if bias is None else array_of(bias),
            "sinks": None if sinks is None else array_of(sinks),
        }
        return {name: option for name, option in given.items() if option is not None}


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch has no types here; NumPy cannot be traced
def attention(  # noqa: PLR0913  # the options of attention()
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    mask: Mask | torch.Tensor | NDArray[np.bool_] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    bias: torch.Tensor | None = None,
    alibi_slopes: Any = None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute attention() on CPU tensors, and its gradients in the backward pass.

    Parameters
    ----------
    query : Tensor, shape (batch, query_heads, query_len, key_dim)
        float32, bfloat16, float16 or float64; any strides. A last axis that is not contiguous is copied.
    key : Tensor, shape (batch, kv_heads, key_len, key_dim)
    value : Tensor, shape (batch, kv_heads, key_len, value_dim)
    mask : Mask, Tensor or ndarray of bool, optional
        True = visible, as in attention().
    scale, softcap : float, optional
        As in attention().
    bias : Tensor, broadcastable to (batch, query_heads, query_len, key_len), optional
        Its gradient takes a matrix, and is computed if the bias requires one.
    alibi_slopes : array_like or Tensor, shape (query_heads,), optional
        Without a gradient.
    sinks : Tensor, shape (query_heads,), optional

    Returns
    -------
    Tensor, shape (batch, query_heads, query_len, value_dim)
        In memory token by token, so that `output.transpose(1, 2).flatten(2)` is a view.

    Raises
    ------
    AttentionError
        As attention() does; if a tensor is not on the CPU; if an input requires a gradient that
        torch.inference_mode() does not record; if alibi_slopes requires one.
    UnsupportedProblemError
        In a double backward pass: attention has no second derivative here.

    Notes
    -----
    Tensors are read in place. The backward pass keeps query, key, value, the output and one number per row,
    never a matrix. Threads are torch's: torch.set_num_threads(). float64 runs in the reference. Gradients
    have the bits of attention_gradients(), whatever the threads and the batch.

    Examples
    --------
    >>> attention(query, key, value, mask=Causal()).sum().backward()  # doctest: +SKIP
    """
    inputs = (query, key, value, bias, sinks)
    constants = Constants(
        mask=array_of(mask) if isinstance(mask, torch.Tensor) else mask,
        scale=scale,
        softcap=softcap,
        alibi_slopes=constant(alibi_slopes),
        threads=threads(),
    )
    check_recorded(*inputs)
    return differentiable(constants, *inputs)


def constant(slopes: Any) -> Any:
    """ALiBi's slopes as attention() reads them."""
    if not isinstance(slopes, torch.Tensor):
        return slopes
    if needs_gradients(slopes):
        raise UnsupportedProblemError(
            "alibi_slopes requires a gradient, expected constants: attnscope computes none for slopes. "
            "Pass alibi_slopes.detach(), or learn a bias."
        )
    return array_of(slopes)


def check_recorded(*inputs: torch.Tensor | None) -> None:
    """Raise AttentionError if inference_mode() keeps torch from recording a gradient that is required."""
    given = {name: tensor for name, tensor in zip(NAMES, inputs, strict=True) if tensor is not None}
    for name, tensor in given.items():
        if torch.is_inference_mode_enabled() and tensor.requires_grad and tensor.is_leaf:
            raise AttentionError(
                f"{name} requires a gradient, and torch.inference_mode() records none. Leave "
                f"inference_mode() to train, or pass {name}.detach()."
            )
        if torch.is_grad_enabled() and tensor.is_inference() and needs_gradients(*given.values()):
            raise AttentionError(
                f"{name} was made under torch.inference_mode(), and cannot be kept for a backward pass. "
                f"Pass {name}.clone()."
            )


def differentiable(
    constants: Constants,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """The output, with a backward pass if torch records one."""
    given = [each for each in (query, key, value, bias, sinks) if each is not None]
    if needs_gradients(*given):
        recorded: torch.Tensor = Attention.apply(constants, query, key, value, bias, sinks)
        return recorded
    output = empty_output(query, value)
    arrays = (vectors_of(query), vectors_of(key), vectors_of(value))
    attention_of_arrays(*arrays, out=array_of(output), **constants.options(bias, sinks))
    return output


def empty_output(query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Room for the output, token by token if there are heads."""
    if query.ndim < 3:
        return torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype)
    *batch, heads, query_len, _ = query.shape
    return torch.empty((*batch, query_len, heads, value.shape[-1]), dtype=query.dtype).transpose(-3, -2)


class Attention(torch.autograd.Function):  # type: ignore[misc]  # torch has no types here
    """attention() as torch records it."""

    @staticmethod
    def forward(
        ctx: Any,
        constants: Constants,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None,
        sinks: torch.Tensor | None,
    ) -> torch.Tensor:
        """Keep the inputs, the output and the logsumexp."""
        output = empty_output(query, value)
        arrays = (vectors_of(query), vectors_of(key), vectors_of(value))
        logsumexp = attention_and_logsumexp(*arrays, out=array_of(output), **constants.options(bias, sinks))
        ctx.constants = constants
        ctx.save_for_backward(query, key, value, bias, sinks, output, torch.from_numpy(logsumexp))
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> Any:
        """The gradients of the inputs; None for the constants."""
        saved, needed = ctx.saved_tensors, tuple(ctx.needs_input_grad[1:])
        gradients = AttentionBackward.apply(ctx.constants, needed, grad_outputs[0], *saved)
        return (None, *gradients)


class AttentionBackward(torch.autograd.Function):  # type: ignore[misc]
    """The backward pass as a function of its own, so that a second derivative is refused by name."""

    @staticmethod
    def forward(
        _: Any,
        constants: Constants,
        needed: tuple[bool, ...],
        grad_output: torch.Tensor,
        *saved: Any,
    ) -> tuple[torch.Tensor | None, ...]:
        """The gradients of query, key, value, bias and sinks; None if not needed."""
        query, key, value, bias, sinks, output, logsumexp = saved
        found = attention_gradients(
            *(vectors_of(each) for each in (query, key, value, grad_output)),
            output=array_of(output),
            logsumexp=array_of(logsumexp),
            bias_gradient=needed[3],
            **constants.options(bias, sinks),
        )
        inputs = (query, key, value, bias, sinks)
        return tuple(
            tensor_of(getattr(found, name)).to(given.dtype) if asked and given is not None else None
            for name, given, asked in zip(NAMES, inputs, needed, strict=True)
        )

    @staticmethod
    def backward(_: Any, *__: torch.Tensor) -> Any:
        """Refuse a second derivative."""
        raise UnsupportedProblemError(
            "attention was differentiated twice, expected once: attnscope has no second derivative. "
            "Leave out create_graph=True, or use torch.nn.functional.scaled_dot_product_attention."
        )
