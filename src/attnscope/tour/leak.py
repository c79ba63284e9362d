"""A mask that leaks the future, planted, and what gives it away."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.models import Transformer
from attnscope.tour.text import shown_byte
from attnscope.tour.writing import foretold

LEAKING_OFFSET = 1  # each byte sees one byte ahead


@dataclass(frozen=True)
class Leak:
    """The perturbation test: change one byte, count the rows before it whose logits move, by even one bit."""

    mask: str
    predicted_honestly: float
    predicted_leaking: float
    changed_byte: int
    before: str
    after: str
    rows_moved_honestly: int
    rows_moved_leaking: int
    last_row_moved: int | None
    largest_change: float


def plant_leak(model: Transformer, text: NDArray[np.uint8], honest: NDArray[np.float32]) -> Leak:
    mask = at.Causal(offset=LEAKING_OFFSET)
    changed_byte = len(text) // 2
    other = text.copy()
    other[changed_byte] = ord("Z") if text[changed_byte] != ord("Z") else ord("Q")
    leaking = model.logits(text, mask=mask)
    moved_honestly = np.any(honest[:changed_byte] != model.logits(other)[:changed_byte], axis=-1)
    change = np.abs(leaking[:changed_byte] - model.logits(other, mask=mask)[:changed_byte]).max(axis=-1)
    rows = np.flatnonzero(change)
    return Leak(
        mask=f"Causal(offset={LEAKING_OFFSET})",
        predicted_honestly=float(foretold(text, honest).mean()),
        predicted_leaking=float(foretold(text, leaking).mean()),
        changed_byte=changed_byte,
        before=shown_byte(int(text[changed_byte])),
        after=shown_byte(int(other[changed_byte])),
        rows_moved_honestly=int(moved_honestly.sum()),
        rows_moved_leaking=len(rows),
        last_row_moved=int(rows[-1]) if len(rows) else None,
        largest_change=float(change.max(initial=0.0)),
    )
