"""What is inspected: a model that makes tokens of a text and says where each layer looked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.inspection.chat import Message

Step = Callable[[int], None]  # called with the number of layers that are done


@dataclass(frozen=True, eq=False)
class Tokens:
    """A text as the model reads it.

    Shapes
        ids             (tokens,)
        pieces          (tokens,)      what each token says; "" where a character goes on that an earlier token began
        starts, ends    (tokens,)      the characters of the text that it stands for; none where start = end
    """

    ids: NDArray[np.int64]
    pieces: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def followed_by(self, ids: Sequence[int], pieces: Sequence[str]) -> "Tokens":
        """These, and tokens that stand for no characters of the text."""
        nowhere = np.full(len(ids), self.ends.max(initial=0))
        return Tokens(
            np.concatenate([self.ids, np.asarray(ids, np.int64)]),
            (*self.pieces, *pieces),
            np.concatenate([self.starts, nowhere]),
            np.concatenate([self.ends, nowhere]),
        )


@dataclass(frozen=True, eq=False)
class LayerSeen:
    """One layer's observation, of one text, with what the layer and its heads are called."""

    number: int
    name: str
    head_names: tuple[str, ...]
    observation: at.Observation


class Subject(Protocol):
    """A model under inspection.

    name       what reports call it
    facts      where it is from and what it is, as words for people: file, class, versions
    layers     how many there are
    context    how many tokens it can read; None: any number
    chats      whether it has a template that makes a text of messages
    """

    name: str
    facts: Mapping[str, str]
    layers: int
    context: int | None
    chats: bool

    def template(self, messages: Sequence[Message], *, answer_next: bool = False) -> str:
        """Return a chat as the text that the model reads; answer_next adds the template's generation prompt."""

    def tokenize(self, text: str, *, templated: bool) -> Tokens:
        """The tokens of a text; with those that a tokenizer adds unless a template wrote them."""

    def write_on(self, tokens: Tokens, new_tokens: int) -> Tokens:
        """The tokens, and those that the model likes best behind them."""

    def observe(
        self, tokens: Tokens, layers: Sequence[int], asked: Mapping[str, Any], step: Step
    ) -> Iterator[LayerSeen]:
        """Read the tokens once, and hand out what each of the layers looked at; `asked` as in at.observe()."""
