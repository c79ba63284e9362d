"""One prompt and one answer under a scorer, and what the answer's tokens lose if sources are ablated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.attribution.prompt import Prompt
from attnscope.inspection.attribution.scorer import Bools, Floats, Ids, Scorer
from attnscope.inspection.attribution.sources import Source, tokens_of, without
from attnscope.inspection.subject import Subject, Tokens
from attnscope.inspection.text import InspectionError, shown_name

Step = Callable[[int, int], None]  # ablations that are done, of how many


@dataclass(eq=False)
class Case:
    """A prompt that the scorer has read, and an answer.

    Parameters
    ----------
    subject, scorer : Subject, Scorer
        The model.
    prompt : Prompt
        The text before the answer.
    tokens : Tokens
        Its tokens.
    held : int
        The first token of the question: the rows that an ablation computes begin here.
    answer : ndarray of int64, (answer,)
        The tokens of the answer.
    labels : ndarray of int64, (answer,)
        The number of each token's sentence.
    """

    subject: Subject
    scorer: Scorer
    prompt: Prompt
    tokens: Tokens
    held: int
    answer: Ids
    labels: Ids

    def __post_init__(self) -> None:
        self._of_tokens: Floats | None = None

    def baseline(self) -> Floats:
        """The log probability of each answer token after the whole prompt, (answer,)."""
        nothing = np.zeros((1, self._length), np.bool_)
        [found] = self.scorer.after(self.held, self._tail, len(self.answer), nothing)
        return np.asarray(found)

    def received(self) -> Floats | None:
        """The attention that each token of the prompt receives from the rows that predict the answer."""
        received = self.scorer.received(self.held, self._tail, len(self.answer))
        return None if received is None else received[: len(self.tokens.ids)]

    def knockouts(self, sources: Sequence[Source], ablations: Bools, step: Step) -> Floats:
        """The log probabilities if sources are hidden from the rows of question and answer, (items, answer).

        Parameters
        ----------
        sources : sequence of Source
            The sources.
        ablations : ndarray of bool, (items, sources)
            The sources that each item hides.
        step : callable
            Called with the number of items that are done, and of all.
        """
        owned = tokens_of(sources, self.tokens, len(self.prompt.text))
        hidden = np.zeros((len(ablations), self._length), np.bool_)
        hidden[:, : owned.shape[1]] = (ablations[:, :, None] & owned).any(axis=1)
        found = []
        for first in range(0, len(hidden), ITEMS_AT_ONCE):
            step(first, len(hidden))
            group = hidden[first : first + ITEMS_AT_ONCE]
            found.append(self.scorer.after(self.held, self._tail, len(self.answer), group))
        return np.concatenate(found)

    def removals(self, sources: Sequence[Source], ablations: Bools, step: Step) -> Floats:
        """The log probabilities if sources are cut out of the text, (items, answer); arguments as above.

        The rest is tokenized again. Rows are computed from the first token that differs.
        """
        tails = [self._shortened(sources, removed) for removed in ablations]
        found = []
        for first in range(0, len(tails), REMOVALS_AT_ONCE):
            step(first, len(tails))
            found.append(self.scorer.after_each(tails[first : first + REMOVALS_AT_ONCE], len(self.answer)))
        return np.concatenate(found)

    def _shortened(self, sources: Sequence[Source], removed: NDArray[np.bool_]) -> tuple[int, Ids]:
        """A text without sources: how many tokens of the prompt it begins with, and the rest."""
        text = without(self.prompt.text, sources, removed)
        ids = self.subject.tokenize(text, templated=self.prompt.templated).ids
        if len(ids) == 0:
            names = ", ".join(each.name for each, cut in zip(sources, removed, strict=True) if cut)
            raise InspectionError(
                f"without {shown_name(names)} there is no prompt left. Choose method='knockout', or "
                "smaller sources."
            )
        held = min(common_prefix(ids, self.tokens.ids), len(ids) - 1)
        return held, np.concatenate([ids[held:], self.answer])

    def contributions(self, sources: Sequence[Source], ablations: Bools) -> Floats:
        """To first order, what each sentence of the answer loses by knockouts, (items, sentences)."""
        if self._of_tokens is None:
            self._of_tokens = self.scorer.contributions(self.held, self._tail, self.labels)
        owned = tokens_of(sources, self.tokens, len(self.prompt.text))
        return (ablations[:, :, None] & owned).any(axis=1) @ self._of_tokens[:, : owned.shape[1]].T

    def shared_out(self, of_sentences: Floats) -> Floats:
        """Values of the answer's sentences in equal shares for their tokens, (items, answer)."""
        return of_sentences[:, self.labels] / np.bincount(self.labels)[self.labels]

    @property
    def _tail(self) -> Ids:
        return np.concatenate([self.tokens.ids[self.held :], self.answer])

    @property
    def _length(self) -> int:
        return len(self.tokens.ids) + len(self.answer)


ITEMS_AT_ONCE = 64  # between two reports of progress
REMOVALS_AT_ONCE = 16


def common_prefix(one: Ids, other: Ids) -> int:
    """How many tokens two texts share from their start.

    >>> common_prefix(np.array([1, 2, 3]), np.array([1, 2, 4, 5]))
    2
    """
    length = min(len(one), len(other))
    differs = np.flatnonzero(one[:length] != other[:length])
    return int(differs[0]) if differs.size else length
