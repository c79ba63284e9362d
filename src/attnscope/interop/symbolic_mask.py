"""A mask that models pass from layer to layer as they would a tensor, without a matrix unless one computes with it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from attnscope.errors import UnsupportedProblemError
from attnscope.problem import Mask

LARGEST_MATRIX = 2**26  # entries: one text of 8,192 tokens
SAME = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)
ARITHMETIC = (torch.ops.aten.add.Tensor, torch.ops.aten.sub.Tensor, torch.ops.aten.mul.Tensor)


@dataclass
class Statement:
    """What a mask states about queries and keys.

    Parameters
    ----------
    mask : Mask or None
        Which of the first `keys_read` keys each query sees; None: all of them.
    keys_read : int
        Later keys are hidden from every query: a static cache's, not written yet.
    key_offset : int
        The position of the first key in the text: a cache with a window drops earlier ones.
    matrix : Tensor or None
        Every entry, once a model computed with it; then it is what counts, since models may change it.
    """

    mask: Mask | None
    keys_read: int
    key_offset: int
    matrix: torch.Tensor | None = None


class SymbolicMask(torch.Tensor):  # type: ignore[misc]  # torch has no types here
    """A mask by its shape [batch, 1, query_len, key_len] and a statement, without memory.

    Models read a mask's shape, dtype and device, or pass it through functions that return it unchanged. If a
    model computes with it, the matrix is made: bools as sdpa's, True = visible, or numbers as eager's, 0 and
    the least one, by dtype. It warns once, and raises UnsupportedProblemError beyond LARGEST_MATRIX entries.
    """

    statement: Statement

    @staticmethod
    def __new__(
        cls: Any, statement: Statement, shape: tuple[int, int, int], dtype: torch.dtype = torch.bool
    ) -> "SymbolicMask":
        batch, query_len, key_len = shape
        made: SymbolicMask = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001  # torch's own way to do it
            cls, (batch, 1, query_len, key_len), dtype=dtype
        )
        made.statement = statement
        return made

    def visible(self) -> NDArray[np.bool_]:
        """Every entry, [batch, 1, query_len, key_len]."""
        batch, _, query_len, key_len = self.shape
        shown = np.zeros((batch, 1, query_len, key_len), np.bool_)
        mask, keys_read = self.statement.mask, self.statement.keys_read
        shown[..., :keys_read] = (
            True if mask is None else mask.visible(query_len, keys_read, batch=batch, heads=1)
        )
        return shown

    def matrix(self, func: Any) -> torch.Tensor:
        """The tensor that a model needs which computes with its mask; made once."""
        if self.statement.matrix is None:
            if self.numel() > LARGEST_MATRIX:
                raise UnsupportedProblemError(
                    f"the model computes with its attention mask ({func}), whose matrix would have "
                    f"{self.numel():,} entries, expected at most {LARGEST_MATRIX:,}. Shorten the text, or "
                    "choose another attention for this model: model.set_attn_implementation('eager')."
                )
            warnings.warn(
                f"the model computes with its attention mask ({func}): attnscope makes its matrix, one entry "
                "per query and key",
                stacklevel=2,
            )
            shown = torch.from_numpy(self.visible())
            if self.dtype.is_floating_point:
                hidden = torch.finfo(self.dtype).min
                shown = torch.where(shown, torch.zeros((), dtype=self.dtype), hidden)
            self.statement.matrix = shown
        return self.statement.matrix

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        mask = self.statement.mask
        return f"SymbolicMask({'every key' if mask is None else mask}, {list(self.shape)})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in SAME or (func is torch.ops.aten.slice.Tensor and _keeps_all(*args)):
            same: SymbolicMask = args[0]
            batch, _, query_len, key_len = same.shape
            return SymbolicMask(same.statement, (batch, query_len, key_len), same.dtype)
        if func in ARITHMETIC:
            _refuse_bools_as_numbers(func, args)

        def entries(given: Any) -> Any:
            return given.matrix(func) if isinstance(given, SymbolicMask) else given

        whole, named = pytree.tree_map(entries, (args, kwargs or {}))
        result = func(*whole, **named)
        return args[0] if result is whole[0] else result  # in place


def _keeps_all(
    mask: SymbolicMask, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> bool:
    return (start or 0) == 0 and step == 1 and (end is None or end >= mask.shape[axis])


def _refuse_bools_as_numbers(func: Any, operands: tuple[Any, ...]) -> None:
    """Raise UnsupportedProblemError for sums of scores and bools, which would hide no key."""
    formats = {each.dtype for each in operands if isinstance(each, torch.Tensor)}
    if torch.bool in formats and any(each.is_floating_point for each in formats):
        raise UnsupportedProblemError(
            f"the model adds its attention mask to numbers ({func}), expected a mask of bools to be used as "
            "such. Choose another attention for this model: model.set_attn_implementation('eager')."
        )
