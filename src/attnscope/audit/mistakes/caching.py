"""Mistakes about what a cache holds."""

from collections.abc import Callable

import numpy as np

from attnscope.audit.mistakes.mistake import Mistake
from attnscope.audit.reading import Floats, Reading

ROOM = "Attend only the slots that were written, and write each token to the slot of its position."


def held_as(change: Callable[[Floats], Floats]) -> Callable[[Reading], Reading | None]:
    """Other keys and values in the cache."""
    return lambda reading: reading.but(key=change(reading.inputs.key), value=change(reading.inputs.value))


def last_lost(array: Floats) -> Floats:
    changed = array.copy()
    changed[:, :, -1] = 0
    return changed


def empty_slots_seen(slots: int) -> Callable[[Reading], Reading | None]:
    """Zero keys after the ones that were written take part, up to a capacity."""

    def reread(reading: Reading) -> Reading | None:
        batch, heads, query_len, key_len = reading.shape
        room = -key_len % slots
        if not room:
            return None
        zeros = np.zeros((batch, heads, room, reading.inputs.key.shape[-1]))
        wide = np.ones((batch, heads, query_len, room), np.bool_)
        return reading.but(
            key=np.concatenate([reading.inputs.key, zeros], axis=2),
            value=np.concatenate([reading.inputs.value, zeros], axis=2),
            visible=np.concatenate([reading.inputs.visible, wide], axis=3),
            key_positions=np.arange(key_len + room, dtype=np.float64),
        )

    return reread


CACHING = (
    Mistake("the last token is not written, and its slot is attended", "cache", ROOM, held_as(last_lost)),
    *(Mistake(f"slots that were never written are attended, up to a capacity of {slots}", "cache", ROOM,
              empty_slots_seen(slots)) for slots in (8, 16, 32, 64, 128, 256, 512, 1024, 2048)),
)  # fmt: skip
