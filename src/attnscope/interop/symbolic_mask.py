"""A mask that models pass between layers as a tensor. A matrix is built only if a model computes with it."""

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
ARITHMETIC = tuple(
    getattr(torch.ops.aten, name).Tensor for name in ("add", "add_", "sub", "sub_", "mul", "mul_")
)


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
            self.statement.matrix = as_numbers(shown, self.dtype) if self.dtype.is_floating_point else shown
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
        if func in ARITHMETIC and {each.dtype for each in args[:2] if isinstance(each, SymbolicMask)} == {
            torch.bool
        }:
            return _added(func, *args, **(kwargs or {}))

        def entries(given: Any) -> Any:
            return given.matrix(func) if isinstance(given, SymbolicMask) else given

        whole, named = pytree.tree_map(entries, (args, kwargs or {}))
        result = func(*whole, **named)
        return args[0] if result is whole[0] else result  # in place


def as_numbers(shown: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What eager attention adds to scores: 0 for a visible key, the format's minimum for a hidden one."""
    return torch.where(shown, torch.zeros((), dtype=dtype), torch.finfo(dtype).min)


def _keeps_all(
    mask: SymbolicMask, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> bool:
    return (start or 0) == 0 and step == 1 and (end is None or end >= mask.shape[axis])


def _added(func: Any, left: Any, right: Any, **more: Any) -> Any:
    """Scores plus a mask of bools: only code for eager attention adds masks, so that is what is added.

    Raises
    ------
    UnsupportedProblemError
        If the model subtracts or multiplies them.
    """
    scores, mask = (right, left) if isinstance(left, SymbolicMask) else (left, right)
    are_scores = isinstance(scores, torch.Tensor) and scores.is_floating_point() and scores.ndim > 0
    if more or not are_scores or func not in (torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor):
        raise UnsupportedProblemError(
            f"the model uses its attention mask as a number ({func}), expected it to be added to scores or "
            "used as bools. Choose another attention for this model: model.set_attn_implementation('eager')."
        )
    return func(scores, as_numbers(mask.matrix(func), scores.dtype))
