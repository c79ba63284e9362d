"""A mask that models pass from layer to layer as they would a tensor, and that holds no matrix."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.problem import Mask

SAME = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)


class SymbolicMask(torch.Tensor):  # type: ignore[misc]  # torch has no types here
    """A bool tensor by its shape [batch, 1, query_len, key_len], without memory; `mask` is the statement.

    Models read a mask's shape, dtype and device, or pass it through functions that return it unchanged. A
    model that computes with its mask would need the matrix; that raises UnsupportedProblemError.
    """

    mask: Mask | None  # which of the first `keys_read` keys each query sees; None: all of them
    keys_read: int  # later keys are hidden from every query: a static cache's, not written yet
    key_offset: int  # position of the first key in the text: a cache with a window drops earlier ones

    @staticmethod
    def __new__(
        cls: Any, mask: Mask | None, shape: tuple[int, int, int], keys_read: int, key_offset: int
    ) -> "SymbolicMask":
        batch, query_len, key_len = shape
        made: SymbolicMask = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001  # torch's own way to do it
            cls, (batch, 1, query_len, key_len), dtype=torch.bool
        )
        made.mask, made.keys_read, made.key_offset = mask, keys_read, key_offset
        return made

    def matrix(self) -> NDArray[np.bool_]:
        """Every entry, [batch, 1, query_len, keys_read]: to broadcast a mask of one query or key."""
        batch, _, query_len, _ = self.shape
        if self.mask is None:
            return np.ones((batch, 1, query_len, self.keys_read), np.bool_)
        return self.mask.visible(query_len, self.keys_read, batch=batch, heads=1)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        what = "every key" if self.mask is None else str(self.mask)
        return f"SymbolicMask({what}, {list(self.shape)})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> "SymbolicMask":
        if func in SAME or (func is torch.ops.aten.slice.Tensor and _keeps_all(*args)):
            same: SymbolicMask = args[0]
            batch, _, query_len, key_len = same.shape
            return SymbolicMask(same.mask, (batch, query_len, key_len), same.keys_read, same.key_offset)
        raise UnsupportedProblemError(
            f"the model computes with its attention mask ({func}), and attnscope's mask is symbolic: it "
            "holds no matrix of numbers. Choose another attention for this model: "
            "model.set_attn_implementation('eager')."
        )


def _keeps_all(
    mask: SymbolicMask, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> bool:
    return (start or 0) == 0 and step == 1 and (end is None or end >= mask.shape[axis])
