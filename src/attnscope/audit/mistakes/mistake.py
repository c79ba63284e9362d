"""A known mistake: another reading of a call, with what it is called and how one mends it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.reading import Reading
from attnscope.audit.visibility import visible_slots

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Mistake:
    """What a wrong implementation does instead.

    name      as a finding says it: "causal aligned to the start"
    check     the promise that it breaks
    fix       the way out
    reread    the call as this mistake reads it, or None where it makes no difference
    """

    name: str
    check: str
    fix: str
    reread: Callable[[Reading], Reading | None]


def seeing(reading: Reading, option: str, instead: Bools | None) -> Reading | None:
    """The call with other visible slots for one of its options; None: the option hides nothing."""
    if option not in reading.masks:
        return None
    others = {name: mask for name, mask in reading.masks.items() if name != option}
    visible = visible_slots(reading.call, others)
    return reading.but(visible=visible if instead is None else visible & instead)


def shown_by(reading: Reading, option: str) -> Bools:
    """What one option alone shows, (batch, query_heads, query_len, key_len)."""
    return visible_slots(reading.call, {option: reading.masks[option]})


def positions(reading: Reading) -> NDArray[np.int64]:
    """Where the queries stand, (query_len, 1)."""
    return reading.first_position + np.arange(reading.shape[2])[:, None]


def keys(reading: Reading) -> NDArray[np.int64]:
    """Where the keys stand, (key_len,)."""
    return np.arange(reading.shape[3])
