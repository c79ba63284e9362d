"""Part of exercise 3: who may see whom. Causal, aligned to the end, with right padding."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, causal
from attnscope.lesson.question import Arguments, Draw, Expected, Misconception, Task
from attnscope.problem import Causal, KeyLengths, Window

Mask = Callable[[Array, Array, Array], Any]


def sizes_and_lengths(rng: np.random.Generator, size: Any) -> Arguments:
    """Random lengths: the first sequence is full, the last one short."""
    lengths = rng.integers(1, size.key_len + 1, size.batch)
    lengths[0] = size.key_len
    lengths[-1] = max(1, size.key_len - 2) if size.batch > 1 else size.key_len
    return {"query_len": size.query_len, "key_len": size.key_len, "key_lengths": lengths}


def padded(rng: np.random.Generator, size: Any) -> Arguments:
    """No sequence is full."""
    lengths = rng.integers(1, max(2, size.key_len), size.batch)
    return {"query_len": size.query_len, "key_len": size.key_len, "key_lengths": lengths}


def empty(rng: np.random.Generator, size: Any) -> Arguments:
    """The last sequence has no token."""
    made = sizes_and_lengths(rng, size)
    made["key_lengths"][-1] = 0
    return made


def right_mask(query_len: int, key_len: int, key_lengths: Array) -> tuple[Expected, ...]:
    """The library's own masks, combined."""
    mask = Causal() & KeyLengths(np.asarray(key_lengths).tolist())
    full = mask.visible(query_len, key_len, batch=len(key_lengths))
    return (Expected(full.reshape(len(key_lengths), query_len, key_len)),)


def instead(mask: Mask) -> Callable[..., Any]:
    """A mask from the positions i and j, and the lengths; all broadcast to [batch, query, key]."""

    def wrong(query_len: int, key_len: int, key_lengths: Array) -> Array:
        i = np.arange(query_len)[None, :, None]
        j = np.arange(key_len)[None, None, :]
        shown = mask(i + key_len - query_len, j, np.asarray(key_lengths)[:, None, None])
        return np.broadcast_to(shown, (len(key_lengths), query_len, key_len)).copy()

    return wrong


def from_the_start(query_len: int, key_len: int, key_lengths: Array) -> Array:
    lengths = np.asarray(key_lengths)[:, None, None]
    return np.asarray(np.tri(query_len, key_len, dtype=bool) & (np.arange(key_len) < lengths))


def to_each_end(query_len: int, key_len: int, key_lengths: Array) -> Array:
    i = np.arange(query_len)[None, :, None]
    j = np.arange(key_len)
    lengths = np.asarray(key_lengths)[:, None, None]
    return np.asarray((j <= i + lengths - query_len) & (j < lengths))


def without_batch(query_len: int, key_len: int, key_lengths: Array) -> Array:
    return causal(query_len, key_len)


def queries_padded(query_len: int, key_len: int, key_lengths: Array) -> Array:
    i = np.arange(query_len)[None, :, None]
    return np.asarray(causal(query_len, key_len) & (i < np.asarray(key_lengths)[:, None, None]))


def with_a_head_axis(query_len: int, key_len: int, key_lengths: Array) -> Array:
    return right_mask(query_len, key_len, key_lengths)[0].value[:, None]


def keys_first(query_len: int, key_len: int, key_lengths: Array) -> Array:
    return right_mask(query_len, key_len, key_lengths)[0].value.swapaxes(1, 2)


def of_the_first(query_len: int, key_len: int, key_lengths: Array) -> Array:
    return np.asarray(instead(lambda i, j, n: (j <= i) & (j < n.ravel()[0]))(query_len, key_len, key_lengths))


VISIBLE = Task(
    name="visible",
    parameters=("query_len", "key_len", "key_lengths"),
    results=("visible",),
    kind="booleans",
    draws=(
        Draw("as many queries as keys", sizes_and_lengths, {"batch": 2, "query_len": 4, "key_len": 4}),
        Draw("fewer queries than keys", sizes_and_lengths, {"batch": 3, "query_len": 2, "key_len": 5}),
        Draw(
            "fewer queries than keys, all padded", padded, {"batch": 2, "query_len": 3, "key_len": 6}, seeds=2
        ),
        Draw("one query", padded, {"batch": 2, "query_len": 1, "key_len": 4}),
        Draw("one sequence", sizes_and_lengths, {"batch": 1, "query_len": 3, "key_len": 3}),
        Draw("a sequence without a key", empty, {"batch": 2, "query_len": 3, "key_len": 3}),
        Draw("more queries than keys", sizes_and_lengths, {"batch": 2, "query_len": 5, "key_len": 3}),
        Draw("random lengths", sizes_and_lengths, {"batch": 5, "query_len": 6, "key_len": 9}, seeds=2),
    ),
    expected=right_mask,
    misconceptions=(
        Misconception(
            "the mask is inverted: True means that a query sees a key.",
            instead(lambda i, j, n: ~((j <= i) & (j < n))),
        ),
        Misconception(
            "the first query meets the first key; the last query should meet the last key, so query i "
            "is at position i + key_len - query_len.",
            from_the_start,
        ),
        Misconception(
            "the last query meets the last key that is no padding, another one in each sequence; the mask "
            "is to be aligned to key_len for all.",
            to_each_end,
        ),
        Misconception(
            "a query does not see its own position: the comparison with the future is strict and should not "
            "be.",
            instead(lambda i, j, n: (j < i) & (j < n)),
        ),
        Misconception("a query sees one key of the future.", instead(lambda i, j, n: (j <= i + 1) & (j < n))),
        Misconception(
            "padded keys are seen: key_lengths makes no difference.", instead(lambda i, j, n: j <= i)
        ),
        Misconception(
            "the future is seen: nothing is causal, only padding is hidden.", instead(lambda i, j, n: j < n)
        ),
        Misconception(
            "the first padded key is seen: a sequence of n tokens has the keys 0 to n - 1.",
            instead(lambda i, j, n: (j <= i) & (j <= n)),
        ),
        Misconception(
            "the last key that is no padding is hidden: a sequence of n tokens has the keys 0 to n - 1.",
            instead(lambda i, j, n: (j <= i) & (j < n - 1)),
        ),
        Misconception(
            "the past is hidden and the future seen: the comparison of the positions is inverted.",
            instead(lambda i, j, n: (j >= i) & (j < n)),
        ),
        Misconception(
            "a key is seen if either rule allows it; both must: join them by `and`.",
            instead(lambda i, j, n: (j <= i) | (j < n)),
        ),
        Misconception(
            "the padding is assumed on the left; it is on the right: the first key_lengths keys are real.",
            lambda q, k, n: instead(lambda i, j, n: (j <= i) & (j >= k - n))(q, k, n),
        ),
        Misconception(
            "the padding of the keys is hidden along the queries: it is the columns that are padded, not "
            "the rows.",
            queries_padded,
        ),
        Misconception("all sequences are given the length of the first.", of_the_first),
        Misconception(
            "the padding is hidden twice: rows of queries are hidden as well, but only keys should be.",
            instead(lambda i, j, n: (j <= i) & (j < n) & (i < n)),
        ),
        Misconception("there is no batch axis, and key_lengths makes no difference.", without_batch),
        Misconception(
            "there is an axis of heads too many: expected [batch, query_len, key_len].", with_a_head_axis
        ),
        Misconception("queries and keys are exchanged: expected [batch, query_len, key_len].", keys_first),
        Misconception("every query sees every key: nothing is hidden.", instead(lambda i, j, n: j >= 0)),
    ),
)


def with_a_window(rng: np.random.Generator, size: Any) -> Arguments:
    return {**sizes_and_lengths(rng, size), "window": size.window}


def right_window(query_len: int, key_len: int, key_lengths: Array, window: int) -> tuple[Expected, ...]:
    near = Window(left=window - 1, right=0).visible(query_len, key_len)
    return (Expected(right_mask(query_len, key_len, key_lengths)[0].value & near),)


def window_instead(shown: Callable[[Array, Array, int], Any]) -> Callable[..., Any]:
    def wrong(query_len: int, key_len: int, key_lengths: Array, window: int) -> Any:
        return np.asarray(
            instead(lambda i, j, n: (j < n) & shown(i, j, window))(query_len, key_len, key_lengths)
        )

    return wrong


VISIBLE_IN_WINDOW = Task(
    name="visible_in_window",
    parameters=("query_len", "key_len", "key_lengths", "window"),
    results=("visible",),
    kind="booleans",
    draws=(
        Draw("a window of 1", with_a_window, {"batch": 2, "query_len": 4, "key_len": 4, "window": 1}),
        Draw("a window of 3", with_a_window, {"batch": 2, "query_len": 4, "key_len": 7, "window": 3}),
        Draw(
            "a window beyond all keys", with_a_window, {"batch": 2, "query_len": 3, "key_len": 5, "window": 9}
        ),
    ),
    expected=right_window,
    misconceptions=(
        Misconception(
            "the window is one key too wide: a window of 4 sees the key itself and the 3 before it.",
            window_instead(lambda i, j, w: (j <= i) & (j >= i - w)),
        ),
        Misconception(
            "the window is one key too narrow: a window of 4 sees the key itself and the 3 before it.",
            window_instead(lambda i, j, w: (j <= i) & (j > i - w + 1)),
        ),
        Misconception("the window reaches into the future.", window_instead(lambda i, j, w: abs(j - i) < w)),
        Misconception("the window makes no difference.", window_instead(lambda i, j, w: j <= i)),
    ),
)
