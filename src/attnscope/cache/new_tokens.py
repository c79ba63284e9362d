"""New tokens of a call: checked against the cache's sizes and format, and written into their slots."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.cache.int8 import quantize
from attnscope.cache.layout import DTYPES
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem import read_vectors


def read_new_tokens(
    key: Any, value: Any, rows: tuple[int, int], dims: tuple[int, int], dtype: str
) -> list[NDArray[Any]]:
    """The arrays to store: keys, values and, for int8, their scales, (sequences, kv_heads, tokens, ...).

    `rows` are the numbers of sequences and kv heads, `dims` the last axes of keys and values. Raises
    AttentionShapeError or AttentionFormatError.
    """
    arrays = []
    for name, given, dim in (("key", key, dims[0]), ("value", value, dims[1])):
        array = read_vectors(given, name)
        lead = (None,) * (4 - array.ndim)
        full = array[lead] if array.ndim < 4 else array
        if array.ndim < 2 or full.ndim != 4 or full.shape[:2] != rows or full.shape[3] != dim:
            raise AttentionShapeError(
                f"{name} has shape {list(array.shape)}, expected {_expected(rows, dim)}. "
                "Pass a [tokens, heads, dim] array as x.swapaxes(0, 1)."
            )
        arrays.append(full)
    if arrays[0].shape[2] != arrays[1].shape[2]:
        raise AttentionShapeError(
            f"key has {arrays[0].shape[2]} tokens and value has {arrays[1].shape[2]}, expected one value per "
            "key."
        )
    if dtype == "int8":
        pairs = [quantize(array, name) for array, name in zip(arrays, ("key", "value"), strict=True)]
        return [*(stored for stored, _ in pairs), *(scales for _, scales in pairs)]
    for array, name in zip(arrays, ("key", "value"), strict=True):
        if array.dtype != DTYPES[dtype]:
            raise AttentionFormatError(
                f"{name} is {array.dtype}, expected {dtype}, the format of the cache. "
                f"Convert it: {name}.astype({_numpy(dtype)})."
            )
    return arrays


def write_tokens(
    arenas: Sequence[NDArray[Any]],
    new: Sequence[NDArray[Any]],
    block_table: NDArray[np.int32],
    first_token: NDArray[np.int64],
) -> None:
    """Write each sequence's new tokens into the slots that the block table gives them.

    `arenas` are keys, values, and their scales if any, (pages, kv_heads, page_tokens, ...); `new` are the
    same kinds, (sequences, kv_heads, tokens, ...); `first_token` is the place of each sequence's first new
    token, (sequences,).
    """
    page_tokens, tokens = arenas[0].shape[2], new[0].shape[2]
    if (
        len(first_token) == 1 and first_token[0] + tokens <= page_tokens
    ):  # one page: a slice, three times as fast
        page, start = block_table[0, 0], first_token[0]
        for arena, each in zip(arenas, new, strict=True):
            _bits(arena)[page, :, start : start + tokens] = _bits(each)[0]
        return
    places = first_token[:, None] + np.arange(tokens)
    pages = block_table[np.arange(len(places))[:, None], places // page_tokens]
    slots = places % page_tokens
    for arena, each in zip(arenas, new, strict=True):
        _bits(arena)[pages, :, slots] = _bits(each).swapaxes(1, 2)


def _bits(vectors: NDArray[Any]) -> NDArray[Any]:
    """bfloat16 as integers: NumPy copies its own types faster."""
    return vectors.view(np.uint16) if vectors.dtype.itemsize == 2 else vectors


def _expected(rows: tuple[int, int], dim: int) -> str:
    sequences, kv_heads = rows
    if sequences == 1:
        return f"[kv_heads, tokens, dim] = [{kv_heads}, tokens, {dim}]"
    return f"[sequences, kv_heads, tokens, dim] = [{sequences}, {kv_heads}, tokens, {dim}]"


def _numpy(dtype: str) -> str:
    return "ml_dtypes.bfloat16" if dtype == "bfloat16" else f"np.{dtype}"
