"""Segments: which part of the text each token belongs to, from marks on characters or from token ranges."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.reader import MarkedText
from attnscope.inspection.request import Request
from attnscope.inspection.subject import Tokens
from attnscope.inspection.text import InspectionError

TEMPLATE = "template"  # template tokens, and what a tokenizer adds: roles, line ends, special tokens
GENERATED = "generated"
WHOLE_TEXT = "text"
MOST_SEGMENTS = 64  # of observe()
RANGE = re.compile(r"(\d{1,15})-(\d{0,15})")

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Segments:
    """The segment of each token.

    Parameters
    ----------
    labels : ndarray of int64, (tokens,)
        The number of the segment of each token.
    names : tuple of str
        The names of the segments.
    """

    labels: Labels
    names: tuple[str, ...]

    @property
    def sizes(self) -> list[int]:
        """The number of tokens of each segment."""
        counted: list[int] = np.bincount(self.labels, minlength=len(self.names)).tolist()
        return counted


def segment(request: Request, marked: MarkedText, tokens: Tokens) -> Segments | None:
    """The segment of each token, or None if nothing defines segments. Generated tokens are one segment.

    Raises
    ------
    InspectionError
        If the tokens cannot be assigned to segments, or the segment that the request reads does not exist.
    """
    segments = label(request, marked, tokens)
    names = () if segments is None else segments.names
    if len(names) > MOST_SEGMENTS:
        raise InspectionError(
            f"there are {len(names)} segments, expected at most {MOST_SEGMENTS}. "
            "Give larger parts by --segments."
        )
    if request.reads is not None and request.reads not in names:
        known = ", ".join(names) or "none: give --chat, --document or --segments"
        raise InspectionError(f"reads={request.reads!r}, expected the name of a segment. There are {known}.")
    return segments


def label(request: Request, marked: MarkedText, tokens: Tokens) -> Segments | None:
    """Segments from the ranges of the request, else from the marks of the text."""
    new = request.new_tokens
    read = len(tokens.ids) - new
    if request.segments:
        labels, names = by_ranges(request.segments, read, request.rest)
    elif marked.marks:
        labels, names = by_marks(marked, tokens.starts[:read], tokens.ends[:read])
    elif new:
        labels, names = np.zeros(read, np.int64), (WHOLE_TEXT,)
    else:
        return None
    if new == 0:
        return Segments(labels, names)
    if GENERATED in names:
        raise InspectionError(
            f"a segment is named {GENERATED!r}, as the generated tokens are. Choose another name."
        )
    return Segments(np.concatenate([labels, np.full(new, len(names))]), (*names, GENERATED))


def by_marks(marked: MarkedText, starts: Labels, ends: Labels) -> tuple[Labels, tuple[str, ...]]:
    """The segment of each token by its last character, and the names of the segments as they first occur.

    Parameters
    ----------
    marked : MarkedText
        The text and its marks.
    starts, ends : ndarray of int64, (tokens,)
        The characters of each token; start = end for a token that the tokenizer adds.
    """
    if not (starts < ends).any():
        raise InspectionError(
            "the model's tokenizer does not report which characters its tokens stand for, "
            "so messages and documents cannot be found among them. "
            "Give the text alone, and its parts by --segments NAME:START-END."
        )
    known = [mark.segment for mark in marked.marks]
    if TEMPLATE in known:
        raise InspectionError(
            f"a segment is named {TEMPLATE!r}, as the template tokens are. Choose another name."
        )
    of_characters = np.full(len(marked.content) + 1, len(known))
    for number, mark in enumerate(marked.marks):
        of_characters[mark.start : mark.end] = number
    of_tokens = np.where(starts < ends, of_characters[np.maximum(ends - 1, 0)], len(known))
    found = list(dict.fromkeys(of_tokens.tolist()))
    places = np.empty(len(known) + 1, np.int64)
    places[found] = np.arange(len(found))
    return places[of_tokens], tuple([*known, TEMPLATE][each] for each in found)


def by_ranges(given: Sequence[str], tokens: int, rest: str | None) -> tuple[Labels, tuple[str, ...]]:
    """The segment of each token from ranges NAME:START-END. END is the first token after the range.

    Without END, a range extends to the end of the text. A name may have several ranges. `rest` names the
    tokens that no range contains.

    Raises
    ------
    InspectionError
        If ranges have another form, exceed the text, overlap, or leave tokens out and there is no `rest`.

    Examples
    --------
    >>> labels, names = by_ranges(["system:0-2", "question:2-"], 5, None)
    >>> labels.tolist(), names
    ([0, 0, 1, 1, 1], ('system', 'question'))
    """
    labels = np.full(tokens, -1)
    names: list[str] = []
    for each in given:
        name, start, end = parse_range(each, tokens)
        if name not in names:
            names.append(name)
        taken = np.flatnonzero(labels[start:end] >= 0)
        if taken.size:
            token = start + int(taken[0])
            raise InspectionError(
                f"segments {names[labels[token]]!r} and {name!r} overlap at token {token}, "
                "expected each token in one segment. END is the first token after a segment."
            )
        labels[start:end] = names.index(name)
    left_out = np.flatnonzero(labels < 0)
    if left_out.size and rest is None:
        raise InspectionError(
            f"segments leave out {left_out.size} of {tokens} tokens, the first is token {left_out[0]}. "
            "Name the rest: --rest NAME."
        )
    if left_out.size and rest is not None:
        if rest not in names:
            names.append(rest)
        labels[left_out] = names.index(rest)
    return labels, tuple(names)


def parse_range(
    given: str, count: int, *, option: str = "segments", unit: str = "tokens"
) -> tuple[str, int, int]:
    """The name, start and end of one range of so many tokens, or of another unit."""
    name, _, numbers = given.rpartition(":")
    found = RANGE.fullmatch(numbers)
    if not name.strip() or found is None:
        raise InspectionError(
            f"{option}={given!r}, expected NAME:START-END in {unit}, such as system:0-40 or question:40-."
        )
    start, end = int(found[1]), int(found[2] or count)
    if not start < end <= count:
        raise InspectionError(
            f"{option}={given!r}, expected START < END <= {count:,}, "
            f"the number of {unit} that the model reads."
        )
    return name.strip(), start, end
