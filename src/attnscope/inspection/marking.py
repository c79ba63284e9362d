"""A text whose characters belong to segments: the messages of a chat, retrieved documents, a question."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.error import InspectionError
from attnscope.inspection.text import NamedText

MARKUP = "markup"  # what a template or a tokenizer puts around the words: roles, line ends, special tokens
QUESTION = "question"


@dataclass(frozen=True)
class Mark:
    """The characters start <= i < end of a text belong to a segment."""

    segment: str
    start: int
    end: int


@dataclass(frozen=True)
class MarkedText:
    """A text and its marks; later marks lie over earlier ones, and what has none is markup.

    templated    a chat template wrote it, special tokens and all, so that a tokenizer adds none
    """

    name: str
    content: str
    marks: tuple[Mark, ...] = ()
    templated: bool = False

    def with_documents(self, documents: tuple[NamedText, ...]) -> "MarkedText":
        """Mark documents where they stand in the text, word for word.

        Errors
            InspectionError for a document that is not there, and for two of one name.
        """
        marks = list(self.marks)
        for name, document in zip(names_of(documents), documents, strict=True):
            words = document.content.strip()
            start = self.content.find(words)
            if start < 0:
                raise InspectionError(
                    f"document {document.name} does not occur in {self.name}, expected its text word for word in one of the "
                    "messages. Put it there, or give the question as TEXT: then documents are put before it."
                )
            marks.append(Mark(name, start, start + len(words)))
        return replace(self, marks=tuple(marks))

    def labels(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """A segment for each token, by its last character, and the segments' names as they first occur.

        Shapes
            starts, ends    (tokens,)      the characters of each token; none where start = end
        """
        known = list(dict.fromkeys(mark.segment for mark in self.marks))
        of_characters = np.full(len(self.content) + 1, len(known))
        for mark in self.marks:
            of_characters[mark.start : mark.end] = known.index(mark.segment)
        of_tokens = np.where(starts < ends, of_characters[np.maximum(ends - 1, 0)], len(known))
        found = list(dict.fromkeys(of_tokens.tolist()))
        places = np.empty(len(known) + 1, np.int64)
        places[found] = np.arange(len(found))
        return places[of_tokens], tuple([*known, MARKUP][each] for each in found)


def question_after(documents: tuple[NamedText, ...], question: NamedText) -> MarkedText:
    r"""Documents, an empty line after each, and the question behind them.

    >>> marked = question_after((NamedText("a.txt", "Cats sleep. "),), NamedText("q", "Who sleeps?"))
    >>> marked.content, marked.marks[1]
    ('Cats sleep.\n\nWho sleeps?', Mark(segment='question', start=13, end=24))
    """
    content, marks = "", []
    for name, document in zip(names_of(documents), documents, strict=True):
        words = document.content.strip()
        marks.append(Mark(name, len(content), len(content) + len(words)))
        content += words + "\n\n"
    marks.append(Mark(QUESTION, len(content), len(content) + len(question.content)))
    return MarkedText(question.name, content + question.content, tuple(marks))


def names_of(documents: tuple[NamedText, ...]) -> list[str]:
    """What segments are called after: the files' names without folders.

    Errors
        InspectionError for two of one name.
    """
    names = [document.name.rsplit("/", 1)[-1] for document in documents]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InspectionError(
            f"two documents are named {twice[0]}, expected a name for each. Rename one of the files."
        )
    return names
