"""The mask of one call of a Transformers module: our own statement, a tensor that the user gave, or none."""

import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import PreTrainedModel

from attnscope.errors import AttentionMaskError, UnsupportedProblemError
from attnscope.interop.symbolic_mask import SymbolicMask
from attnscope.interop.tensors import array_of
from attnscope.problem import Causal, Dense, Mask, Window

EAGER = "Choose another attention: model.set_attn_implementation('eager')."


class Visible(NamedTuple):
    """Which of the first `keys_read` keys are visible, and what is added to their scores."""

    mask: Mask | None
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
) -> Mask | None:
    """The mask of a call that has none: what Transformers' sdpa makes of `is_causal`.

    Eager attention ignores `is_causal` and shows every key. A model that does not support sdpa was written
    for eager.
    """
    if not supports_sdpa(tuple(base.__module__ for base in type(module).__mro__)):
        return None
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if query.shape[2] == 1 or not causal:
        left_out = sliding_window is not None and key.shape[2] > sliding_window
    else:
        left_out = query.shape[2] != key.shape[2]
    if left_out:
        raise UnsupportedProblemError(
            f"{type(module).__name__} attends {query.shape[2]} queries to {key.shape[2]} keys, "
            f"is_causal={bool(causal)}, sliding_window={sliding_window}, without a mask that states which "
            f"keys are visible. {EAGER}"
        )
    if query.shape[2] == 1 or not causal:
        return None
    return Causal() if sliding_window is None else Window(left=sliding_window - 1, right=0)


@cache
def supports_sdpa(files: tuple[str, ...]) -> bool:
    """Whether a model in the first of these Python modules that defines one supports Transformers' sdpa."""
    for file in files:
        named = vars(sys.modules[file]).values() if file in sys.modules else ()
        classes: list[Any] = [each for each in named if isinstance(each, type)]
        models = [each for each in classes if issubclass(each, PreTrainedModel) and each.__module__ == file]
        if models:
            return any(model._supports_sdpa for model in models)  # noqa: SLF001  # the only way
    return True


def visible(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> Visible:
    """What a mask shows. One of a single query or key applies to all of them.

    Raises
    ------
    AttentionMaskError
        If its shape does not fit the call, or it holds neither bools nor floating-point numbers.
    """
    if mask.ndim != 4 or mask.shape[2] not in (1, query.shape[2]) or mask.shape[3] not in (1, key.shape[2]):
        raise AttentionMaskError(
            f"the attention mask has shape {list(mask.shape)}, expected [batch, heads or 1, query_len="
            f"{query.shape[2]}, key_len={key.shape[2]}]. Give the model a mask of the tokens as [batch, "
            "tokens]."
        )
    if isinstance(mask, SymbolicMask):
        if mask.shape[2:] == (query.shape[2], key.shape[2]):
            return Visible(mask.mask, None, mask.keys_read, mask.key_offset)
        keys_read = mask.keys_read if mask.shape[3] == key.shape[2] else key.shape[2]
        return Visible(Dense(mask.matrix()), None, keys_read, mask.key_offset)
    read = (
        visible_of_numbers if mask.is_inference() else _visible_once
    )  # inference tensors do not count changes
    return read(mask)._replace(keys_read=key.shape[2])


def _visible_once(mask: torch.Tensor) -> Visible:
    """The same for a tensor that every layer is given: read once, until it changes."""
    changes = mask._version  # noqa: SLF001  # torch's count of them
    kept: tuple[int, Visible] | None = _given.get(mask)
    if kept is None or kept[0] != changes:
        kept = changes, visible_of_numbers(mask)
        _given[mask] = kept
    return kept[1]


def visible_of_numbers(mask: torch.Tensor) -> Visible:
    """What a tensor shows: bools, True = visible, or numbers to add; their format's least number hides a key.

    The least number added to any score stays below every other score. So a hidden key beside visible ones has
    weight 0, as in Transformers' own attention. A fully masked row is 0.
    """
    if mask.dtype == torch.bool:
        return Visible(Dense(array_of(mask)), None, 0, 0)
    if not mask.is_floating_point():
        raise AttentionMaskError(
            f"the attention mask holds {mask.dtype}, expected bools, True = visible, or numbers that are "
            "added to the scores. Convert it with mask.bool()."
        )
    shown = mask > torch.finfo(mask.dtype).min
    if mask.dtype == torch.float64:
        shown &= mask > torch.finfo(torch.float32).min  # it may be added in float32
    added = mask if bool((mask[shown] != 0).any()) else None
    return Visible(None if bool(shown.all()) else Dense(array_of(shown)), added, 0, 0)


def bias_of(seen: Visible, position_bias: torch.Tensor | None, dtype: torch.dtype) -> NDArray[Any] | None:
    """What is added to the scores of the keys that are read, in the queries' format or that of their sums."""
    added = seen.bias
    if position_bias is not None:
        added = position_bias if added is None else added + position_bias
    if added is None:
        return None
    sums = torch.promote_types(dtype, torch.float32)
    bias = array_of(added if added.dtype in (dtype, sums) else added.to(sums))
    return np.asarray(bias[..., : seen.keys_read]) if bias.shape[-1] > 1 else bias
