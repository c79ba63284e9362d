"""The attention that Transformers' modules call, on their tensors."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from numpy.typing import NDArray
from transformers.utils import output_capturing

from attnscope.errors import UnsupportedProblemError
from attnscope.interop.call_mask import EAGER, Visible, among, bias_of, check_without_mask, visible
from attnscope.interop.paged_vectors import PagedVectors
from attnscope.interop.tensors import array_of, as_autocast, needs_gradients, threads, vectors_of
from attnscope.interop.torch_attention import Constants, differentiable, empty_output

# A paged cache, and what single models add to the call
NOT_HONOURED = ("cache", "head_mask", "block_indices", "sinks")


class Call(NamedTuple):
    """One call of a module: the arguments of attention(), and the position of its first key in the text."""

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    options: dict[str, Any]
    key_offset: int


class Observer:
    """An object that receives the calls of a module in place of attention().

    Parameters
    ----------
    held_keys : int
        Keys that precede those of each call, and that the object holds itself. Masks count them.
    """

    held_keys: int = 0

    def attend(self, module: torch.nn.Module, call: Call) -> NDArray[Any] | None:
        """The output [batch, heads, tokens, dim]; None to leave the call to attention()."""
        raise NotImplementedError

    def differentiate(
        self, module: torch.nn.Module, constants: Constants, *inputs: torch.Tensor | None
    ) -> torch.Tensor:
        """The output of a call whose gradients torch records; the inputs are those of `differentiable`."""
        raise UnsupportedProblemError(
            "observing(model) collects statistics and records no gradients. Run the observed model under "
            "torch.no_grad(), or train it outside of observing()."
        )


observers: WeakKeyDictionary[torch.nn.Module, Observer] = WeakKeyDictionary()


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch has no types here; NumPy cannot be traced
def attention_of_transformers(  # noqa: PLR0913  # called by Transformers' modules, with these names
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    s_aux: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    indices: torch.Tensor | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that register() gives to Transformers.

    Parameters
    ----------
    module : torch.nn.Module
        The calling module.
    query : Tensor, (batch, query_heads, query_len, key_dim)
    key, value : Tensor, (batch, kv_heads, key_len, key_dim or value_dim)
    attention_mask : Tensor, (batch, heads or 1, query_len, key_len), or None
        Symbolic, of bools, or of numbers that are added.
    indices : Tensor of int, (batch, query_len, chosen keys), or None
        The keys that an indexer chose for each query; it sees no others.

    Returns
    -------
    Tensor, (batch, query_len, query_heads, value_dim)
        The output.
    None
        In place of the weights.
    """
    refuse([each for each in (query, key, value, s_aux, position_bias) if each is not None], dropout)
    refuse_options(module, others)
    query, key, value = as_autocast(query, key, value)
    observer = observers.get(module) if observers else None
    key_len = key.shape[2] + (0 if observer is None else observer.held_keys)
    if attention_mask is None:
        check_without_mask(module, query, key, is_causal, sliding_window)
        seen = Visible(None, None, key_len, 0)
    else:
        seen = visible(attention_mask, query.shape[2], key_len)
    if indices is not None:
        seen = among(indices, seen, key_len)
    constants = Constants(
        mask=seen.mask,
        scale=None if scaling is None else float(scaling),
        softcap=None if softcap is None else float(softcap),
        alibi_slopes=None,
        threads=threads(),
    )
    bias = bias_of(seen, position_bias, query.dtype)
    sinks = None if s_aux is None else s_aux.float().reshape(-1)
    if isinstance(key, PagedVectors):
        layer = key.layer
        layer.check_current(key, seen.keys_read)
        if observer is None:
            return layer.attend(query, constants.options(bias, sinks)).transpose(1, 2), None
        key, value = layer.dense(0, query.dtype), layer.dense(1, query.dtype)
    key, value = key[:, :, : seen.keys_read], value[:, :, : seen.keys_read]
    inputs = (query, key, value, bias, sinks)
    output = None if observer is None else observed(observer, module, constants, inputs, seen.key_offset)
    if output is None:
        output = differentiable(constants, *inputs)
    return output.transpose(1, 2), None


Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def observed(
    observer: Observer, module: torch.nn.Module, constants: Constants, inputs: Inputs, key_offset: int
) -> torch.Tensor | None:
    """The output of a call that an observer receives; None if it leaves the call to attention()."""
    if needs_gradients(*(each for each in inputs if each is not None)):
        return observer.differentiate(module, constants, *inputs)
    query, key, value, bias, sinks = inputs
    arrays = (vectors_of(query), vectors_of(key), vectors_of(value))
    rows = observer.attend(module, Call(*arrays, constants.options(bias, sinks), key_offset))
    if rows is None:
        return None
    output = empty_output(query, value)
    array_of(output)[...] = rows
    return output


def refuse(tensors: Sequence[torch.Tensor], dropout: float) -> None:
    """Raise UnsupportedProblemError for dropout, and for tensors that are not on the CPU."""
    if dropout > 0:
        raise UnsupportedProblemError(
            f"dropout={dropout}, expected 0: attnscope drops no weights. Call model.eval(), or set the "
            "config's attention_dropout to 0."
        )
    for tensor in tensors:
        if tensor.device.type != "cpu":
            raise UnsupportedProblemError(
                f"the model is on {tensor.device}, and attnscope computes on the CPU. "
                f"Move it with model.to('cpu'). {EAGER}"
            )


def refuse_options(module: torch.nn.Module, others: dict[str, Any]) -> None:
    """Raise UnsupportedProblemError for the matrix of weights, and for arguments that single models add."""
    if others.get("output_attentions") or returns_weights(module):
        raise UnsupportedProblemError(
            "output_attentions=True asks for the matrix of weights, which attnscope never computes. "
            "observing(model) collects its statistics, in memory that grows with the rows. "
            f"For the matrix: {EAGER[0].lower()}{EAGER[1:]}"
        )
    for name in NOT_HONOURED:
        if others.get(name) is not None:
            raise UnsupportedProblemError(
                f"{name} is given, of type {type(others[name]).__name__}, which attnscope cannot honour. "
                f"{EAGER}"
            )


def returns_weights(module: torch.nn.Module) -> bool:
    """Whether the running model returns weights: many do not pass output_attentions to their modules."""
    collector = getattr(output_capturing, "_active_collector", None)
    collected = None if collector is None else collector.get()
    if any("attentions" in name for name in collected or ()):
        return True
    return bool(getattr(getattr(module, "config", None), "output_attentions", False))
