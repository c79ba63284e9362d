"""How a score is made from a dot product."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from attnscope.arguments import brief
from attnscope.errors import AttentionScoringError

WAYS_OUT = {"scale": "Leave it out for 1/sqrt(key_dim).", "softcap": "Leave it out for no cap."}


@dataclass(frozen=True)
class Scoring:
    """score = softcap * tanh(scale * (query . key) / softcap) + bias - slope * distance.

    scale is never None: 1/sqrt(key_dim) unless it was given. softcap None: no cap. The flags say which arrays
    come with the problem: a dense bias, one ALiBi slope a query head, one sink's logit a query head.

    Errors
        AttentionScoringError when scale or softcap is no positive finite number.
    """

    scale: float
    softcap: float | None = None
    bias: bool = False
    alibi_slopes: bool = False
    sinks: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", positive_number(self.scale, "scale"))
        if self.softcap is not None:
            object.__setattr__(self, "softcap", positive_number(self.softcap, "softcap"))


def positive_number(given: Any, name: str) -> float:
    """Read a scale or a soft-cap.

    Errors
        AttentionScoringError when it is no number, or 0, negative, NaN or infinite.
    """
    number = real_number(given)
    if number is None or not (isfinite(number) and number > 0):
        way_out = WAYS_OUT[name]
        if issubclass(type(given), np.ndarray) and given.size == 1:
            way_out = f"Pass {name}.item()."
        raise AttentionScoringError(f"{name}={brief(given)}: expected a positive finite number. {way_out}")
    return number


def real_number(given: Any) -> float | None:
    """A plain or NumPy number as a float; None for anything else, bool included, and for ints beyond all floats."""
    if type(given) is float:
        return given
    if type(given) is bool or not issubclass(type(given), int | float | np.integer | np.floating):
        return None
    try:
        return float(given)
    except OverflowError:
        return None
