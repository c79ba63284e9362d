"""The model writes on where the text is cut: with its induction head, and without."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.models import Transformer
from attnscope.tour.looking import INDUCTION
from attnscope.tour.passage import Passage
from attnscope.tour.text import shown

PROMPT_BYTES = 48  # of the prompt are shown
NEW_BYTES = 56


@dataclass(frozen=True)
class Writing:
    """A continuation beside the text's own, and how often the next byte is foretold over the whole text.

    What is written is `right`, which agrees with the text, and then `rest`.
    """

    cut: int
    prompt: str
    text: str
    right: str
    rest: str
    right_bytes: int
    source: int
    predicted: float


def write(
    model: Transformer,
    text: NDArray[np.uint8],
    passage: Passage,
    right: NDArray[np.bool_],
    *,
    ablate: frozenset[tuple[int, int]] = frozenset(),
) -> Writing:
    """Cut the text where the passage begins to repeat, and let the model continue it."""
    cut = passage.first + 1
    truth = text[cut : cut + NEW_BYTES].tobytes()
    written = model.generate(text[:cut], NEW_BYTES, ablate=ablate)
    prompt = text[max(0, cut - PROMPT_BYTES) : cut].tobytes()
    agree = next((n for n, (a, b) in enumerate(zip(truth, written, strict=False)) if a != b), len(truth))
    return Writing(
        cut=cut,
        prompt=shown(prompt),
        text=shown(truth),
        right=shown(written[:agree]),
        rest=shown(written[agree:]),
        right_bytes=agree,
        source=passage.source,
        predicted=float(right.mean()),
    )


def foretold(text: NDArray[np.uint8], logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each row's best guess is the byte that comes next: (tokens - 1,)."""
    return np.asarray(logits[:-1].argmax(axis=-1) == text[1:])


def without_induction(model: Transformer, text: NDArray[np.uint8], passage: Passage) -> Writing:
    ablate = frozenset({INDUCTION})
    return write(model, text, passage, foretold(text, model.logits(text, ablate=ablate)), ablate=ablate)
