"""The arrays of a call's options: how each kind of mask, documents and bias is drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import AttentionShape

Drawing = Callable[[np.random.Generator, AttentionShape], NDArray[Any]]
Bools = NDArray[np.bool_]
BLOCKS = (2, 4, 8, 16, 32, 64, 128)


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


def block_of(rng: np.random.Generator, length: int) -> int:
    """A block size: a power of two of at least 2, at most half a length if that is possible."""
    fitting = [each for each in BLOCKS if 2 * each <= length] or [BLOCKS[0]]
    return int(rng.choice(fitting))


def run_hidden(place: float) -> Drawing:
    """Return a function that hides a run of whole blocks: at the start (0), middle (0.5) or end (1)."""

    def draw(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
        visible = all_keys(rng, sizes)
        for item in visible:
            block = block_of(rng, sizes.key_len)
            room = max(1, sizes.key_len // block - 1)
            hidden = block * int(rng.integers(1, room + 1)) if sizes.key_len > block else 0
            first = (
                round(place * (sizes.key_len - hidden) / block) * block
                if place < 1
                else sizes.key_len - hidden
            )
            item[first : first + hidden] = False
            item[-1 if place == 0 else 0] = True
        return visible

    return draw


def blocks_hidden(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Random whole blocks are hidden; a block and a key of each item are visible."""
    visible = all_keys(rng, sizes)
    for item in visible:
        block = block_of(rng, sizes.key_len)
        seen = rng.random(-(-sizes.key_len // block)) < 0.5
        seen[rng.integers(len(seen))] = True
        item &= np.repeat(seen, block)[: sizes.key_len]
    return visible


def same_for_the_batch(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    return np.repeat(holes(rng, sizes)[:1], sizes.batch, axis=0)


def any_slots(heads: int, rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Random slots; every query sees at least one key."""
    shape = (sizes.batch, heads, sizes.query_len, sizes.key_len)
    return with_a_key(rng, rng.random(shape) < 0.6)


def with_a_key(rng: np.random.Generator, visible: Bools) -> Bools:
    """Show a random key to each query."""
    seen = rng.integers(0, visible.shape[-1], visible.shape[:-1])
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


def staircase(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Blocks of queries see more and more keys, at least one."""
    block = block_of(rng, sizes.query_len)
    steps = np.sort(rng.integers(1, sizes.key_len + 1, (sizes.batch, -(-sizes.query_len // block))), axis=1)
    ends = np.repeat(steps, block, axis=1)[:, : sizes.query_len]
    visible: Bools = np.arange(sizes.key_len) < ends[:, None, :, None]
    return visible


def tiles(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    """Random tiles of queries and keys are hidden, aligned to blocks; within the others, a few slots are."""
    rows, columns = block_of(rng, sizes.query_len), block_of(rng, sizes.key_len)
    count = (-(-sizes.query_len // rows), -(-sizes.key_len // columns))
    seen = rng.random((sizes.batch, 1, *count)) < 0.5
    visible = np.repeat(np.repeat(seen, rows, axis=2), columns, axis=3)
    visible = visible[:, :, : sizes.query_len, : sizes.key_len]
    return with_a_key(rng, visible & (rng.random(visible.shape) < 0.9))


def same_for_all_queries(rng: np.random.Generator, sizes: AttentionShape) -> Bools:
    visible = blocks_hidden(rng, sizes)[:, None, None, :]
    return np.repeat(visible, sizes.query_len, axis=2)


def runs(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """At most 3 documents of neighbouring keys with falling ids: 9 9 9 4 4 1."""
    cuts = np.sort(rng.integers(0, sizes.key_len + 1, (sizes.batch, 2)), axis=1)
    number = (np.arange(sizes.key_len) >= cuts[:, :, None]).sum(axis=1)
    ids: NDArray[np.int64] = np.array([9, 4, 1])[number]
    return ids


def scattered(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Documents whose keys are not neighbours."""
    return rng.integers(0, 3, (sizes.batch, sizes.key_len))


def blocks_of_documents(rng: np.random.Generator, sizes: AttentionShape) -> NDArray[np.int64]:
    """Documents that begin at whole blocks, of which some continue later."""
    block = block_of(rng, sizes.key_len)
    ids = rng.integers(0, 3, (sizes.batch, -(-sizes.key_len // block)))
    return np.repeat(ids, block, axis=1)[:, : sizes.key_len]


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


# The first of each table is the simplest one.
KEY_MASKS: dict[str, Drawing] = {
    "right padding": padding_right,
    "left padding": padding_left,
    "holes": holes,
    "all visible": all_keys,
    "a run hidden at the start": run_hidden(0),
    "a run hidden in the middle": run_hidden(0.5),
    "a run hidden at the end": run_hidden(1),
    "whole blocks hidden": blocks_hidden,
    "the same for the batch": same_for_the_batch,
    "no key in the last item": no_key_in_the_last_item,
}
MASKS: dict[str, Drawing] = {
    "the same for all heads": slots_of_all_heads,
    "one for each head": slots_of_each_head,
    "all visible": all_slots,
    "a staircase": staircase,
    "whole tiles hidden": tiles,
    "the same for all queries": same_for_all_queries,
    "last query sees no key": last_query_masked,
}
DOCUMENTS: dict[str, Drawing] = {
    "runs": runs,
    "scattered": scattered,
    "one": one_document,
    "whole blocks": blocks_of_documents,
    "large ids": large_ids,
}
BIASES: dict[str, Drawing] = {
    "full": bias_of(True, True, True),
    "the same for the batch": bias_of(False, True, True),
    "of keys": bias_of(True, False, False),
    "the same for batch and heads": bias_of(False, False, True),
    "large": large_bias,
}
