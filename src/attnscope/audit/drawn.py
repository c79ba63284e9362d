"""The arrays among a call's options: how each kind of mask, of documents and of bias is drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import AttentionShape

Drawing = Callable[[np.random.Generator, AttentionShape], NDArray[Any]]
Bools = NDArray[np.bool_]


def lengths(sizes: AttentionShape) -> NDArray[np.int64]:
    """A ragged batch: each item keeps fewer keys than the one before, down to 1."""
    return np.maximum(1, sizes.key_len - 1 - 2 * np.arange(sizes.batch))


def padding_right(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.arange(sizes.key_len) < lengths(sizes)[:, None]


def padding_left(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.arange(sizes.key_len) >= (sizes.key_len - lengths(sizes))[:, None]


def holes(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Any keys, at least one, and not all where there are two."""
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
    """Any slots; every query sees one key at the least."""
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


def last_query_sees_nothing(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    visible = any_slots(1, rng, sizes)
    visible[:, :, -1] = False
    return visible


def runs(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Neighbouring keys in 3 documents at the most, ids falling: 9 9 9 4 4 1."""
    cuts = np.sort(rng.integers(0, sizes.key_len + 1, (sizes.batch, 2)), axis=1)
    number = (np.arange(sizes.key_len) >= cuts[:, :, None]).sum(axis=1)
    ids: NDArray[np.int64] = np.array([9, 4, 1])[number]
    return ids


def scattered(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Documents whose keys are no neighbours."""
    return rng.integers(0, 3, (sizes.batch, sizes.key_len))


def one_document(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    return np.full((sizes.batch, sizes.key_len), 5)


def large_ids(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Ids that are equal once they were narrowed to 32 bits, or to a float."""
    return np.array([2**40, 2**40 + 1, 2**41])[rng.integers(0, 3, (sizes.batch, sizes.key_len))]


def large_bias(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[Any]:
    """Up to some hundreds."""
    return 100 * bias_of(True, True, True)(rng, sizes)


def bias_of(batch: bool, heads: bool, queries: bool) -> Drawing:
    """Draw a bias that is broadcast over the axes that are not named."""

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
    "last query sees nothing": last_query_sees_nothing,
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
