"""Mistakes about masks that come as arrays: key masks and masks of slots."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.mistakes.mistake import Bools, Mistake, seeing, shown_by
from attnscope.audit.reading import Reading
from attnscope.audit.visibility import visible_slots

Redraw = Callable[[Reading, Bools], Bools | None]


def option_is(option: str, redraw: Redraw) -> Callable[[Reading], Reading | None]:
    """Read what an option shows as other slots."""

    def reread(reading: Reading) -> Reading | None:
        if option not in reading.masks:
            return None
        return seeing(reading, option, redraw(reading, shown_by(reading, option)))

    return reread


def along_queries(reading: Reading, shown: Bools) -> Bools | None:
    square = reading.shape[2] == reading.shape[3]
    return shown.swapaxes(2, 3) if square else shown


def rows_as_well(reading: Reading, shown: Bools) -> Bools:
    _, _, query_len, key_len = reading.shape
    if query_len > key_len:
        return shown
    both: Bools = shown & shown[:, :, :1, -query_len:].swapaxes(2, 3)
    return both


def counted(reading: Reading, shown: Bools) -> Bools:
    """As many keys as are visible, but the first ones."""
    first: Bools = np.arange(reading.shape[3]) < shown.sum(axis=-1, keepdims=True)
    return first


def counted_from_the_end(reading: Reading, shown: Bools) -> Bools:
    key_len = reading.shape[3]
    last: Bools = np.arange(key_len) >= key_len - shown.sum(axis=-1, keepdims=True)
    return last


def flat(reading: Reading, shown: Bools) -> Bools:
    """All ones of the batch at the front of one flat buffer."""
    mask = shown[:, 0, 0]
    filled = np.arange(mask.size) < mask.sum()
    rows: Bools = filled.reshape(mask.shape)[:, None, None, :]
    return rows


def one_further(reading: Reading, shown: Bools) -> Bools:
    return shown | np.roll(shown, 1, axis=-1) if shown.shape[-1] > 1 else shown


def shown_whatever(option: str) -> Callable[[Reading], Reading | None]:
    def reread(reading: Reading) -> Reading | None:
        if option not in reading.masks or len(reading.masks) < 2:
            return None
        others = {name: mask for name, mask in reading.masks.items() if name != option}
        return reading.but(visible=visible_slots(reading.call, others) | shown_by(reading, option))

    return reread


def of_an_option(option: str, words: str) -> tuple[Mistake, ...]:
    """The mistakes that any mask can suffer."""
    return (
        Mistake(f"{words} ignored", "dependence", f"Apply {option} in every branch.", option_is(option, lambda r, s: None)),
        Mistake(
            f"{words} joined to the others by `or`: what it shows is shown, whatever else hides it", "dependence",
            "Join masks by `and`.", shown_whatever(option),
        ),
        Mistake(
            f"{words} inverted", "dependence", f"In {option}, True means visible: hide where it is False.",
            option_is(option, lambda r, s: ~s),
        ),
        Mistake(
            f"{words} of batch item 0 used for every item", "dependence",
            f"Broadcast {option} over heads and queries, not over the batch.",
            option_is(option, lambda r, s: np.broadcast_to(s[:1], s.shape)),
        ),
        Mistake(
            f"{words} of the last batch item used for every item", "dependence",
            f"Broadcast {option} over heads and queries, not over the batch.",
            option_is(option, lambda r, s: np.broadcast_to(s[-1:], s.shape)),
        ),
        Mistake(
            f"{words} of the batch items in reverse order", "dependence",
            f"Give each batch item its own row of {option}.", option_is(option, lambda r, s: s[::-1]),
        ),
        Mistake(
            f"{words} ignored in batch items after the first", "dependence",
            f"Apply {option} to every batch item.",
            option_is(option, lambda r, s: s | (np.arange(len(s)) > 0)[:, None, None, None]),
        ),
        Mistake(
            f"{words} ignored in heads after the first", "dependence", f"Apply {option} to every head.",
            option_is(option, lambda r, s: s | (np.arange(s.shape[1]) > 0)[:, None, None]),
        ),
    )  # fmt: skip


MASK_ARRAYS = (
    *of_an_option("key_mask", "the key mask"),
    Mistake(
        "the key mask broadcast along the queries instead of the keys", "dependence",
        "Use key_mask[:, None, None, :].", option_is("key_mask", along_queries),
    ),
    Mistake(
        "the key mask hides whole rows as well as columns", "dependence",
        "Use key_mask[:, None, None, :] alone: a padded query's row is not empty.",
        option_is("key_mask", rows_as_well),
    ),
    Mistake(
        "the key mask read as a length: its first keys are shown, however many are visible", "dependence",
        "Hide exactly the keys where key_mask is False: padding may lie to the left, or in between.",
        option_is("key_mask", counted),
    ),
    Mistake(
        "the key mask read as a length of left padding: its last keys are shown", "dependence",
        "Hide exactly the keys where key_mask is False: padding may lie to the right, or in between.",
        option_is("key_mask", counted_from_the_end),
    ),
    Mistake(
        "the key mask filled through one flat buffer over the batch", "dependence",
        "Index the key mask by batch item.", option_is("key_mask", flat),
    ),
    Mistake(
        "the key mask shifted: one padding key is shown", "dependence",
        "Compare j < length, not j <= length.", option_is("key_mask", one_further),
    ),
    *of_an_option("mask", "the mask"),
    Mistake(
        "the mask of head 0 used for every head", "dependence",
        "Broadcast a mask over heads only where its heads axis is 1.",
        option_is("mask", lambda r, s: np.broadcast_to(s[:, :1], s.shape)),
    ),
    Mistake(
        "the mask transposed: queries and keys swapped", "dependence", "mask[..., i, j] is query i and key j.",
        option_is("mask", along_queries),
    ),
    Mistake(
        "the mask of query 0 used for every query", "dependence", "Read a row of the mask for each query.",
        option_is("mask", lambda r, s: np.broadcast_to(s[:, :, :1], s.shape)),
    ),
)  # fmt: skip
