"""A cached generation of the model under audit, step by step, to be compared with one uncached call."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.question import Question, Tokens, Where, mask_of
from attnscope.audit.models.subject import Floats, Subject
from attnscope.probing import NoAnswer


class NotOffered(Exception):
    """Raised if a generation lacks a method, or refuses it with an error."""


SHORT_GENERATION = 12  # tokens; a longer generation may be refused with an error


@dataclass(frozen=True, eq=False)
class Cached:
    """Logits of cached steps.

    Parameters
    ----------
    logits : (batch, tokens, vocab) array
        NaN in slots that are not given.
    given : (batch, tokens) array of bool
        The slots whose logits the model returned: all, or the last one of each step.
    """

    logits: Floats
    given: Where

    @classmethod
    def of(cls, logits: Floats, tokens: int) -> "Cached":
        """The logits of a step of `tokens` tokens; a model may return those of the last one only."""
        batch, returned, vocab = logits.shape
        wide = np.full((batch, tokens, vocab), np.nan)
        wide[:, tokens - returned :] = logits
        given = np.zeros((batch, tokens), np.bool_)
        given[:, tokens - returned :] = True
        return cls(wide, given)


@dataclass(eq=False)
class Session:
    """One generation, and its tokens so far; a failing step raises NoAnswer."""

    subject: Subject
    mask: str = "int"
    generation: Any = None
    token_ids: Tokens = field(default_factory=lambda: np.zeros((1, 0), np.int64))
    real: Where = field(default_factory=lambda: np.zeros((1, 0), bool))

    def step(self, token_ids: Tokens, real: Where | None = None) -> Cached:
        """The logits of further tokens."""
        shown = np.ones(token_ids.shape, bool) if real is None else real
        if self.token_ids.shape[1] == 0:
            self.token_ids, self.real = token_ids[:, :0], shown[:, :0]
        self.token_ids = np.concatenate([self.token_ids, token_ids], axis=1)
        self.real = np.concatenate([self.real, shown], axis=1)
        question, subject = self.question, self.subject
        if self.generation is None:
            assert subject.claims.decode is not None
            self.generation = subject.run(subject.claims.decode, question)
        given, mask = token_ids.copy(), mask_of(self.real, self.mask)
        kept = None if mask is None else mask.copy()
        step = self.generation.step
        logits = subject.run(
            lambda: subject.read(step(given, mask), token_ids.shape, last_only=True), question
        )
        if not np.array_equal(given, token_ids) or (
            mask is not None and kept is not None and not np.array_equal(mask, kept)
        ):
            subject.watch_inputs(
                replace(question, token_ids=token_ids, attention_mask=kept),
                {"token_ids": given, **({} if mask is None else {"attention_mask": mask})},
            )
        return Cached.of(logits, token_ids.shape[1])

    @property
    def question(self) -> Question:
        """All tokens so far, as one uncached question."""
        return Question(self.token_ids, self.real, mask_of(self.real, self.mask), None, None)

    def reorder(self, index: NDArray[np.int64]) -> None:
        """Continue row i as row index[i]; NotOffered if that is impossible."""
        self.change("reorder", index.copy())
        self.token_ids, self.real = self.token_ids[index], self.real[index]

    def truncate(self, tokens: int) -> None:
        """Keep only the first tokens; NotOffered if that is impossible."""
        self.change("truncate", tokens)
        self.token_ids, self.real = self.token_ids[:, :tokens], self.real[:, :tokens]

    def change(self, method: str, argument: Any) -> None:
        call = getattr(self.generation, method, None)
        if not callable(call):
            raise NotOffered(f"decode() has no {method}")
        try:
            self.subject.run(lambda: call(argument), self.question)
        except NoAnswer as no_answer:
            raise NotOffered(f"{method}({argument!r}) {no_answer.sentence}") from None


def cached(subject: Subject, question: Question, chunks: Sequence[int], mask: str) -> Cached | None:
    """All logits of a question, computed in chunks; None if a step failed."""
    if subject.given_up:
        return None
    session, start = Session(subject, mask), 0
    parts: list[Cached] = []
    try:
        for chunk in chunks:
            taken = slice(start, start + chunk)
            parts.append(session.step(question.token_ids[:, taken], question.real[:, taken]))
            start += chunk
    except NoAnswer as no_answer:
        tokens = question.token_ids.shape[1]
        if tokens > SHORT_GENERATION:
            when = f"a generation of {tokens} tokens"
        else:
            when = f", cached in chunks of {', '.join(map(str, chunks))}"
        subject.note(question, no_answer, when)
        return None
    return Cached(
        np.concatenate([part.logits for part in parts], axis=1),
        np.concatenate([part.given for part in parts], axis=1),
    )
