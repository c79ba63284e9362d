"""Mistakes about which key is the future."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.mistakes.mistake import Bools, Mistake, keys, positions, seeing
from attnscope.audit.reading import Reading

TURN = "Compare the key's position with the query's, key <= query + offset, and add nothing."


def causal_is(draw: Callable[[Reading], Bools | None]) -> Callable[[Reading], Reading | None]:
    """Read `causal` as other slots."""
    return lambda reading: seeing(reading, "causal", draw(reading)) if "causal" in reading.masks else None


def started_at(first: Callable[[Reading], int]) -> Callable[[Reading], Bools]:
    return lambda reading: keys(reading) <= first(reading) + np.arange(reading.shape[2])[:, None]


def all_masks_ignored(reading: Reading) -> Reading | None:
    others = set(reading.masks) - {"causal"}
    return (
        reading.but(visible=np.ones_like(reading.inputs.visible))
        if others and len(reading.masks) > 1
        else None
    )


def only_causal(reading: Reading) -> Reading | None:
    if "causal" not in reading.masks or len(reading.masks) < 2:
        return None
    shown = keys(reading) <= positions(reading)
    return reading.but(visible=np.broadcast_to(shown, reading.shape))


def either_mask(reading: Reading) -> Reading | None:
    if len(reading.masks) < 2:
        return None
    batch, heads, query_len, key_len = reading.shape
    visible = np.zeros(reading.shape, np.bool_)
    for mask in reading.masks.values():
        shown = mask.visible(query_len, key_len, batch=batch, heads=heads)
        visible |= shown.reshape(
            (batch, heads, query_len, key_len) if batch * heads > 1 else (1, 1, query_len, key_len)
        )
    return reading.but(visible=visible)


CAUSAL = (
    Mistake(
        "causal aligned to the start: the first query meets the first key", "alignment",
        "Hide the keys j > i + key_len - query_len, so that the last query meets the last key; "
        "or declare alignment='start'.",
        causal_is(started_at(lambda reading: 0)),
    ),
    Mistake(
        "causal aligned to the end: the last query meets the last key", "alignment",
        "Hide the keys j > i; or declare alignment='end'.",
        causal_is(started_at(lambda reading: reading.shape[3] - reading.shape[2])),
    ),
    Mistake(
        "causal ignored: every query sees the future", "dependence",
        "Apply the causal mask in every branch, also where other options are given: join masks by `and`.",
        causal_is(lambda reading: None),
    ),
    Mistake(
        "causal shows one key too many: j <= i + 1", "dependence", TURN,
        causal_is(lambda reading: keys(reading) <= positions(reading) + 1),
    ),
    Mistake(
        "causal shows one key too few: the query does not see its own position", "dependence", TURN,
        causal_is(lambda reading: keys(reading) < positions(reading)),
    ),
    Mistake(
        "causal reversed: queries see the future and not the past", "dependence",
        "Use the lower triangle, and mind whether True means visible or hidden.",
        causal_is(lambda reading: keys(reading) >= positions(reading)),
    ),
    Mistake(
        "causal shows what it should hide, and hides what it should show", "dependence",
        "Mind whether True means visible or hidden.",
        causal_is(lambda reading: keys(reading) > positions(reading)),
    ),
    Mistake(
        "causal given the wrong way round: key_len - query_len is subtracted instead of added", "alignment",
        "Hide the keys j > i + (key_len - query_len).",
        causal_is(started_at(lambda reading: reading.shape[2] - reading.shape[3])),
    ),
    Mistake(
        "causal applied although causal=False", "dependence", "Apply the causal mask only where it is asked for.",
        lambda reading: None if "causal" in reading.masks else reading.but(
            visible=reading.inputs.visible & (keys(reading) <= positions(reading))),
    ),
    Mistake(
        "causal applied, aligned to the start, although causal=False", "dependence",
        "Apply the causal mask only where it is asked for.",
        lambda reading: None if "causal" in reading.masks else reading.but(
            visible=reading.inputs.visible & (keys(reading) <= np.arange(reading.shape[2])[:, None])),
    ),
    Mistake(
        "only causal is applied; the other masks are ignored", "dependence",
        "Join the causal mask and the masks that are given by `and`.", only_causal,
    ),
    Mistake(
        "masks are joined by `or` instead of `and`", "dependence", "Join the masks by `and`.", either_mask,
    ),
    Mistake(
        "all masks ignored", "dependence", "Apply the masks that are given.", all_masks_ignored,
    ),
)  # fmt: skip
