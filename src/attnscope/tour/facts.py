"""The whole tour, computed step by step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

import attnscope as at
from attnscope.machine import Machine, this_machine
from attnscope.models import copying_transformer
from attnscope.tour.cache_size import CacheSize, cache_sizes
from attnscope.tour.leak import Leak, plant_leak
from attnscope.tour.looking import INDUCTION, Looking, look
from attnscope.tour.passage import find_passage
from attnscope.tour.race import Race, race
from attnscope.tour.rows import row_statistics
from attnscope.tour.text import Text
from attnscope.tour.writing import Writing, foretold, without_induction, write

STEPS = 6

Step = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class TourFacts:
    """All that the page and the JSON tell; race is None where no kernel runs."""

    machine: Machine
    text_name: str
    text_bytes: int
    total_bytes: int | None
    looking: Looking
    writing: Writing
    ablated: Writing
    leak: Leak
    race: Race | None
    cache_sizes: list[CacheSize]


def tour(text: Text, step: Step) -> TourFacts:
    """Compute everything; step(label) is entered around each of the STEPS parts that take their time."""
    model = copying_transformer()
    tokens = np.frombuffer(text.content, np.uint8)
    with step("reading the text"):
        reading = model.read(tokens)
        right = foretold(tokens, reading.logits)
    with step("where the heads look"):
        half = len(tokens) // 2  # the rows after it have a past worth looking into
        induction = row_statistics(reading.head(*INDUCTION), half)
        passage = find_passage(tokens, right, induction)
        looking = look(tokens, reading, passage, induction)
    with step("writing on"):
        writing = write(model, tokens, passage, right)
    with step("without the induction head"):
        ablated = without_induction(model, tokens, passage)
    with step("a planted leak"):
        leak = plant_leak(model, tokens, reading.logits)
    with step("the kernel beside NumPy"):
        timed = race() if at.kernels.level() else None
    return TourFacts(
        machine=this_machine(),
        text_name=text.name,
        text_bytes=len(tokens),
        total_bytes=text.total_bytes,
        looking=looking,
        writing=writing,
        ablated=ablated,
        leak=leak,
        race=timed,
        cache_sizes=cache_sizes(model, len(tokens)),
    )
