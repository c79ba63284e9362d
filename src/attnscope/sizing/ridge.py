"""Where the binding limit of a decode step changes, and what many steps take together."""

from collections.abc import Callable
from itertools import pairwise

from attnscope.sizing.costs import Costs
from attnscope.sizing.hardware import Hardware
from attnscope.sizing.phase import Phase

FARTHEST = 2**40
MOST_EDGES = 4096


def step_phase(costs: Costs, hardware: Hardware, context: int, batch: int) -> Phase:
    """The decode step of so many sequences of so many tokens."""
    return Phase("decode step", costs.step(context, batch), hardware)


def ridge_batch(costs: Costs, hardware: Hardware, context: int) -> int | None:
    """The least batch whose decode step is bound by arithmetic; None if all are, or none is.

    A larger batch shares the weights that it reads, so the intensity only grows.
    """
    return _first_change(lambda batch: step_phase(costs, hardware, context, batch).bound, 1, FARTHEST)


def weights_ridge_batch(costs: Costs, hardware: Hardware) -> int | None:
    """The same for the weights alone: projections, MLPs and unembedding, without attention and cache."""

    def bound(batch: int) -> str:
        parts = costs.step(1, batch)
        of_weights = tuple(part for part in parts if part.name not in ("attention", "cache"))
        return Phase("weights", of_weights, hardware).bound

    return _first_change(bound, 1, FARTHEST)


def ridge_context(costs: Costs, hardware: Hardware, batch: int) -> int | None:
    """The least context at which another limit binds than at a context of 1; None where it never changes.

    Between the edges both limits grow evenly, so they cross once at the most. Of chunked layers the first chunk is
    looked at: behind it all comes again.
    """

    def bound(context: int) -> str:
        return step_phase(costs, hardware, context, batch).bound

    edges = sorted({1, *costs.edges(), *costs.chunks(), FARTHEST})
    for start, end in pairwise(edges):
        change = _first_change(bound, start, end)
        if change is not None:
            return change
    return None


def _first_change(bound: Callable[[int], str], start: int, end: int) -> int | None:
    """The first number in (start, end] whose limit is another than start's, if there is one change at the most."""
    before = bound(start)
    if bound(end) == before:
        return None
    while end - start > 1:
        middle = (start + end) // 2
        if bound(middle) == before:
            start = middle
        else:
            end = middle
    return end


def steps_seconds(costs: Costs, hardware: Hardware, first: int, last: int, batch: int) -> float:
    """Seconds of the steps at contexts first to last, added up.

    Between edges the seconds grow evenly while one limit binds: count * (first + last) / 2. More than 4,096 chunks are
    taken some at a time.
    """
    starts = {edge + 1 for edge in costs.edges() if first <= edge < last}
    for chunk in costs.chunks():
        stride = chunk * max(1, (last - first) // chunk // MOST_EDGES)
        starts |= set(range(first + (-(first - 1)) % chunk, last + 1, stride))
    bounds = sorted({first, *starts, last + 1})
    return sum(_even(costs, hardware, batch, start, end - 1) for start, end in pairwise(bounds))


def _even(costs: Costs, hardware: Hardware, batch: int, first: int, last: int) -> float:
    at_first = step_phase(costs, hardware, first, batch)
    at_last = step_phase(costs, hardware, last, batch)
    if at_first.bound == at_last.bound or last - first < 2:
        return (last - first + 1) * (at_first.seconds + at_last.seconds) / 2
    middle = (first + last) // 2
    return _even(costs, hardware, batch, first, middle) + _even(costs, hardware, batch, middle + 1, last)
