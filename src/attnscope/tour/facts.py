"""The whole tour, computed step by step."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from attnscope.kernels import level
from attnscope.machine import Machine, this_machine
from attnscope.models import copying_transformer
from attnscope.tour.cache_size import CacheSize, cache_sizes
from attnscope.tour.looking import INDUCTION, Looking, look
from attnscope.tour.passage import find_passage, row_statistics
from attnscope.tour.race import Race, race
from attnscope.tour.text import Text
from attnscope.tour.writing import Leak, Writing, plant_leak, predicted, write, write_without_induction

STEPS = 6

Progress = Callable[[float, str], None]  # the share that is done, and the next step


@dataclass(frozen=True)
class TourFacts:
    """All numbers of the tour.

    Parameters
    ----------
    machine : Machine
        Version, kernel level and threads.
    text_name : str
        The name of the text.
    text_bytes : int
        How many bytes of it were read.
    total_bytes : int or None
        The length of the whole text, if it is known.
    looking : Looking
        What the heads read.
    writing, ablated : Writing
        What the model generates, with its induction head and without.
    leak : Leak
        A planted leak.
    race : Race or None
        The kernel and NumPy; None if no kernel level runs on this CPU.
    cache_sizes : list of CacheSize
        The size of the KV cache.
    """

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


def tour(text: Text, progress: Progress = lambda _share, _next: None) -> TourFacts:
    """Compute all numbers of the tour.

    Parameters
    ----------
    text : Text
        The text that the model reads.
    progress : callable, optional
        Called with the share that is done, 0 to 1, and the name of the next step.

    Returns
    -------
    TourFacts
        The numbers.
    """
    done = count()

    def begin(label: str) -> None:
        progress(next(done) / STEPS, label)

    begin("reading the text")
    model = copying_transformer()
    tokens = np.frombuffer(text.content, np.uint8)
    reading = model.read(tokens)
    right = predicted(tokens, reading.logits)
    begin("what the heads read")
    half = len(tokens) // 2  # later rows have enough text before them
    induction = row_statistics(reading.head(*INDUCTION), half)
    passage = find_passage(tokens, right, induction)
    looking = look(tokens, reading, passage, induction)
    begin("generating")
    writing = write(model, tokens, passage, right)
    begin("without the induction head")
    ablated = write_without_induction(model, tokens, passage)
    begin("a planted leak")
    leak = plant_leak(model, tokens, reading.logits)
    begin("the kernel and NumPy")
    timed = race() if level() else None
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
