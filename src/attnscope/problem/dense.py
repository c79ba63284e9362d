"""The mask of arbitrary bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, kind_of
from attnscope.errors import AttentionMaskError
from attnscope.problem.arrays import is_masked
from attnscope.problem.dlpack import Array, shared
from attnscope.problem.mask import Mask
from attnscope.problem.rule import Bools
from attnscope.problem.runs import Runs, runs_of_rows
from attnscope.problem.shape import Sizes, Slot

MOST_ENTRIES = 2**40
AXES = ("batch", "query_heads", "query_len", "key_len")
Shape = tuple[int, int, int, int]


class Dense(Mask):
    """Show exactly the entries of a bool array. True means visible.

    Parameters
    ----------
    visible : ndarray of bool, broadcastable to (batch, query_heads, query_len, key_len)
        1 to 4 axes.

    Attributes
    ----------
    shape : tuple of int
        The array's shape, with 4 axes.
    bits : ndarray of uint8, read-only
        The entries: key j is bit j % 8 of byte j // 8 of the last axis.

    Raises
    ------
    AttentionMaskError
        If `visible` is not a NumPy bool array, or has no or more than 4 axes.

    Notes
    -----
    Takes an eighth of the array's memory. attention() makes a Dense of a bool array by itself.

    Examples
    --------
    >>> Dense(np.array([[True, False]])).visible(1, 2).astype(int)
    array([[1, 0]])
    """

    shape: Shape
    bits: NDArray[np.uint8]

    def __init__(self, visible: Array) -> None:
        array = read_visible(visible)
        shape = (1,) * (4 - array.ndim) + array.shape
        packed = np.packbits(array.reshape(shape), axis=-1, bitorder="little")
        self._keep(shape, packed.shape, packed.tobytes())

    @classmethod
    def from_bits(cls, shape: Shape, bits: NDArray[np.uint8]) -> "Dense":
        """Make a mask of bits that are packed already.

        Parameters
        ----------
        shape : tuple of int
            (batch or 1, query_heads or 1, query_len or 1, key_len or 1).
        bits : ndarray of uint8, shape (batch or 1, query_heads or 1, query_len or 1, ceil(shape[3] / 8))
            Key j is bit j % 8 of byte j // 8; bits past the last key are 0.

        Returns
        -------
        Dense
        """
        return _restored(shape, bits.shape, bits.tobytes())

    def _keep(self, shape: tuple[int, ...], bits_shape: tuple[int, ...], content: bytes) -> None:
        bits = np.frombuffer(content, np.uint8).reshape(bits_shape)  # a view of bytes is read-only
        self.__dict__.update(shape=shape, bits=bits, _content=content, held_bytes=len(content))

    def __str__(self) -> str:
        return f"Dense({list(self.shape)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.shape, self.__dict__["_content"])

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.shape, self.bits.shape, self.__dict__["_content"])

    def check(self, sizes: Sizes) -> None:
        for axis, name in enumerate(AXES):
            if self.shape[axis] not in (1, sizes[axis]):
                raise AttentionMaskError(
                    f"mask has shape {list(self.shape)}: its axis {axis - 4} is {self.shape[axis]}, "
                    f"expected {name}="
                    f"{sizes[axis]} or 1. A mask broadcasts to [batch, query_heads, query_len, key_len]; a "
                    "padding "
                    "mask [batch, key_len] is mask[:, None, None, :]."
                )

    def sees(self, sizes: Sizes, queries: range) -> Bools:
        asked = slice(queries.start, queries.stop) if self.shape[2] > 1 else slice(None)
        bits = self.bits[:, :, asked]
        return np.unpackbits(bits, axis=-1, count=self.shape[-1], bitorder="little").view(np.bool_)

    def runs(self, sizes: Sizes) -> Runs | None:
        if self.shape[1:3] != (1, 1):
            return (
                None  # only an array that all queries of a batch row share, such as padding, is read as runs
            )
        visible = self.sees(sizes, sizes.queries)[:, 0, 0]
        return runs_of_rows(np.broadcast_to(visible, (len(visible), sizes.key_len)))

    def reason(self, slot: Slot, sizes: Sizes) -> tuple[bool, str]:
        batch, head, query, key = (i if size > 1 else 0 for i, size in zip(slot, self.shape, strict=True))
        shown = bool(self.bits[batch, head, query, key // 8] >> (key % 8) & 1)
        names = ("batch row", "head", "query", "key")
        varying = [f"{name} {i}" for name, i, size in zip(names, slot, self.shape, strict=True) if size > 1]
        return shown, f"the array holds {shown} for {', '.join(varying) or 'everything'}"

    def implied_sizes(self) -> Sizes:
        return Sizes(*(0 if size == 1 else size for size in self.shape))

    def keys_to_draw(self) -> int:
        return 8 if self.shape[-1] == 1 else self.shape[-1]


def _restored(shape: Shape, bits_shape: tuple[int, ...], content: bytes) -> Dense:
    mask = object.__new__(Dense)
    mask._keep(shape, bits_shape, content)
    return mask


def read_visible(given: Any) -> Bools:
    """Check a bool array of what is visible; raise AttentionMaskError for anything else."""
    if hasattr(type(given), "__dlpack__") and not issubclass(type(given), np.ndarray):
        given = shared(given, "mask", error=AttentionMaskError)
    if not issubclass(type(given), np.ndarray) or is_masked(given) or given.dtype != np.bool_:
        raise AttentionMaskError(_not_bool(given))
    visible: Bools = np.ndarray.view(given, np.ndarray)
    if not 1 <= visible.ndim <= 4:
        raise AttentionMaskError(
            f"mask has shape {list(visible.shape)}, expected 1 to 4 axes that broadcast to "
            "[batch, query_heads, query_len, key_len]."
        )
    if visible.size >= MOST_ENTRIES:
        raise AttentionMaskError(
            f"mask has shape {list(visible.shape)}, expected less than 2**40 entries, as each takes a bit. "
            "Causal(), Window() and the others take no memory."
        )
    return visible


def _not_bool(given: Any) -> str:
    expected = "expected bool with True = visible"
    if isinstance(given, type) and issubclass(given, Mask):
        return f"mask is the class {given.__name__}, expected a mask. Make one: {given.__name__}(...)."
    if not issubclass(type(given), np.ndarray):
        way_out = " Pass mask.numpy()." if kind_of(given).startswith("torch.") else ""
        if isinstance(given, list | tuple):
            way_out = " Use np.asarray(mask)."
        return (
            f"mask is a {kind_of(given)}, {brief(given)}, expected a mask such as Causal(), or a NumPy "
            "bool array "
            f"with True = visible.{way_out}"
        )
    if is_masked(given):
        return f"mask is a masked array, {expected}: its own mask would be lost. Pass mask.filled(False)."
    if given.dtype.kind == "f" or given.dtype.name == "bfloat16":
        return f"mask is {brief(given)}, {expected}. Scores that are added are a bias: pass bias=."
    return f"mask is {brief(given)}, {expected}. Pass mask.astype(bool)."
