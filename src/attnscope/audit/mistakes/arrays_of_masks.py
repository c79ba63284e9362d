"""Known mistakes about masks that are passed as arrays: key masks and masks of slots."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.interpretation import Bools, Interpretation
from attnscope.probing import KnownMistake

Redraw = Callable[[Interpretation, Bools], Bools | None]


def option_is(option: str, redraw: Redraw) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that replaces the slots that an option shows."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        if option not in asked.masks:
            return None
        return asked.seeing(option, redraw(asked, asked.shown_by(option)))

    return mistaken


def along_queries(asked: Interpretation, shown: Bools) -> Bools | None:
    square = asked.shape[2] == asked.shape[3]
    return shown.swapaxes(2, 3) if square else shown


def rows_as_well(asked: Interpretation, shown: Bools) -> Bools:
    _, _, query_len, key_len = asked.shape
    if query_len > key_len:
        return shown
    both: Bools = shown & shown[:, :, :1, -query_len:].swapaxes(2, 3)
    return both


def counted(asked: Interpretation, shown: Bools) -> Bools:
    """As many keys as are visible, counted from the first."""
    first: Bools = np.arange(asked.shape[3]) < shown.sum(axis=-1, keepdims=True)
    return first


def counted_from_the_end(asked: Interpretation, shown: Bools) -> Bools:
    key_len = asked.shape[3]
    last: Bools = np.arange(key_len) >= key_len - shown.sum(axis=-1, keepdims=True)
    return last


def flat(asked: Interpretation, shown: Bools) -> Bools:
    """All ones of the batch at the start of one flat buffer."""
    mask = shown[:, 0, 0]
    filled = np.arange(mask.size) < mask.sum()
    rows: Bools = filled.reshape(mask.shape)[:, None, None, :]
    return rows


def one_further(asked: Interpretation, shown: Bools) -> Bools:
    return shown | np.roll(shown, 1, axis=-1) if shown.shape[-1] > 1 else shown


def shown_whatever(option: str) -> Callable[[Interpretation], Interpretation | None]:
    def mistaken(asked: Interpretation) -> Interpretation | None:
        if option not in asked.masks or len(asked.masks) < 2:
            return None
        return asked.but(visible=asked.without(option) | asked.shown_by(option))

    return mistaken


def of_an_option(option: str, words: str) -> tuple[KnownMistake, ...]:
    """The mistakes that can concern any mask."""
    return (
        KnownMistake(
            f"{words} ignored",
            option_is(option, lambda r, s: None),
            "dependence",
            f"Apply {option} in every branch.",
        ),
        KnownMistake(
            f"{words} joined to the others by `or`: its keys are visible even if another mask hides them",
            shown_whatever(option),
            "dependence",
            "Join masks by `and`.",
        ),
        KnownMistake(
            f"{words} inverted",
            option_is(option, lambda r, s: ~s),
            "dependence",
            f"In {option}, True means visible: hide the keys that are False.",
        ),
        KnownMistake(
            f"{words} of batch item 0 used for every item",
            option_is(option, lambda r, s: np.broadcast_to(s[:1], s.shape)),
            "dependence",
            f"Broadcast {option} over heads and queries, not over the batch.",
        ),
        KnownMistake(
            f"{words} of the last batch item used for every item",
            option_is(option, lambda r, s: np.broadcast_to(s[-1:], s.shape)),
            "dependence",
            f"Broadcast {option} over heads and queries, not over the batch.",
        ),
        KnownMistake(
            f"{words} of the batch items in reverse order",
            option_is(option, lambda r, s: s[::-1]),
            "dependence",
            f"Give each batch item its own row of {option}.",
        ),
        KnownMistake(
            f"{words} ignored in batch items after the first",
            option_is(option, lambda r, s: s | (np.arange(len(s)) > 0)[:, None, None, None]),
            "dependence",
            f"Apply {option} to every batch item.",
        ),
        KnownMistake(
            f"{words} ignored in heads after the first",
            option_is(option, lambda r, s: s | (np.arange(s.shape[1]) > 0)[:, None, None]),
            "dependence",
            f"Apply {option} to every head.",
        ),
    )


MASK_ARRAYS = (
    *of_an_option("key_mask", "the key mask"),
    KnownMistake(
        "the key mask broadcast along the queries instead of the keys",
        option_is("key_mask", along_queries),
        "dependence",
        "Use key_mask[:, None, None, :].",
    ),
    KnownMistake(
        "the key mask hides whole rows as well as columns",
        option_is("key_mask", rows_as_well),
        "dependence",
        "Use key_mask[:, None, None, :] alone: it hides keys, and no queries.",
    ),
    KnownMistake(
        "the key mask read as a length: its first keys are shown, however many are visible",
        option_is("key_mask", counted),
        "dependence",
        "Hide exactly the keys whose key_mask is False: padding may be on the left, or in between.",
    ),
    KnownMistake(
        "the key mask read as a length of left padding: its last keys are shown",
        option_is("key_mask", counted_from_the_end),
        "dependence",
        "Hide exactly the keys whose key_mask is False: padding may be on the right, or in between.",
    ),
    KnownMistake(
        "the key mask filled through one flat buffer over the batch",
        option_is("key_mask", flat),
        "dependence",
        "Index the key mask by batch item.",
    ),
    KnownMistake(
        "the key mask shifted: one padding key is shown",
        option_is("key_mask", one_further),
        "dependence",
        "Compare j < length, not j <= length.",
    ),
    *of_an_option("mask", "the mask"),
    KnownMistake(
        "the mask of head 0 used for every head",
        option_is("mask", lambda r, s: np.broadcast_to(s[:, :1], s.shape)),
        "dependence",
        "Broadcast a mask over heads only if its heads axis has size 1.",
    ),
    KnownMistake(
        "the mask transposed: queries and keys swapped",
        option_is("mask", along_queries),
        "dependence",
        "mask[..., i, j] is query i and key j.",
    ),
    KnownMistake(
        "the mask of query 0 used for every query",
        option_is("mask", lambda r, s: np.broadcast_to(s[:, :, :1], s.shape)),
        "dependence",
        "Read a row of the mask for each query.",
    ),
)
