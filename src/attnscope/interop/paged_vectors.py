"""The keys or values of a paged layer as a tensor without memory, which models hand on to the attention."""

from typing import Any, Protocol

import torch

from attnscope.errors import UnsupportedProblemError

SAME = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)


class Pages(Protocol):
    """What holds the numbers: a layer of a PagedCache."""

    def check_current(self, key: torch.Tensor, keys_read: int) -> None:
        """Raise CacheError if keys are of an earlier state, or a mask is of another number of keys."""

    def attend(self, query: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """Compute attention to the pages, in place."""

    def dense(self, which: int, dtype: torch.dtype) -> torch.Tensor:
        """Copies of the keys (0) or values (1)."""


class PagedVectors(torch.Tensor):  # type: ignore[misc]  # torch has no types here
    """Keys or values by their shape (batch, kv_heads, kept tokens, dim) and the layer that holds them.

    A model may read its shape, dtype and device. What else it does raises UnsupportedProblemError: the
    numbers lie in pages, perhaps as int8, and only attnscope's attention reads them there.
    """

    layer: Pages

    @staticmethod
    def __new__(cls: Any, layer: Pages, shape: tuple[int, ...], dtype: torch.dtype) -> "PagedVectors":
        made: PagedVectors = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=dtype)  # noqa: SLF001  # torch's own way to do it
        made.layer = layer
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"PagedVectors({list(self.shape)}, {self.layer})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in SAME:
            same: PagedVectors = args[0]
            return PagedVectors(same.layer, tuple(same.shape), same.dtype)
        raise UnsupportedProblemError(
            f"the model computes with the keys or values of a PagedCache by itself ({func}), and only "
            "attnscope's attention reads pages. Choose it, model.set_attn_implementation(register()), or "
            "another cache: this model may compute its attention by itself."
        )
