"""The interface of a model under inspection: tokenize a text, continue it, and observe the layers on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.attribution.scorer import Scorer
from attnscope.inspection.chat import Message
from attnscope.inspection.text import InspectionError, shown_name
from attnscope.observation import Observation

Step = Callable[[int], None]  # called with the number of layers that are done


@dataclass(frozen=True, eq=False)
class Tokens:
    """A text as the model reads it.

    Parameters
    ----------
    ids : ndarray of int64, (tokens,)
        The token ids.
    pieces : tuple of str
        The text of each token; "" if the token continues a character that an earlier token began.
    starts, ends : ndarray of int64, (tokens,)
        The characters start <= i < end of the text that each token stands for; start = end if there are none.
    """

    ids: NDArray[np.int64]
    pieces: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def followed_by(self, ids: Sequence[int], pieces: Sequence[str]) -> "Tokens":
        """Return these tokens and further ones that stand for no characters of the text.

        Parameters
        ----------
        ids : sequence of int
            The ids of the further tokens.
        pieces : sequence of str
            Their texts.

        Returns
        -------
        Tokens
            All tokens.
        """
        nowhere = np.full(len(ids), self.ends.max(initial=0))
        return Tokens(
            np.concatenate([self.ids, np.asarray(ids, np.int64)]),
            (*self.pieces, *pieces),
            np.concatenate([self.starts, nowhere]),
            np.concatenate([self.ends, nowhere]),
        )


@dataclass(frozen=True, eq=False)
class ObservedLayer:
    """The observation of one layer on one text, with the names of the layer and its heads."""

    number: int
    name: str
    head_names: tuple[str, ...]
    observation: Observation


class Subject(Protocol):
    """A model under inspection.

    name       its name in reports
    facts      where it is from and what it is: file, class, versions
    layers     the numbers of its layers with softmax attention, ascending
    context    the largest number of tokens that it can read; None if there is no limit
    chats      whether it has a chat template
    instructed  whether a question is put to it as a message of a user: it was made with a chat template
    special_tokens  the texts of tokens that a template uses, and a document may not contain
    """

    name: str
    facts: Mapping[str, str]
    layers: Sequence[int]
    context: int | None
    chats: bool
    instructed: bool
    special_tokens: Sequence[str]

    def template(self, messages: Sequence[Message], *, answer_next: bool = False) -> str:
        """The text that the model reads for a chat; answer_next adds the template's generation prompt."""

    def tokenize(self, text: str, *, templated: bool) -> Tokens:
        """The tokens of a text. Special tokens are added unless a template has rendered them."""

    def generate(self, tokens: Tokens, new_tokens: int) -> Tokens:
        """The tokens and the most likely continuation."""

    def observe(
        self, tokens: Tokens, layers: Sequence[int], statistics: Mapping[str, Any], step: Step
    ) -> Iterator[ObservedLayer]:
        """Run the model once and yield one observation per layer. `statistics` are arguments of observe()."""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each generated token; "" if it continues a character that an earlier one began."""

    def scorer(self, *, hides: bool) -> Scorer:
        """What scores answers; if it need not hide sources, any model can."""


def tokenize(subject: Subject, name: str, text: str, *, templated: bool, new_tokens: int) -> Tokens:
    """The tokens of a text if they and the tokens to be generated fit into the context of the model.

    Raises
    ------
    InspectionError
        If the text has no token, or too many.
    """
    tokens = subject.tokenize(text, templated=templated)
    count = len(tokens.ids)
    if count == 0:
        raise InspectionError(f"{shown_name(name)} has no token for {subject.name}. Give a longer text.")
    if subject.context is not None and count + new_tokens > subject.context:
        generated = f" and {new_tokens:,} to be generated" if new_tokens else ""
        raise InspectionError(
            f"{shown_name(name)} has {count:,} tokens{generated}, "
            f"expected at most {subject.context:,} in all, the context of {subject.name}. "
            "Shorten the text, or use a model with a longer context."
        )
    return tokens
