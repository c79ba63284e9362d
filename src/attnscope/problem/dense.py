"""The mask of any bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, kind_of
from attnscope.errors import AttentionMaskError
from attnscope.problem.arrays import is_masked
from attnscope.problem.mask import Bools, Mask
from attnscope.problem.runs import MOST_RUNS, Runs
from attnscope.problem.sizes import Sizes, Slot

MOST_ENTRIES = 2**40
AXES = ("batch", "query_heads", "query_len", "key_len")
Shape = tuple[int, int, int, int]


class Dense(Mask):
    """Any bits: a NumPy bool array, True = visible. Kept as bits, an eighth of the array's memory.

    Shapes
        visible    broadcasts to (batch, query_heads, query_len, key_len)
        bits       the same, key j in bit j % 8 of byte j // 8

    >>> Dense(np.array([[True, False]])).visible(1, 2).astype(int)
    array([[1, 0]])
    """

    shape: Shape
    bits: NDArray[np.uint8]

    def __init__(self, visible: Bools) -> None:
        visible = read_visible(visible)
        shape = (1,) * (4 - visible.ndim) + visible.shape
        packed = np.packbits(visible.reshape(shape), axis=-1, bitorder="little")
        self._keep(shape, packed.shape, packed.tobytes())

    def _keep(self, shape: tuple[int, ...], bits_shape: tuple[int, ...], content: bytes) -> None:
        bits = np.frombuffer(content, np.uint8).reshape(bits_shape)  # a view of bytes: nobody can write to it
        self.__dict__.update(shape=shape, bits=bits, _content=content, held_bytes=len(content))

    def __str__(self) -> str:
        return f"Dense({list(self.shape)})"

    def identity(self) -> tuple[Any, ...]:
        return (self.shape, self.__dict__["_content"])

    def __reduce__(self) -> tuple[Any, ...]:
        return dense_of_bits, (self.shape, self.bits.shape, self.__dict__["_content"])

    def check(self, sizes: Sizes) -> None:
        for axis, name in enumerate(AXES):
            if self.shape[axis] not in (1, sizes[axis]):
                raise AttentionMaskError(
                    f"mask has shape {list(self.shape)}: its axis {axis - 4} is {self.shape[axis]}, expected {name}="
                    f"{sizes[axis]} or 1. A mask broadcasts to [batch, query_heads, query_len, key_len]; a padding mask "
                    "[batch, key_len] is mask[:, None, None, :]."
                )

    def sees(self, _: Sizes, queries: range) -> Bools:
        asked = slice(queries.start, queries.stop) if self.shape[2] > 1 else slice(None)
        bits = self.bits[:, :, asked]
        return np.unpackbits(bits, axis=-1, count=self.shape[-1], bitorder="little").view(np.bool_)

    def runs(self, sizes: Sizes) -> Runs | None:
        """Only where all queries of a batch row see the same, as with an array that says what is padding."""
        if self.shape[1:3] != (1, 1):
            return None
        visible = self.sees(sizes, sizes.queries)[:, 0, 0]
        return runs_of_rows(np.broadcast_to(visible, (len(visible), sizes.key_len)))

    def reason(self, slot: Slot, _: Sizes) -> tuple[bool, str]:
        batch, head, query, key = (i if size > 1 else 0 for i, size in zip(slot, self.shape, strict=True))
        shown = bool(self.bits[batch, head, query, key // 8] >> (key % 8) & 1)
        names = ("batch row", "head", "query", "key")
        varying = [f"{name} {i}" for name, i, size in zip(names, slot, self.shape, strict=True) if size > 1]
        return shown, f"Dense, the array holds {shown} for {', '.join(varying) or 'everything'}"

    def implied_sizes(self) -> Sizes:
        return Sizes(*(0 if size == 1 else size for size in self.shape))

    def keys_to_draw(self) -> int:
        return 8 if self.shape[-1] == 1 else self.shape[-1]


def runs_of_rows(visible: Bools) -> Runs | None:
    """Where the runs of each row begin and end, for an array (rows, key_len); None for too many."""
    edges = np.diff(visible, axis=-1, prepend=False, append=False)  # a run's first key, and the one behind it
    counts = np.count_nonzero(edges, axis=-1) // 2
    most = int(counts.max(initial=1))
    if most > MOST_RUNS:
        return None
    row, key = (index.reshape(-1, 2) for index in np.nonzero(edges))
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)  # among its row's runs
    first, end = np.zeros((2, len(visible), 1, most), np.int64)
    first[row[:, 0], 0, place], end[row[:, 0], 0, place] = key.T
    return Runs(first, end)


def dense_of_bits(shape: Shape, bits_shape: Shape, content: bytes) -> Dense:
    """Make a mask of what another one kept; for pickle."""
    mask = object.__new__(Dense)
    mask._keep(shape, bits_shape, content)
    return mask


def read_visible(given: Any) -> Bools:
    """Check an array that says what is visible.

    Errors
        AttentionMaskError.
    """
    if not issubclass(type(given), np.ndarray) or is_masked(given) or given.dtype != np.bool_:
        raise AttentionMaskError(not_bool(given))
    visible: Bools = np.ndarray.view(given, np.ndarray)
    if not 1 <= visible.ndim <= 4:
        raise AttentionMaskError(
            f"mask has shape {list(visible.shape)}, expected 1 to 4 axes that broadcast to "
            "[batch, query_heads, query_len, key_len]."
        )
    if visible.size >= MOST_ENTRIES:
        raise AttentionMaskError(
            f"mask has shape {list(visible.shape)}, expected less than 2**40 entries: they are kept as bits. "
            "Causal(), Window() and the others take no memory."
        )
    return visible


def not_bool(given: Any) -> str:
    """The error's text for a mask that is none."""
    expected = "expected bool with True = visible"
    if isinstance(given, type) and issubclass(given, Mask):
        return f"mask is the class {given.__name__}, expected a mask. Make one: {given.__name__}(...)."
    if not issubclass(type(given), np.ndarray):
        way_out = " Pass mask.numpy()." if kind_of(given).startswith("torch.") else ""
        if isinstance(given, list | tuple):
            way_out = " Use np.asarray(mask)."
        return (
            f"mask is a {kind_of(given)}, {brief(given)}, expected a mask such as Causal(), or a NumPy bool array with "
            f"True = visible.{way_out}"
        )
    if is_masked(given):
        return f"mask is a masked array, {expected}: what it masks itself would be lost. Pass mask.filled(False)."
    if given.dtype.kind == "f" or given.dtype.name == "bfloat16":
        return f"mask is {brief(given)}, {expected}. Scores that are added are a bias: pass bias=."
    return f"mask is {brief(given)}, {expected}. Pass mask.astype(bool)."
