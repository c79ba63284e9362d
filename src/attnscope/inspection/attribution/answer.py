"""The answer: its tokens, their texts, and the sentence that each is in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.attribution.prompt import Prompt
from attnscope.inspection.attribution.sources import Splitter
from attnscope.inspection.subject import Subject, Tokens
from attnscope.inspection.text import InspectionError, checked


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer and its sentences.

    Parameters
    ----------
    ids : ndarray of int64, (tokens,)
        The token ids.
    pieces : tuple of str
        The text of each token.
    labels : ndarray of int64, (tokens,)
        The number of each token's sentence.
    """

    ids: NDArray[np.int64]
    pieces: tuple[str, ...]
    labels: NDArray[np.int64]

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)

    @property
    def sentences(self) -> list[str]:
        """The texts of its sentences."""
        return [
            "".join(piece for piece, label in zip(self.pieces, self.labels, strict=True) if label == number)
            for number in range(int(self.labels.max()) + 1)
        ]


def given_answer(text: str, prompt: Prompt, tokens: Tokens, subject: Subject, splitter: Splitter) -> Answer:
    """The answer as the tokens that follow the prompt.

    Raises
    ------
    InspectionError
        If the answer is empty, or its first characters share a token with the prompt's last ones.
    """
    checked("the answer", text)
    both = subject.tokenize(prompt.text + text, templated=prompt.templated)
    count = len(tokens.ids)
    if not np.array_equal(both.ids[:count], tokens.ids) or len(both.ids) == count:
        raise InspectionError(
            f"answer={text[:40]!r} cannot be separated from the prompt, which ends with "
            f"{prompt.text[-10:]!r}: {subject.name} reads the characters at their border as one token. "
            "Begin the answer with a space or a new line, or end the prompt with one."
        )
    return with_sentences(both.ids[count:], both.pieces[count:], splitter)


def with_sentences(
    ids: Sequence[int] | NDArray[np.int64], pieces: Sequence[str], splitter: Splitter
) -> Answer:
    """An answer whose tokens belong to the sentence of their last character, or to the next one if blank."""
    lasts = np.cumsum([len(piece) for piece in pieces]) - 1
    ends = [end for _, end in splitter("".join(pieces))] or [len(pieces)]
    labels = np.minimum(np.searchsorted(ends, lasts, side="right"), len(ends) - 1)
    numbered = np.unique(labels, return_inverse=True)[1]
    return Answer(np.asarray(ids, np.int64), tuple(pieces), numbered)
