"""The mask of any bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionMaskError
from attnscope.problem.mask import Bools, Mask, Sizes, Slot
from attnscope.problem.runs import Runs


class Dense(Mask):
    """Any bits: a NumPy bool array, True = visible. Kept as bits, an eighth of the array's memory.

    Shapes
        visible    broadcasts to (batch, query_heads, query_len, key_len)

    >>> Dense(np.array([[True, False]])).visible(1, 2).astype(int)
    array([[1, 0]])
    """

    def __init__(self, visible: Bools) -> None:
        if not isinstance(visible, np.ndarray) or visible.dtype != np.bool_:
            raise AttentionMaskError(_not_bool(visible))
        if not 1 <= visible.ndim <= 4:
            raise AttentionMaskError(
                f"mask has shape {list(visible.shape)}, expected 1 to 4 axes that broadcast to "
                "[batch, query_heads, query_len, key_len]."
            )
        self.__dict__["shape"] = (1,) * (4 - visible.ndim) + visible.shape
        bits = np.packbits(visible.reshape(self.shape), axis=-1, bitorder="little")
        bits.setflags(write=False)
        self.__dict__["bits"] = bits

    shape: tuple[int, int, int, int]
    bits: NDArray[np.uint8]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Dense is immutable: make a new one instead of setting {name}")

    def __str__(self) -> str:
        return f"Dense({list(self.shape)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.shape, self.bits.tobytes())

    def check(self, sizes: Sizes) -> None:
        for axis, name in enumerate(("batch", "query_heads", "query_len", "key_len")):
            if self.shape[axis] not in (1, sizes[axis]):
                raise AttentionMaskError(
                    f"mask has shape {list(self.shape)}: its axis {axis - 4} is {self.shape[axis]}, expected {name}="
                    f"{sizes[axis]} or 1. A mask broadcasts to [batch, query_heads, query_len, key_len]; a padding mask "
                    "[batch, key_len] is mask[:, None, None, :]."
                )

    def sees(self, sizes: Sizes) -> Bools:
        return np.unpackbits(self.bits, axis=-1, count=self.shape[-1], bitorder="little").view(np.bool_)

    def runs(self, sizes: Sizes) -> Runs | None:
        return None

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        batch, head, query, key = (i if n > 1 else 0 for i, n in zip(slot, self.shape, strict=True))
        shown = bool(self.bits[batch, head, query, key // 8] >> (key % 8) & 1)
        return shown, f"Dense, the array holds {shown} for query {slot.query} and key {slot.key}"

    def natural_sizes(self) -> Sizes:
        batch, heads, query_len, key_len = self.shape
        return Sizes(batch, heads, query_len, key_len)


def _not_bool(given: Any) -> str:
    if isinstance(given, np.ndarray) and given.dtype.kind == "f":
        return (
            f"mask is an array of {given.dtype}, expected bool with True = visible. "
            "Scores that are added are a bias: pass bias=."
        )
    if isinstance(given, np.ndarray):
        return (
            f"mask is an array of {given.dtype}, expected bool with True = visible. Pass mask.astype(bool)."
        )
    return f"mask is a {type(given).__name__}, expected a mask such as Causal(), or a NumPy bool array with True = visible."
