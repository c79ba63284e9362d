"""Segments by token ranges, and layers by numbers, as they are written on the command line."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.error import InspectionError

MOST_SEGMENTS = 64
RANGE = re.compile(r"(\d+)-(\d*)")
LAYERS = re.compile(r"(\d+)(?:-(\d+))?")


def read_ranges(
    given: Sequence[str], tokens: int, rest: str | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """A segment for each token from NAME:START-END; END is the first token that no longer belongs to it.

    An END that is left out is the end of the text. A name may be given twice, for two ranges. `rest` names the tokens that
    no range holds.

    Errors
        InspectionError for another form, ranges beyond the text, overlaps, and tokens that are left out.

    >>> labels, names = read_ranges(["system:0-2", "question:2-"], 5, None)
    >>> labels.tolist(), names
    ([0, 0, 1, 1, 1], ('system', 'question'))
    """
    labels = np.full(tokens, -1)
    names: list[str] = []
    for each in given:
        name, start, end = read_range(each, tokens)
        if name not in names:
            names.append(name)
        taken = np.flatnonzero(labels[start:end] >= 0)
        if taken.size:
            token = start + int(taken[0])
            raise InspectionError(
                f"segments {names[labels[token]]!r} and {name!r} overlap at token {token}, expected each token in one. "
                "END is the first token that no longer belongs to a segment."
            )
        labels[start:end] = names.index(name)
    left_out = np.flatnonzero(labels < 0)
    if left_out.size:
        if rest is None:
            raise InspectionError(
                f"segments leave out {left_out.size} of {tokens} tokens, the first is token {left_out[0]}. "
                "Name the rest: --rest NAME."
            )
        if rest not in names:
            names.append(rest)
        labels[left_out] = names.index(rest)
    return labels, tuple(names)


def read_range(given: str, tokens: int) -> tuple[str, int, int]:
    name, _, numbers = given.rpartition(":")
    found = RANGE.fullmatch(numbers)
    if not name.strip() or found is None:
        raise InspectionError(
            f"segments={given!r}: expected NAME:START-END in tokens, such as system:0-40 or question:40-."
        )
    start, end = int(found[1]), int(found[2] or tokens)
    if not start < end <= tokens:
        raise InspectionError(
            f"segments={given!r}: expected START < END <= {tokens:,}, the number of tokens that the model reads."
        )
    return name.strip(), start, end


def check_count(names: Sequence[str]) -> None:
    """As many as at.observe() takes.

    Errors
        InspectionError.
    """
    if len(names) > MOST_SEGMENTS:
        raise InspectionError(
            f"there are {len(names)} segments, expected at most {MOST_SEGMENTS}. Give ranges of your own: --segments."
        )


def read_layers(given: str | None, layers: int) -> list[int]:
    """Numbers of layers from "0-3,7"; all of them where nothing is given.

    Errors
        InspectionError for another form, and for layers that the model does not have.

    >>> read_layers("0-2,5", 6), read_layers(None, 2)
    ([0, 1, 2, 5], [0, 1])
    """
    if given is None:
        return list(range(layers))
    wanted: set[int] = set()
    for part in given.split(","):
        found = LAYERS.fullmatch(part.strip())
        if found is None:
            raise InspectionError(f"layers={given!r}: expected numbers and ranges, such as 0-3,7.")
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last < layers:
            raise InspectionError(
                f"layers={given!r}: expected layers from 0 to {layers - 1}, as the model has {layers}."
            )
        wanted |= set(range(first, last + 1))
    return sorted(wanted)
