"""How the same numbers may lie in memory. The first axis's numbers change places; their values never do."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def tokens_before_heads(array: Array) -> Array:
    """A view of an array [batch, tokens, heads, dim]."""
    return np.ascontiguousarray(array.swapaxes(1, 2)).swapaxes(1, 2)


def every_second_token(array: Array) -> Array:
    """A view that skips what lies between."""
    wide = np.repeat(array, 2, axis=2)
    wide[:, :, 1::2] = 77
    return wide[:, :, ::2]


def part_of_a_longer_one(array: Array) -> Array:
    """A view of the middle of an array with more batch items, heads, tokens and dims."""
    wide = np.full([size + 3 for size in array.shape], 77, array.dtype)
    wide[1:-2, 1:-2, 1:-2, 1:-2] = array
    return wide[1:-2, 1:-2, 1:-2, 1:-2]


def one_array_for_all_three(array: Array) -> Array:
    """A view of an array [batch, tokens, 3, heads, dim], as a fused projection makes it."""
    fused = np.full((array.shape[0], array.shape[2], 3, array.shape[1], array.shape[3]), 77, array.dtype)
    fused[:, :, 1] = array.swapaxes(1, 2)
    return fused[:, :, 1].swapaxes(1, 2)


def tokens_backwards(array: Array) -> Array:
    """A view with a negative stride."""
    return np.ascontiguousarray(array[:, :, ::-1])[:, :, ::-1]


def dims_before_tokens(array: Array) -> Array:
    """A view of an array [batch, heads, dim, tokens]: the last axis is not contiguous."""
    return np.ascontiguousarray(array.swapaxes(2, 3)).swapaxes(2, 3)


def column_major(array: Array) -> Array:
    """Fortran's order: the last axis is not contiguous."""
    return np.asfortranarray(array)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": np.ascontiguousarray,
    "tokens before heads": tokens_before_heads,
    "every second token": every_second_token,
    "part of a longer array": part_of_a_longer_one,
    "one array for all three": one_array_for_all_three,
    "tokens backwards": tokens_backwards,
    "dims before tokens": dims_before_tokens,
    "column-major": column_major,
}
