"""The arrays of a call: how each kind of mask, documents and bias is drawn, and the memory layouts of arrays.

A layout moves numbers in memory; it never changes their values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import AttentionShape

Drawing = Callable[[np.random.Generator, AttentionShape], NDArray[Any]]
Array = NDArray[Any]
Bools = NDArray[np.bool_]


def lengths(sizes: AttentionShape) -> NDArray[np.int64]:
    """The lengths of a ragged batch: each item has fewer keys than the one before, at least 1."""
    return np.maximum(1, sizes.key_len - 1 - 2 * np.arange(sizes.batch))


def padding_right(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.arange(sizes.key_len) < lengths(sizes)[:, None]


def padding_left(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.arange(sizes.key_len) >= (sizes.key_len - lengths(sizes))[:, None]


def holes(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Random keys: at least one, and not all if there are two."""
    visible = rng.random((sizes.batch, sizes.key_len)) < 0.6
    kept = rng.integers(0, sizes.key_len, sizes.batch)
    visible[np.arange(sizes.batch), kept - 1] = False
    visible[np.arange(sizes.batch), kept] = True
    return visible


def all_keys(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.ones((sizes.batch, sizes.key_len), np.bool_)


def no_key_in_the_last_item(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    visible = padding_right(rng, sizes)
    visible[-1] = False
    return visible


def any_slots(heads: int, rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Random slots; every query sees at least one key."""
    shape = (sizes.batch, heads, sizes.query_len, sizes.key_len)
    visible = rng.random(shape) < 0.6
    seen = rng.integers(0, sizes.key_len, shape[:3])
    np.put_along_axis(visible, seen[..., None], True, axis=-1)
    return visible


def slots_of_all_heads(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return any_slots(1, rng, sizes)


def slots_of_each_head(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return any_slots(sizes.query_heads, rng, sizes)


def all_slots(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.ones((sizes.batch, 1, sizes.query_len, sizes.key_len), np.bool_)


def last_query_masked(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    visible = any_slots(1, rng, sizes)
    visible[:, :, -1] = False
    return visible


def runs(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """At most 3 documents of neighbouring keys with falling ids: 9 9 9 4 4 1."""
    cuts = np.sort(rng.integers(0, sizes.key_len + 1, (sizes.batch, 2)), axis=1)
    number = (np.arange(sizes.key_len) >= cuts[:, :, None]).sum(axis=1)
    ids: NDArray[np.int64] = np.array([9, 4, 1])[number]
    return ids


def scattered(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Documents whose keys are not neighbours."""
    return rng.integers(0, 3, (sizes.batch, sizes.key_len))


def one_document(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    return np.full((sizes.batch, sizes.key_len), 5)


def large_ids(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Ids that become equal in 32 bits or as floats."""
    return np.array([2**40, 2**40 + 1, 2**41])[rng.integers(0, 3, (sizes.batch, sizes.key_len))]


def large_bias(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[Any]:
    """A bias of up to some hundreds."""
    return 100 * bias_of(True, True, True)(rng, sizes)


def bias_of(batch: bool, heads: bool, queries: bool) -> Drawing:
    """Return a function that draws a bias with axes of size 1 where an argument is False."""

    def draw(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[Any]:
        shape = (
            sizes.batch if batch else 1,
            sizes.query_heads if heads else 1,
            sizes.query_len if queries else 1,
            sizes.key_len,
        )
        return 1.5 * rng.standard_normal(shape)

    return draw


KEY_MASKS: dict[str, Drawing] = {
    "right padding": padding_right,
    "left padding": padding_left,
    "holes": holes,
    "all visible": all_keys,
    "no key in the last item": no_key_in_the_last_item,
}
MASKS: dict[str, Drawing] = {
    "the same for all heads": slots_of_all_heads,
    "one for each head": slots_of_each_head,
    "all visible": all_slots,
    "last query sees no key": last_query_masked,
}
DOCUMENTS: dict[str, Drawing] = {
    "runs": runs,
    "scattered": scattered,
    "one": one_document,
    "large ids": large_ids,
}
BIASES: dict[str, Drawing] = {
    "full": bias_of(True, True, True),
    "the same for the batch": bias_of(False, True, True),
    "the same for batch and heads": bias_of(False, False, True),
    "large": large_bias,
    "of keys": bias_of(True, False, False),
}


def tokens_before_heads(array: Array) -> Array:
    """A view of an array [batch, tokens, heads, dim]."""
    return np.ascontiguousarray(array.swapaxes(1, 2)).swapaxes(1, 2)


def every_second_token(array: Array) -> Array:
    """A view with gaps between the tokens."""
    wide = np.repeat(array, 2, axis=2)
    wide[:, :, 1::2] = 77
    return wide[:, :, ::2]


def part_of_a_longer_one(array: Array) -> Array:
    """A view of the middle of an array with more batch items, heads, tokens and dims."""
    wide = np.full([size + 3 for size in array.shape], 77, array.dtype)
    wide[1:-2, 1:-2, 1:-2, 1:-2] = array
    return wide[1:-2, 1:-2, 1:-2, 1:-2]


def one_array_for_all_three(array: Array) -> Array:
    """A view of an array [batch, tokens, 3, heads, dim], as a fused projection returns it."""
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
    """Fortran order: the last axis is not contiguous."""
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
