"""Known mistakes about masks by position: causal, windows and documents."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from attnscope.audit.interpretation import Bools, Interpretation
from attnscope.probing import KnownMistake

COUNT = "window=(left, right) counts neighbours, the position itself not: p - left <= key <= p + right."


def window_is(
    bounds: Callable[[int, int], tuple[float, float]], *, from_start: bool = False
) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that uses other window bounds, or other query positions."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        if "window" not in asked.masks:
            return None
        left, right = bounds(*asked.call.options["window"])
        positions = np.arange(asked.shape[2])[:, None] if from_start else asked.positions
        distance = asked.keys - positions
        return asked.seeing("window", (distance >= -left) & (distance <= right))

    return mistaken


def window_alone(asked: Interpretation) -> Interpretation | None:
    if len(asked.masks) < 2 or "window" not in asked.masks:
        return None
    left, right = asked.call.options["window"]
    distance = asked.keys - asked.positions
    return asked.but(visible=np.broadcast_to((distance >= -left) & (distance <= right), asked.shape))


def as_absent_at_zero(asked: Interpretation) -> Interpretation | None:
    if "window" not in asked.masks or 0 not in asked.call.options["window"]:
        return None
    return window_is(lambda left, right: (left or np.inf, right or np.inf))(asked)


def documents_are(
    same: Callable[[Interpretation, np.ndarray], Bools | None],
) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that shows other slots for documents; `same` takes the ids, (batch, key_len)."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        if "documents" not in asked.masks:
            return None
        shown = same(asked, asked.call.options["documents"])
        return asked.seeing("documents", None if shown is None else shown[:, None])

    return mistaken


def of_queries(asked: Interpretation, ids: np.ndarray, first: int | None = None) -> np.ndarray:
    """The document id of each query, (batch, query_len); -1 outside the keys."""
    positions = (asked.first_position if first is None else first) + np.arange(asked.shape[2])
    inside = (positions >= 0) & (positions < ids.shape[1])
    return np.where(inside, ids[:, np.clip(positions, 0, ids.shape[1] - 1)], -1)


def compared(
    asked: Interpretation,
    ids: np.ndarray,
    how: Callable[[np.ndarray, np.ndarray], Bools],
    first: int | None = None,
) -> Bools:
    return how(of_queries(asked, ids, first)[:, :, None], ids[:, None, :])


def runs_of(ids: np.ndarray) -> np.ndarray:
    """Number the runs of equal neighbours."""
    return np.cumsum(np.diff(ids, axis=1, prepend=ids[:, :1]) != 0, axis=1)


NEAR = (
    KnownMistake(
        "the window ignored",
        window_is(lambda left, right: (np.inf, np.inf)),
        "window",
        "Apply the window in every branch.",
    ),
    KnownMistake(
        "the window one key too wide to the left",
        window_is(lambda left, right: (left + 1, right)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window one key too narrow to the left",
        window_is(lambda left, right: (left - 1, right)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window one key too wide to the right",
        window_is(lambda left, right: (left, right + 1)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window one key too narrow to the right",
        window_is(lambda left, right: (left, right - 1)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window one key too wide on both sides",
        window_is(lambda left, right: (left + 1, right + 1)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window one key too narrow on both sides",
        window_is(lambda left, right: (left - 1, right - 1)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window's left bound ignored",
        window_is(lambda left, right: (np.inf, right)),
        "window",
        "Apply both bounds.",
    ),
    KnownMistake(
        "the window's right bound ignored: the future is seen",
        window_is(lambda left, right: (left, np.inf)),
        "window",
        "Apply both bounds.",
    ),
    KnownMistake("the window's sides swapped", window_is(lambda left, right: (right, left)), "window", COUNT),
    KnownMistake(
        "the window's left side used for both", window_is(lambda left, right: (left, left)), "window", COUNT
    ),
    KnownMistake(
        "the window's right side used for both",
        window_is(lambda left, right: (right, right)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window's right side read as 0", window_is(lambda left, right: (left, 0)), "window", COUNT
    ),
    KnownMistake(
        "the window's left side read as 0", window_is(lambda left, right: (0, right)), "window", COUNT
    ),
    KnownMistake(
        "both sides of the window read as their sum",
        window_is(lambda left, right: (left + right, left + right)),
        "window",
        COUNT,
    ),
    KnownMistake(
        "the window aligned to the start: query 0 at the position of key 0",
        window_is(lambda left, right: (left, right), from_start=True),
        "alignment",
        "A window counts from the query's position, i + key_len - query_len.",
    ),
    KnownMistake(
        "a side of 0 read as no bound",
        as_absent_at_zero,
        "window",
        "A window of 0 neighbours shows the position itself.",
    ),
    KnownMistake("the window replaces the other masks", window_alone, "window", "Join the masks by `and`."),
    KnownMistake(
        "documents ignored",
        documents_are(lambda r, ids: None),
        "documents",
        "Hide the keys of other documents.",
    ),
    KnownMistake(
        "documents compared by their neighbours: a document that continues later is taken for another one",
        documents_are(lambda r, ids: compared(r, runs_of(ids), np.equal)),
        "documents",
        "Compare ids: a document's keys need not be neighbours.",
    ),
    KnownMistake(
        "documents of batch item 0 used for every item",
        documents_are(lambda r, ids: compared(r, np.broadcast_to(ids[:1], ids.shape), np.equal)),
        "documents",
        "Compare ids of the same batch item.",
    ),
    KnownMistake(
        "a query's document looked up from the start: ids[i] instead of ids[i + key_len - query_len]",
        documents_are(lambda r, ids: compared(r, ids, np.equal, 0)),
        "documents",
        "Query i has the position i + key_len - query_len.",
    ),
    KnownMistake(
        "a query sees documents of larger ids too",
        documents_are(lambda r, ids: compared(r, ids, np.less_equal)),
        "documents",
        "Compare ids by ==.",
    ),
    KnownMistake(
        "a query sees documents of smaller ids too",
        documents_are(lambda r, ids: compared(r, ids, np.greater_equal)),
        "documents",
        "Compare ids by ==.",
    ),
    KnownMistake(
        "documents inverted: a query sees every document but its own",
        documents_are(lambda r, ids: compared(r, ids, np.not_equal)),
        "documents",
        "Compare ids by ==.",
    ),
    KnownMistake(
        "documents compared as flags: all ids but 0 are one document",
        documents_are(lambda r, ids: compared(r, (ids != 0).astype(int), np.equal)),
        "documents",
        "Compare ids by ==.",
    ),
    KnownMistake(
        "documents treated as causal: a query does not see later keys of its document",
        lambda asked: (
            None
            if "documents" not in asked.masks
            else asked.but(visible=asked.inputs.visible & (asked.keys <= asked.positions))
        ),
        "documents",
        "Hide later keys only if causal is requested.",
    ),
)


TURN = "Show exactly the keys with position j <= i + key_len - query_len."


def causal_is(
    draw: Callable[[Interpretation], Bools | None],
) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that shows other slots for `causal`."""
    return lambda asked: asked.seeing("causal", draw(asked)) if "causal" in asked.masks else None


def started_at(first: Callable[[Interpretation], int]) -> Callable[[Interpretation], Bools]:
    return lambda asked: asked.keys <= first(asked) + np.arange(asked.shape[2])[:, None]


def counted_in(number_format: Any) -> Callable[[Interpretation], Bools]:
    """Return slots of `causal` whose positions are rounded to a short format."""

    def shown(asked: Interpretation) -> Bools:
        with np.errstate(over="ignore"):
            keys, queries = asked.keys.astype(number_format), asked.positions.astype(number_format)
        return np.asarray(keys <= queries)

    return shown


def all_masks_ignored(asked: Interpretation) -> Interpretation | None:
    others = set(asked.masks) - {"causal"}
    return asked.but(visible=np.ones_like(asked.inputs.visible)) if others and len(asked.masks) > 1 else None


def only_causal(asked: Interpretation) -> Interpretation | None:
    if "causal" not in asked.masks or len(asked.masks) < 2:
        return None
    shown = asked.keys <= asked.positions
    return asked.but(visible=np.broadcast_to(shown, asked.shape))


def either_mask(asked: Interpretation) -> Interpretation | None:
    if len(asked.masks) < 2:
        return None
    batch, heads, query_len, key_len = asked.shape
    visible = np.zeros(asked.shape, np.bool_)
    for mask in asked.masks.values():
        shown = mask.visible(query_len, key_len, batch=batch, heads=heads)
        visible |= shown.reshape(
            (batch, heads, query_len, key_len) if batch * heads > 1 else (1, 1, query_len, key_len)
        )
    return asked.but(visible=visible)


CAUSAL = (
    KnownMistake(
        "causal aligned to the start: query 0 at the position of key 0",
        causal_is(started_at(lambda asked: 0)),
        "alignment",
        (
            "Hide the keys j > i + key_len - query_len, so that the last query is at the last key; "
            "or declare alignment='start'."
        ),
    ),
    KnownMistake(
        "causal aligned to the end: the last query at the position of the last key",
        causal_is(started_at(lambda asked: asked.shape[3] - asked.shape[2])),
        "alignment",
        "Hide the keys j > i; or declare alignment='end'.",
    ),
    *(
        KnownMistake(
            f"positions that are counted in {name}, which cannot represent every integer above {2**bits}",
            causal_is(counted_in(kind)),
            "dependence",
            "Count positions in integers.",
        )
        for name, kind, bits in (("bfloat16", ml_dtypes.bfloat16, 8), ("float16", np.float16, 11))
    ),
    KnownMistake(
        "causal ignored: every query sees the future",
        causal_is(lambda asked: None),
        "dependence",
        "Apply the causal mask in every branch, also if other options are given: join masks by `and`.",
    ),
    KnownMistake(
        "causal shows one key too many: j <= i + 1",
        causal_is(lambda asked: asked.keys <= asked.positions + 1),
        "dependence",
        TURN,
    ),
    KnownMistake(
        "causal shows one key too few: the query does not see its own position",
        causal_is(lambda asked: asked.keys < asked.positions),
        "dependence",
        TURN,
    ),
    KnownMistake(
        "causal reversed: queries see the future and not the past",
        causal_is(lambda asked: asked.keys >= asked.positions),
        "dependence",
        "Use the lower triangle, and check whether True means visible or hidden.",
    ),
    KnownMistake(
        "causal shows what it should hide, and hides what it should show",
        causal_is(lambda asked: asked.keys > asked.positions),
        "dependence",
        "Check whether True means visible or hidden.",
    ),
    KnownMistake(
        "causal with the wrong sign of its offset: key_len - query_len is subtracted instead of added",
        causal_is(started_at(lambda asked: asked.shape[2] - asked.shape[3])),
        "alignment",
        "Hide the keys j > i + (key_len - query_len).",
    ),
    KnownMistake(
        "causal applied although causal=False",
        lambda asked: (
            None
            if "causal" in asked.masks
            else asked.but(visible=asked.inputs.visible & (asked.keys <= asked.positions))
        ),
        "dependence",
        "Apply the causal mask only if it is requested.",
    ),
    KnownMistake(
        "causal applied, aligned to the start, although causal=False",
        lambda asked: (
            None
            if "causal" in asked.masks
            else asked.but(visible=asked.inputs.visible & (asked.keys <= np.arange(asked.shape[2])[:, None]))
        ),
        "dependence",
        "Apply the causal mask only if it is requested.",
    ),
    KnownMistake(
        "only causal is applied; the other masks are ignored",
        only_causal,
        "dependence",
        "Join the causal mask and the masks that are given by `and`.",
    ),
    KnownMistake(
        "masks are joined by `or` instead of `and`", either_mask, "dependence", "Join the masks by `and`."
    ),
    KnownMistake("all masks ignored", all_masks_ignored, "dependence", "Apply the masks that are given."),
)
