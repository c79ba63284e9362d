"""Real mistakes, each planted in the correct implementation by overriding one step."""

from tests.audit.planted import (
    causality,
    crossings,
    mixing,
    near,
    numbers,
    padding,
    placements,
    regimes,
    scores,
    state,
    structures,
)
from tests.audit.planted.registry import PLANTED, Planted

__all__ = [
    "PLANTED",
    "Planted",
    "causality",
    "crossings",
    "mixing",
    "near",
    "numbers",
    "padding",
    "placements",
    "regimes",
    "scores",
    "state",
    "structures",
]
