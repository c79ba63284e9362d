"""The attention that Transformers' modules call, on their tensors."""

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import PreTrainedModel
from transformers.utils import output_capturing

import attnscope as at
from attnscope.interop.symbolic_mask import SymbolicMask
from attnscope.interop.tensors import array_of, learns, threads, vectors_of

# A paged cache, and what single models add to the call
NOT_HONOURED = ("cache", "head_mask", "indices", "block_indices", "sinks")
EAGER = "Choose another attention: model.set_attn_implementation('eager')."


class Call(NamedTuple):
    """One call of a module: the arguments of attention(), and where the module's keys stand in the text."""

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    options: dict[str, Any]
    key_offset: int


class Observer:
    """Who wants to see the calls of a module, instead of attention()."""

    def attend(self, module: torch.nn.Module, call: Call) -> NDArray[Any] | None:
        """The output [batch, heads, tokens, dim]; None to leave the call to attention()."""
        raise NotImplementedError


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
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that register() gives to Transformers.

    Shapes
        query            (batch, query_heads, query_len, key_dim)
        key, value       (batch, kv_heads, key_len, key_dim or value_dim)
        output           (batch, query_len, query_heads, value_dim)
    """
    refuse([each for each in (query, key, value, s_aux, position_bias) if each is not None], dropout)
    refuse_options(module, others)
    if attention_mask is None:
        seen = Visible(without_mask(module, query, key, is_causal, sliding_window), None, key.shape[2], 0)
    else:
        seen = visible(attention_mask, query, key)
    options: dict[str, Any] = {
        "mask": seen.mask,
        "scale": None if scaling is None else float(scaling),
        "softcap": None if softcap is None else float(softcap),
        "bias": bias_of(seen, position_bias),
        "sinks": None if s_aux is None else array_of(s_aux.detach().float().reshape(-1)),
        "threads": threads(),
    }
    read = slice(seen.keys_read)
    call = Call(
        vectors_of(query),
        vectors_of(key)[:, :, read],
        vectors_of(value)[:, :, read],
        options,
        seen.key_offset,
    )
    batch, query_heads, query_len, _ = query.shape
    output = torch.empty((batch, query_len, query_heads, value.shape[3]), dtype=query.dtype)
    rows = array_of(output).swapaxes(1, 2)
    observer = observers.get(module) if observers else None
    observed = None if observer is None else observer.attend(module, call)
    if observed is None:
        at.attention(call.query, call.key, call.value, out=rows, **options)
    else:
        rows[...] = observed
    return output, None


def refuse(tensors: Sequence[torch.Tensor], dropout: float) -> None:
    """Raise UnsupportedProblemError for gradients, dropout, and tensors that are not on the CPU."""
    if learns(*tensors):
        raise at.UnsupportedProblemError(
            "a gradient is asked for, and attnscope's kernel has no backward pass. Run the model under "
            f"torch.inference_mode(). To train: {EAGER[0].lower()}{EAGER[1:]}"
        )
    if dropout > 0:
        raise at.UnsupportedProblemError(
            f"dropout={dropout}: attnscope drops no weights, that is for training. Call model.eval()."
        )
    for tensor in tensors:
        if tensor.device.type != "cpu":
            raise at.UnsupportedProblemError(
                f"the model is on {tensor.device}, and attnscope computes on the CPU. "
                f"Move it, model.to('cpu'). {EAGER}"
            )


def refuse_options(module: torch.nn.Module, others: dict[str, Any]) -> None:
    """Raise UnsupportedProblemError for the matrix of weights, and for what single models add to the call."""
    if others.get("output_attentions") or collects_weights(module):
        raise at.UnsupportedProblemError(
            "output_attentions=True asks for the matrix of weights, which attnscope never computes. "
            "observing(model) collects its statistics, in memory that grows with the rows. "
            f"For the matrix: {EAGER[0].lower()}{EAGER[1:]}"
        )
    for name in NOT_HONOURED:
        if others.get(name) is not None:
            raise at.UnsupportedProblemError(
                f"{name} is a {type(others[name]).__name__}, which attnscope cannot honour. {EAGER}"
            )


def collects_weights(module: torch.nn.Module) -> bool:
    """Whether the model that is running returns weights: many models do not pass output_attentions on."""
    collector = getattr(output_capturing, "_active_collector", None)
    collected = None if collector is None else collector.get()
    if any("attentions" in name for name in collected or ()):
        return True
    return bool(getattr(getattr(module, "config", None), "output_attentions", False))


class Visible(NamedTuple):
    """What a mask says: which of the first `keys_read` keys are seen, and what is added to their scores."""

    mask: at.Mask | None
    bias: torch.Tensor | None
    keys_read: int
    key_offset: int


_given: "WeakTensorKeyDictionary[torch.Tensor, tuple[int, Visible]]" = WeakTensorKeyDictionary()


def without_mask(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    is_causal: bool | None,
    sliding_window: int | None,
) -> at.Mask | None:
    """The mask of a call that has none: what Transformers' sdpa makes of `is_causal`; eager ignores it.

    A model that refuses sdpa was written for eager, which shows every key.
    """
    if not supports_sdpa(tuple(base.__module__ for base in type(module).__mro__)):
        return None
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if query.shape[2] == 1 or not causal:
        left_out = sliding_window is not None and key.shape[2] > sliding_window
    else:
        left_out = query.shape[2] != key.shape[2]
    if left_out:
        raise at.UnsupportedProblemError(
            f"{type(module).__name__} attends {query.shape[2]} queries to {key.shape[2]} keys, is_causal={bool(causal)}, "
            f"sliding_window={sliding_window}, without a mask that says who sees whom. {EAGER}"
        )
    if query.shape[2] == 1 or not causal:
        return None
    return at.Causal() if sliding_window is None else at.Window(left=sliding_window - 1, right=0)


@cache
def supports_sdpa(files: tuple[str, ...]) -> bool:
    """Whether a model in the first of these Python modules that defines one supports Transformers' sdpa."""
    for file in files:
        named = vars(sys.modules[file]).values() if file in sys.modules else ()
        classes: list[Any] = [each for each in named if isinstance(each, type)]
        models = [each for each in classes if issubclass(each, PreTrainedModel) and each.__module__ == file]
        if models:
            return any(model._supports_sdpa for model in models)  # noqa: SLF001  # Transformers has no other way
    return True


def visible(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> Visible:
    """Read a mask: our own statement, or a tensor that the user gave."""
    if mask.ndim != 4 or mask.shape[2] not in (1, query.shape[2]) or mask.shape[3] not in (1, key.shape[2]):
        raise at.AttentionMaskError(
            f"the attention mask has shape {list(mask.shape)}, expected [batch, heads or 1, query_len="
            f"{query.shape[2]}, key_len={key.shape[2]}]. A mask of the tokens is given to the model as [batch, tokens]."
        )
    if isinstance(mask, SymbolicMask):
        if mask.shape[2:] == (query.shape[2], key.shape[2]):
            return Visible(mask.mask, None, mask.keys_read, mask.key_offset)
        keys_read = mask.keys_read if mask.shape[3] == key.shape[2] else key.shape[2]
        return Visible(at.Dense(mask.matrix()), None, keys_read, mask.key_offset)
    read = visible_of_numbers if mask.is_inference() else _visible_once  # those do not count their changes
    return read(mask)._replace(keys_read=key.shape[2])


def _visible_once(mask: torch.Tensor) -> Visible:
    """Read a tensor that every layer is given, until it changes."""
    changes = mask._version  # noqa: SLF001  # torch's count of them
    kept: tuple[int, Visible] | None = _given.get(mask)
    if kept is None or kept[0] != changes:
        kept = changes, visible_of_numbers(mask)
        _given[mask] = kept
    return kept[1]


def visible_of_numbers(mask: torch.Tensor) -> Visible:
    """A tensor of bools, True = visible, or of numbers that are added, their format's least hiding a key.

    The least number hides: added to any score it stays behind every other. So a key that is hidden in a row where
    others are seen has no weight at all, as in Transformers' own attention; and a row in which all are hidden is 0.
    """
    if mask.dtype == torch.bool:
        return Visible(at.Dense(array_of(mask)), None, 0, 0)
    if not mask.is_floating_point():
        raise at.AttentionMaskError(
            f"the attention mask holds {mask.dtype}, expected bools, True = visible, or numbers that are added to scores."
        )
    shown = mask > torch.finfo(mask.dtype).min
    added = mask if bool((mask[shown] != 0).any()) else None
    return Visible(None if bool(shown.all()) else at.Dense(array_of(shown)), added, 0, 0)


def bias_of(seen: Visible, position_bias: torch.Tensor | None) -> NDArray[Any] | None:
    """What is added to the scores of the keys that are read."""
    added = seen.bias
    if position_bias is not None:
        added = position_bias if added is None else added + position_bias
    if added is None:
        return None
    bias = array_of(added)
    return np.asarray(bias[..., : seen.keys_read]) if bias.shape[-1] > 1 else bias
