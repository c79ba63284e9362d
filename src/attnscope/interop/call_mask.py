"""The mask of one call of a Transformers module: our own statement, a tensor that the user gave, or none."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import PreTrainedModel

from attnscope.errors import AttentionMaskError, UnsupportedProblemError
from attnscope.interop.symbolic_mask import SymbolicMask
from attnscope.interop.tensors import array_of
from attnscope.problem import Dense, Mask

EAGER = "Choose another attention: model.set_attn_implementation('eager')."


class Visible(NamedTuple):
    """Which of the first `keys_read` keys are visible, and what is added to their scores."""

    mask: Mask | None
    bias: torch.Tensor | None
    keys_read: int
    key_offset: int


_supporting: dict[type, bool] = {}
_given: "WeakTensorKeyDictionary[torch.Tensor, tuple[int, Visible]]" = WeakTensorKeyDictionary()


def check_without_mask(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    is_causal: bool | None,
    sliding_window: int | None,
) -> None:
    """Check that a call without a mask shows every key, as eager attention does.

    Masks that Transformers makes for "attnscope" are never None, so nothing else stands for them: sdpa
    instead follows `is_causal`.

    Raises
    ------
    UnsupportedProblemError
        If sdpa, for a model that supports it, or the window would show fewer keys.
    """
    if not supports_sdpa(type(getattr(module, "config", None))):
        return
    causal = query.shape[2] > 1 and bool(
        getattr(module, "is_causal", True) if is_causal is None else is_causal
    )
    if causal or (sliding_window is not None and key.shape[2] > sliding_window):
        raise UnsupportedProblemError(
            f"{type(module).__name__} attends {query.shape[2]} queries to {key.shape[2]} keys "
            f"without a mask, is_causal={causal}, sliding_window={sliding_window}: "
            f"eager attention shows every key then, sdpa does not. Give the model a mask. {EAGER}"
        )


def supports_sdpa(config: type) -> bool:
    """Whether a model of this class of configurations supports Transformers' sdpa; True if none is known."""
    if config not in _supporting:
        known = list(_subclasses(PreTrainedModel))
        models = [each for each in known if each.config_class is config] or [
            each for each in known if _folder(config) and _folder(each) == _folder(config)
        ]
        if not models:
            return True  # one may be defined later
        _supporting[config] = any(model._supports_sdpa for model in models)  # noqa: SLF001  # the only way
    return _supporting[config]


def _subclasses(kind: Any) -> Iterator[Any]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def _folder(kind: type) -> str:
    return kind.__module__.rpartition(".")[0]


def visible(mask: torch.Tensor, query_len: int, key_len: int) -> Visible:
    """What a mask shows. One of a single query or key applies to all of them.

    Raises
    ------
    AttentionMaskError
        If its shape does not fit the call, or it holds neither bools nor floating-point numbers.
    """
    if mask.ndim != 4 or mask.shape[2] not in (1, query_len) or mask.shape[3] not in (1, key_len):
        raise AttentionMaskError(
            f"the attention mask has shape {list(mask.shape)}, expected [batch, heads or 1, query_len="
            f"{query_len}, key_len={key_len}]. Give the model a mask of the tokens as [batch, tokens]."
        )
    key_offset = 0
    if isinstance(mask, SymbolicMask):
        statement, key_offset = mask.statement, mask.statement.key_offset
        if statement.matrix is None and mask.shape[2:] == (query_len, key_len):
            return Visible(statement.mask, None, statement.keys_read, key_offset)
        mask = torch.from_numpy(mask.visible()) if statement.matrix is None else statement.matrix
    # Tensors made under inference_mode() do not count their changes
    read = visible_of_numbers if mask.is_inference() else _visible_once
    return read(mask)._replace(keys_read=key_len, key_offset=key_offset)


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


def among(indices: torch.Tensor, seen: Visible, key_len: int) -> Visible:
    """The same for the keys that each query may choose from, [batch, query_len, chosen keys]."""
    batch, query_len, _ = indices.shape
    chosen = torch.zeros((batch, query_len, key_len), dtype=torch.bool).scatter_(
        2, indices.long(), value=True
    )
    mask = Dense(array_of(chosen[:, None, :, : seen.keys_read]))
    return seen._replace(mask=mask if seen.mask is None else seen.mask & mask)


def bias_of(seen: Visible, position_bias: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """What is added to the scores of the keys that are read, in the queries' format or that of their sums."""
    added = seen.bias
    if position_bias is not None:
        added = position_bias if added is None else added + position_bias
    if added is None:
        return None
    sums = torch.promote_types(dtype, torch.float32)
    bias = added if added.dtype in (dtype, sums) else added.to(sums)
    return bias[..., : seen.keys_read] if bias.shape[-1] > 1 else bias
