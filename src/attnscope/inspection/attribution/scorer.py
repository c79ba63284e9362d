"""The interface by which a model scores an answer, and the scorer of the hand-written model.

A text is the prompt and the answer. The model reads the prompt once. Later calls run only the rows after its
first `held` tokens: `tail` is the rest of the prompt, possibly a shortened one, and the answer.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.text import InspectionError
from attnscope.models import Reading, Transformer
from attnscope.problem import Causal, Dense

Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Scorer(Protocol):
    """A model that scores answers.

    rows    how many rows it has computed: tokens that went through all layers
    """

    rows: int

    def keep(self, ids: Ids) -> None:
        """Read the prompt and keep its keys and values."""

    def answer(self, held: int, tail: Ids, new_tokens: int) -> list[int]:
        """The most likely tokens after the tail, at most so many; without the token that ends an answer."""

    def after(self, held: int, tail: Ids, answer: int, hidden: Bools) -> Floats:
        """The log probability of each answer token, (items, answer), in nats.

        Parameters
        ----------
        held : int
            The tokens of the kept prompt that the rows follow.
        tail : ndarray of int64, (rows,)
            The tokens after them; the last `answer` ones are the answer.
        answer : int
            The number of answer tokens.
        hidden : ndarray of bool, (items, held + rows)
            Per item, the tokens whose keys the rows do not see. A row always sees its own key.
        """

    def after_each(self, tails: Sequence[tuple[int, Ids]], answer: int) -> Floats:
        """The same for items with a `held` and a tail each, and nothing hidden."""

    def contributions(self, held: int, tail: Ids, labels: Ids) -> Floats:
        """The first-order effect of hiding each token on each sentence of the answer, (sentences, tokens).

        In nats; `labels` are the sentences of the answer's tokens, (answer,). As in
        interop.transformers.contributions_of_keys().

        Raises
        ------
        InspectionError
            If the model has no backward pass.
        """

    def received(self, held: int, tail: Ids, answer: int) -> Floats | None:
        """The attention that each token receives from the rows that predict the answer, (tokens,).

        The mean over layers, heads and these rows; None if it cannot be observed. The arguments are those of
        after().
        """


class HandWrittenScorer:
    """The hand-written model: each item runs the rows after the kept prompt."""

    def __init__(self, model: Transformer) -> None:
        self.model = model
        self.rows = 0
        self.kept: Reading | None = None
        self.ids = np.zeros(0, np.int64)

    def keep(self, ids: Ids) -> None:
        self.kept, self.ids = self.model.read(ids), ids
        self.rows += len(ids)

    def answer(self, held: int, tail: Ids, new_tokens: int) -> list[int]:
        self.rows += len(tail) + new_tokens
        return list(self.model.generate(np.concatenate([self.ids[:held], tail]), new_tokens))

    def after(self, held: int, tail: Ids, answer: int, hidden: Bools) -> Floats:
        assert self.kept is not None
        rows, targets = tail[:-1], tail[len(tail) - answer :]
        keys = held + len(rows)
        causal = Causal().visible(len(rows), keys)
        own = np.arange(keys) == np.arange(held, keys)[:, None]
        found = []
        for item in hidden:
            mask = Dense(causal & (~item[:keys] | own))
            logits = self.model.follow(self.kept, held, rows, mask=mask)
            self.rows += len(rows)
            found.append(log_probs(logits[len(rows) - answer :], targets))
        return np.stack(found)

    def after_each(self, tails: Sequence[tuple[int, Ids]], answer: int) -> Floats:
        return one_by_one(self, tails, answer)

    def contributions(self, held: int, tail: Ids, labels: Ids) -> Floats:
        raise InspectionError(
            "method='gradient' is for Transformers models: the heads of the hand-written model give all "
            "weight to one byte, where a derivative is 0. Give --model, or choose method='knockout'."
        )

    def received(self, held: int, tail: Ids, answer: int) -> Floats:
        rows = held + len(tail) - 1
        reading = self.model.read(np.concatenate([self.ids[:held], tail[:-1]]))
        self.rows += rows
        factors = predicting(rows, answer)
        layers = range(len(self.model.layers))
        found: list[Any] = [reading.observe(layer, received=factors).received for layer in layers]
        return mean_of_heads(found)


def one_by_one(scorer: Scorer, tails: Sequence[tuple[int, Ids]], answer: int) -> Floats:
    """The log probabilities of items that are run after each other, (items, answer)."""
    found = []
    for held, tail in tails:
        nothing = np.zeros((1, held + len(tail)), np.bool_)
        found.append(scorer.after(held, tail, answer, nothing)[0])
    return np.stack(found)


def predicting(rows: int, answer: int) -> NDArray[np.float32]:
    """A factor per row, whose sum is 1: the last rows predict the answer."""
    factors = np.zeros(rows, np.float32)
    factors[rows - answer :] = 1 / answer
    return factors


def mean_of_heads(by_layer: Sequence[NDArray[Any]]) -> Floats:
    """The mean over the heads of all layers, each (heads, tokens)."""
    every = np.concatenate(by_layer, axis=0)
    return np.asarray(every.mean(axis=0, dtype=np.float64))


def log_probs(logits: NDArray[Any], targets: Ids) -> Floats:
    """The log probability of the target of each row, in nats."""
    rows = logits.astype(np.float64)
    check_finite(rows)
    most = rows.max(axis=-1)
    chosen = rows[np.arange(len(targets)), targets]
    return np.asarray(chosen - most - np.log(np.exp(rows - most[:, None]).sum(axis=-1)))


def check_finite(logits: NDArray[Any]) -> None:
    """Raise InspectionError if a log probability would not be a number."""
    if np.isnan(logits).any() or np.isposinf(logits).any():
        raise InspectionError(
            "the model's logits are NaN or infinite, so the answer has no probability. "
            "Check its weights, for example with `attnscope audit`."
        )
