"""A mask that models hand from layer to layer as they would a tensor, and that holds no matrix."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import attnscope as at

SAME = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)


class SymbolicMask(torch.Tensor):  # type: ignore[misc]  # torch has no types here
    """A bool tensor [batch, 1, query_len, key_len] by its shape, without memory: what it shows is said by `mask`.

    Models ask a mask for its shape, its dtype and its device, or send it elsewhere and get it back. One that computes
    with it would need the matrix, and is told so.
    """

    mask: at.Mask | None  # which of the first `keys_read` keys each query sees; None: all of them
    keys_read: int  # the keys behind are hidden from every query: a static cache's, not written yet
    key_offset: int  # where the first key stands in the text: a cache with a window lets go of those before

    @staticmethod
    def __new__(
        cls: Any, mask: at.Mask | None, shape: tuple[int, int, int], keys_read: int, key_offset: int
    ) -> "SymbolicMask":
        batch, query_len, key_len = shape
        made: SymbolicMask = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001  # torch's own way to do it
            cls, (batch, 1, query_len, key_len), dtype=torch.bool
        )
        made.mask, made.keys_read, made.key_offset = mask, keys_read, key_offset
        return made

    def matrix(self) -> NDArray[np.bool_]:
        """Every entry, [batch, 1, query_len, keys_read], True = visible: to broadcast a mask of one query or key."""
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
        raise at.UnsupportedProblemError(
            f"the model computes with its attention mask ({func}), and attnscope's is a statement, not a matrix of "
            "numbers. Choose another attention for this model: model.set_attn_implementation('eager')."
        )


def _keeps_all(
    mask: SymbolicMask, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> bool:
    return (start or 0) == 0 and step == 1 and (end is None or end >= mask.shape[axis])
