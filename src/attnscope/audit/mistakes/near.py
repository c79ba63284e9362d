"""Mistakes about windows and documents."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.mistakes.mistake import Bools, Mistake, keys, positions, seeing
from attnscope.audit.reading import Reading

COUNT = "window=(left, right) counts neighbours, the position itself not: p - left <= key <= p + right."


def window_is(
    bounds: Callable[[int, int], tuple[float, float]], *, from_start: bool = False
) -> Callable[[Reading], Reading | None]:
    """Read a window as another one, or from other positions."""

    def reread(reading: Reading) -> Reading | None:
        if "window" not in reading.masks:
            return None
        left, right = bounds(*reading.call.options["window"])
        stand = np.arange(reading.shape[2])[:, None] if from_start else positions(reading)
        distance = keys(reading) - stand
        return seeing(reading, "window", (distance >= -left) & (distance <= right))

    return reread


def window_alone(reading: Reading) -> Reading | None:
    if len(reading.masks) < 2 or "window" not in reading.masks:
        return None
    left, right = reading.call.options["window"]
    distance = keys(reading) - positions(reading)
    return reading.but(visible=np.broadcast_to((distance >= -left) & (distance <= right), reading.shape))


def as_absent_at_zero(reading: Reading) -> Reading | None:
    if "window" not in reading.masks or 0 not in reading.call.options["window"]:
        return None
    return window_is(lambda left, right: (left or np.inf, right or np.inf))(reading)


def documents_are(same: Callable[[Reading, np.ndarray], Bools | None]) -> Callable[[Reading], Reading | None]:
    """Read documents as other slots; `same` is given the ids, (batch, key_len)."""

    def reread(reading: Reading) -> Reading | None:
        if "documents" not in reading.masks:
            return None
        shown = same(reading, reading.call.options["documents"])
        return seeing(reading, "documents", None if shown is None else shown[:, None])

    return reread


def of_queries(reading: Reading, ids: np.ndarray, first: int | None = None) -> np.ndarray:
    """Each query's id, (batch, query_len); -1 outside the keys."""
    stand = (reading.first_position if first is None else first) + np.arange(reading.shape[2])
    inside = (stand >= 0) & (stand < ids.shape[1])
    return np.where(inside, ids[:, np.clip(stand, 0, ids.shape[1] - 1)], -1)


def compared(
    reading: Reading,
    ids: np.ndarray,
    how: Callable[[np.ndarray, np.ndarray], Bools],
    first: int | None = None,
) -> Bools:
    return how(of_queries(reading, ids, first)[:, :, None], ids[:, None, :])


def runs_of(ids: np.ndarray) -> np.ndarray:
    """Number the runs of equal neighbours."""
    return np.cumsum(np.diff(ids, axis=1, prepend=ids[:, :1]) != 0, axis=1)


NEAR = (
    Mistake("the window ignored", "window", "Apply the window in every branch.", window_is(lambda left, right: (np.inf, np.inf))),
    Mistake("the window one key too wide to the left", "window", COUNT, window_is(lambda left, right: (left + 1, right))),
    Mistake("the window one key too narrow to the left", "window", COUNT, window_is(lambda left, right: (left - 1, right))),
    Mistake("the window one key too wide to the right", "window", COUNT, window_is(lambda left, right: (left, right + 1))),
    Mistake("the window one key too narrow to the right", "window", COUNT, window_is(lambda left, right: (left, right - 1))),
    Mistake("the window one key too wide on both sides", "window", COUNT, window_is(lambda left, right: (left + 1, right + 1))),
    Mistake("the window one key too narrow on both sides", "window", COUNT, window_is(lambda left, right: (left - 1, right - 1))),
    Mistake("the window's left bound ignored", "window", "Apply both bounds.", window_is(lambda left, right: (np.inf, right))),
    Mistake("the window's right bound ignored: the future is seen", "window", "Apply both bounds.",
            window_is(lambda left, right: (left, np.inf))),
    Mistake("the window's sides swapped", "window", COUNT, window_is(lambda left, right: (right, left))),
    Mistake("the window's left side used for both", "window", COUNT, window_is(lambda left, right: (left, left))),
    Mistake("the window's right side used for both", "window", COUNT, window_is(lambda left, right: (right, right))),
    Mistake("the window's right side read as 0", "window", COUNT, window_is(lambda left, right: (left, 0))),
    Mistake("the window's left side read as 0", "window", COUNT, window_is(lambda left, right: (0, right))),
    Mistake("both sides of the window read as their sum", "window", COUNT, window_is(lambda left, right: (left + right, left + right))),
    Mistake("the window aligned to the start: the first query meets the first key", "alignment",
            "A window counts from the query's position, i + key_len - query_len.",
            window_is(lambda left, right: (left, right), from_start=True)),
    Mistake("a side of 0 read as no bound", "window", "A window of 0 neighbours shows the position itself.",
            as_absent_at_zero),
    Mistake("the window replaces the other masks", "window", "Join the masks by `and`.", window_alone),
    Mistake("documents ignored", "documents", "Hide the keys of other documents.", documents_are(lambda r, ids: None)),
    Mistake("documents compared by their neighbours: a document that goes on later is taken for another", "documents",
            "Compare ids: a document's keys need not be neighbours.",
            documents_are(lambda r, ids: compared(r, runs_of(ids), np.equal))),
    Mistake("documents of batch item 0 used for every item", "documents", "Compare ids of the same batch item.",
            documents_are(lambda r, ids: compared(r, np.broadcast_to(ids[:1], ids.shape), np.equal))),
    Mistake("a query's document looked up from the start: ids[i] instead of ids[i + key_len - query_len]", "documents",
            "A query stands at i + key_len - query_len.",
            documents_are(lambda r, ids: compared(r, ids, np.equal, 0))),
    Mistake("a query sees documents of larger ids too", "documents", "Compare ids by ==.",
            documents_are(lambda r, ids: compared(r, ids, np.less_equal))),
    Mistake("a query sees documents of smaller ids too", "documents", "Compare ids by ==.",
            documents_are(lambda r, ids: compared(r, ids, np.greater_equal))),
    Mistake("documents inverted: a query sees every document but its own", "documents", "Compare ids by ==.",
            documents_are(lambda r, ids: compared(r, ids, np.not_equal))),
    Mistake("documents compared as flags: every id that is not 0 is one document", "documents", "Compare ids by ==.",
            documents_are(lambda r, ids: compared(r, (ids != 0).astype(int), np.equal))),
    Mistake("documents read causally: a query does not see its document's later keys", "documents",
            "Hide later keys only where causal is asked for.",
            lambda reading: None if "documents" not in reading.masks else reading.but(
                visible=reading.inputs.visible & (keys(reading) <= positions(reading)))),
)  # fmt: skip
