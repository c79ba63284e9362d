"""New tokens into their slots."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_tokens(
    arenas: Sequence[NDArray[Any]],
    new: Sequence[NDArray[Any]],
    block_table: NDArray[np.int32],
    first_token: NDArray[np.int64],
) -> None:
    """Write each sequence's new tokens where the block table says.

    Shapes
        arenas         of keys, values, and their scales if any: (pages, kv_heads, page_tokens, ...)
        new            of the same kinds: (sequences, kv_heads, tokens, ...)
        block_table    (sequences, blocks)
        first_token    (sequences,)             which token of its sequence the first new one is
    """
    page_tokens, tokens = arenas[0].shape[2], new[0].shape[2]
    if (
        len(first_token) == 1 and first_token[0] + tokens <= page_tokens
    ):  # in the first page: NumPy need not gather
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
    """bfloat16 as its bits: NumPy copies what it knows faster."""
    return vectors.view(np.uint16) if vectors.dtype.itemsize == 2 else vectors
