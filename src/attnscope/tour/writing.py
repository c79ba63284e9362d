"""What the model generates and predicts: as it is, without its induction head, and with a mask that leaks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.models import Transformer
from attnscope.problem import Causal
from attnscope.tour.looking import INDUCTION
from attnscope.tour.passage import Passage
from attnscope.tour.text import shown, shown_byte

PROMPT_BYTES = 48  # the shown part of the prompt
NEW_BYTES = 56
LEAKING_OFFSET = 1  # each byte sees one later byte

Text = NDArray[np.uint8]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Writing:
    """A generated continuation beside the text's own, and the accuracy of the prediction over the whole text.

    The continuation is `right`, which equals the text, followed by `rest`.
    """

    cut: int
    prompt: str
    text: str
    right: str
    rest: str
    right_bytes: int
    source: int
    predicted: float


@dataclass(frozen=True)
class Leak:
    """A perturbation test: change one byte, and count the earlier rows whose logits change in any bit."""

    mask: str
    predicted_causal: float
    predicted_leaking: float
    changed_byte: int
    before: str
    after: str
    rows_moved_causal: int
    rows_moved_leaking: int
    last_row_moved: int | None
    largest_change: float


def write(
    model: Transformer,
    text: Text,
    passage: Passage,
    right: NDArray[np.bool_],
    *,
    ablate: frozenset[tuple[int, int]] = frozenset(),
) -> Writing:
    """Cut the text where the passage begins to repeat, and let the model continue it."""
    cut = passage.first + 1
    truth = text[cut : cut + NEW_BYTES].tobytes()
    generated = model.generate(text[:cut], NEW_BYTES, ablate=ablate)
    prompt = text[max(0, cut - PROMPT_BYTES) : cut].tobytes()
    equal = next((n for n, (a, b) in enumerate(zip(truth, generated, strict=False)) if a != b), len(truth))
    return Writing(
        cut=cut,
        prompt=shown(prompt),
        text=shown(truth),
        right=shown(generated[:equal]),
        rest=shown(generated[equal:]),
        right_bytes=equal,
        source=passage.source,
        predicted=float(right.mean()),
    )


def write_without_induction(model: Transformer, text: Text, passage: Passage) -> Writing:
    """The same with the induction head ablated."""
    ablate = frozenset({INDUCTION})
    return write(model, text, passage, predicted(text, model.logits(text, ablate=ablate)), ablate=ablate)


def predicted(text: Text, logits: Logits) -> NDArray[np.bool_]:
    """Whether the best guess of each row is the next byte: (tokens - 1,)."""
    return np.asarray(logits[:-1].argmax(axis=-1) == text[1:])


def plant_leak(model: Transformer, text: Text, causal: Logits) -> Leak:
    """Compare a leaking mask with the causal one, whose logits are given."""
    mask = Causal(offset=LEAKING_OFFSET)
    changed_byte = len(text) // 2
    other = text.copy()
    other[changed_byte] = ord("Z") if text[changed_byte] != ord("Z") else ord("Q")
    leaking = model.logits(text, mask=mask)
    moved_causal = np.any(causal[:changed_byte] != model.logits(other)[:changed_byte], axis=-1)
    change = np.abs(leaking[:changed_byte] - model.logits(other, mask=mask)[:changed_byte]).max(axis=-1)
    rows = np.flatnonzero(change)
    return Leak(
        mask=f"Causal(offset={LEAKING_OFFSET})",
        predicted_causal=float(predicted(text, causal).mean()),
        predicted_leaking=float(predicted(text, leaking).mean()),
        changed_byte=changed_byte,
        before=shown_byte(int(text[changed_byte])),
        after=shown_byte(int(other[changed_byte])),
        rows_moved_causal=int(moved_causal.sum()),
        rows_moved_leaking=len(rows),
        last_row_moved=int(rows[-1]) if len(rows) else None,
        largest_change=float(change.max(initial=0.0)),
    )
