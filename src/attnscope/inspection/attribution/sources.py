"""Sources: the parts of a prompt whose effect on the answer is measured."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.segments import TEMPLATE
from attnscope.inspection.subject import Tokens
from attnscope.inspection.text import InspectionError, shown_name

EMPTY_LINE = re.compile(r"\n[^\S\n]*\n")
PARAGRAPH, SENTENCE = "paragraph", "sentence"
DOCUMENT, RANGE = "document", "range"  # roles beside those of messages

Range = tuple[int, int]
Splitter = Callable[[str], list[Range]]


@dataclass(frozen=True)
class Source:
    """A part of the prompt: the characters start <= i < end, without those of sources inside it.

    Parameters
    ----------
    name : str
        Its name in reports.
    start, end : int
        Its characters.
    role : str
        A message's role, "document", "range", or "template" for the tokens of the chat template.
    whole : str or None
        Of a paragraph or a sentence: the name of the source that it is a part of.
    """

    name: str
    start: int
    end: int
    role: str
    whole: str | None = None

    @property
    def is_template(self) -> bool:
        """Whether these are the tokens that belong to no message."""
        return self.role == TEMPLATE


def trimmed(text: str, start: int, end: int) -> Range | None:
    """A range without the blanks around it; None if nothing is left.

    >>> trimmed("a  b ", 1, 5)
    (3, 4)
    """
    part = text[start:end]
    words = part.strip()
    if not words:
        return None
    first = start + part.index(words)
    return first, first + len(words)


def paragraphs(text: str) -> list[Range]:
    r"""The characters of each paragraph: what empty lines separate.

    >>> paragraphs("one\n\ntwo\nlines\n \n")
    [(0, 3), (5, 14)]
    """
    ends = [(each.start(), each.end()) for each in EMPTY_LINE.finditer(text)]
    starts = [0, *(end for _, end in ends)]
    stops = [*(start for start, _ in ends), len(text)]
    return [each for start, end in zip(starts, stops, strict=True) if (each := trimmed(text, start, end))]


def split(sources: Sequence[Source], text: str, level: str, splitter: Splitter) -> list[Source]:
    """The paragraphs or sentences of sources; those inside another source belong to that one alone."""
    owners = owners_of(sources, len(text))
    parts: list[Source] = []
    for number, source in enumerate(sources):
        if source.is_template:
            parts.append(source)
            continue
        ranges = [
            (start + first, start + last)
            for start, end in runs_of(owners == number)
            for first, last in splitter(text[start:end])
        ]
        parts += [
            Source(f"{source.name}, {level} {count}", *each, source.role, source.name)
            for count, each in enumerate(ranges, start=1)
        ]
    return parts


def owners_of(sources: Sequence[Source], characters: int) -> NDArray[np.int64]:
    """The number of the source of each character: the last one that contains it; -1 if none does."""
    owners = np.full(characters, -1)
    for number, source in enumerate(sources):
        if not source.is_template:
            owners[source.start : source.end] = number
    return owners


def runs_of(inside: NDArray[np.bool_]) -> list[Range]:
    """The runs of true entries, as start and end.

    >>> runs_of(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def token_owners(sources: Sequence[Source], tokens: Tokens, characters: int) -> NDArray[np.int64]:
    """The number of the source of each token, by its last character; -1 if it belongs to none.

    Tokens of no source are the template's, if that is a source.
    """
    owners = owners_of(sources, characters)
    template = next((number for number, each in enumerate(sources) if each.is_template), -1)
    found = np.where(tokens.starts < tokens.ends, owners[np.maximum(tokens.ends - 1, 0)], -1)
    return np.where(found < 0, template, found)


def tokens_of(sources: Sequence[Source], tokens: Tokens, characters: int) -> NDArray[np.bool_]:
    """The tokens of each source, (sources, tokens).

    Raises
    ------
    InspectionError
        If a source has no token: it is a part of one.
    """
    found: NDArray[np.bool_] = token_owners(sources, tokens, characters) == np.arange(len(sources))[:, None]
    for source, inside in zip(sources, found, strict=True):
        if not inside.any():
            raise InspectionError(
                f"source {shown_name(source.name)} has no token of its own: the model's tokens are longer "
                f"than its characters {source.start} to {source.end}. Give a longer source."
            )
    return found


def without(text: str, sources: Sequence[Source], removed: NDArray[np.bool_]) -> str:
    """The text without the removed sources, and without the blanks after each.

    >>> text = "One. Two. Three?"
    >>> pair = [Source("a", 0, 4, "range"), Source("b", 5, 9, "range")]
    >>> without(text, pair, np.array([True, False]))
    'Two. Three?'
    """
    owners = owners_of(sources, len(text))
    kept, position = [], 0
    for start, end in runs_of((owners >= 0) & removed[owners]):
        kept.append(text[position:start])
        blanks = len(text) - end - len(text[end:].lstrip())
        position = end if end + blanks == len(text) else end + blanks
    return "".join([*kept, text[position:]])
