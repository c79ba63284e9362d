"""The model under audit: asked, watched, and never trusted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.claims import ModelClaims
from attnscope.audit.models.question import Question
from attnscope.audit.models.rounding import Floats
from attnscope.audit.suspect import kind_of
from attnscope.probing import NoAnswer, Printed, guarded

LATE = "late"  # the kind of a call that was not made any more
MOST_HANGS = 3  # then nothing more is asked


@dataclass(frozen=True, eq=False)
class Trouble:
    """A question without an answer, or with one that also did what it should not."""

    question: Question
    kind: str
    sentence: str
    when: str = ""


@dataclass(eq=False)
class Subject:
    """Asks a model and keeps what it did beside answering.

    logits_fn     (token_ids, attention_mask[, documents]) -> logits
    hidden        the same arguments -> the name and output of each layer, for models that can be looked into
    first_window  tokens before its own that the first layer sees, where that is known
    features      entries of an answer's last axis, or None where nothing is said of it
    """

    logits_fn: Callable[..., Any]
    claims: ModelClaims
    seconds_per_call: float
    deadline: float = float("inf")
    hidden: Callable[..., list[tuple[str, Floats]]] | None = None
    features: int | None = None
    first_window: int | None = None
    troubles: list[Trouble] = field(default_factory=list)
    mutations: list[Trouble] = field(default_factory=list)
    printed: Printed = field(default_factory=Printed)
    first_print: Question | None = None
    written_as: np.dtype[Any] | None = None
    calls: int = 0
    hangs: int = 0
    seconds_of_longest: float = 0.0

    @property
    def given_up(self) -> str | None:
        """Why nothing more is asked, or None."""
        if self.hangs >= MOST_HANGS:
            return f"everything after {MOST_HANGS} calls that gave no answer in time"
        if monotonic() > self.deadline:
            return "everything after the audit's time was up"
        return None

    def ask(self, question: Question, when: str = "") -> Floats | None:
        """The logits of a question, [batch, tokens, features]; None where there are none."""
        if self.given_up:
            return None
        given = {name: array.copy() for name, array in question.named_arrays().items()}
        arguments = [given["token_ids"], given.get("attention_mask")]
        arguments += [given["documents"]] if "documents" in given else []
        try:
            returned = self.run(lambda: self.logits_fn(*arguments), question)
            logits = self.read(returned, question.token_ids.shape)
        except NoAnswer as no_answer:
            self.note(question, no_answer, when)
            return None
        self.watch_inputs(question, given)
        return logits

    def note(self, question: Question, no_answer: NoAnswer, when: str) -> None:
        """Keep a call that gave no answer."""
        if no_answer.kind == LATE:
            return
        self.hangs += no_answer.kind == "hung"
        self.troubles.append(Trouble(question, no_answer.kind, no_answer.sentence, when))

    def run(self, work: Callable[[], Any], question: Question) -> Any:
        """Run foreign code that belongs to this audit.

        Errors
            NoAnswer.
        """
        if self.given_up:
            raise NoAnswer(LATE, "was asked no more")
        self.calls += 1
        start = monotonic()
        returned = guarded(work, self.seconds_per_call, self.printed)
        self.seconds_of_longest = max(self.seconds_of_longest, monotonic() - start)
        if self.printed.text and self.first_print is None:
            self.first_print = question
        return returned

    def watch_inputs(self, question: Question, given: dict[str, NDArray[Any]]) -> None:
        """Note the arrays that a call wrote to."""
        was = question.named_arrays()
        changed = [name for name in was if not np.array_equal(was[name], given[name])]
        if changed:
            self.mutations.append(Trouble(question, "mutation", " and ".join(changed)))

    def read(self, returned: Any, shape: tuple[int, ...], *, last_only: bool = False) -> Floats:
        """Check what a model returned, and copy it.

        Errors
            NoAnswer for another type, dtype or shape than [batch, tokens, features].
        """
        if not hasattr(returned, "__array__"):
            raise NoAnswer("type", f"returns {kind_of(returned)}, expected a NumPy array of logits")
        array = np.asarray(returned)
        if not (np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"):
            raise NoAnswer("type", f"returns logits as {array.dtype}, expected floating-point numbers")
        batch, tokens = shape
        wanted = {(batch, tokens)} | ({(batch, 1)} if last_only else set())
        features = "features" if self.features is None else self.features
        if array.ndim != 3 or array.shape[:2] not in wanted or self.features not in (None, array.shape[2]):
            raise NoAnswer(
                "shape",
                f"returns logits of shape {list(array.shape)}, expected [{batch}, {tokens}, {features}]",
            )
        self.written_as = array.dtype
        return array.astype(np.float64)
