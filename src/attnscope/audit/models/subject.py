"""The model under audit: its calls, their side effects, and its cached generations step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.claims import ModelClaims
from attnscope.audit.models.question import Question, Tokens, Where, mask_of
from attnscope.audit.suspect import LATE, SHORTEST, Result, Watch, kind_of
from attnscope.probing import NoAnswer, Printed, guarded

Floats = NDArray[np.float64]
NARROW = 2.0**-12  # a unit above it is a 16-bit format's: sums in it are taken in float32
ENOUGH_NUMBERS = 32  # that all have 16 bits: not by chance
MOST_HANGS = 3  # after which no more calls are made


@dataclass(frozen=True, eq=False)
class Trouble:
    """A question that gave no answer, or whose call had a side effect."""

    question: Question
    kind: str
    sentence: str
    when: str = ""


@dataclass(eq=False)
class Subject:
    """Calls a model and records its side effects.

    Parameters
    ----------
    logits_fn : callable
        (token_ids, attention_mask[, documents]) -> logits.
    claims : ModelClaims
        What the model promises.
    seconds_per_call, deadline : float
        Limits: of one call, and the time at which calls end.
    hidden : callable, optional
        The same arguments -> name and output of each layer, for models with accessible layers.
    features : int, optional
        The size of an answer's last axis; None if it is not known.
    first_window : int, optional
        Tokens before its own that the first layer sees.
    watch : callable, optional
        Called with the description of each call before it is made.
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
    answered: bool = False
    hangs: int = 0
    watch: Watch | None = None

    @property
    def given_up(self) -> str | None:
        """Why no more calls are made, or None."""
        if self.hangs >= MOST_HANGS:
            return f"everything after {MOST_HANGS} calls that gave no answer in time"
        if monotonic() >= self.deadline:
            return "everything after the audit's time was up"
        return None

    def ask(self, question: Question, when: str = "") -> Floats | None:
        """The logits of a question, [batch, tokens, features]; None if there are none."""
        if self.given_up:
            return None
        given = {name: array.copy() for name, array in question.named_arrays().items()}
        arguments = [given["token_ids"], given.get("attention_mask")]
        arguments += [given["documents"]] if "documents" in given else []
        try:
            logits = self.run(
                lambda: self.read(self.logits_fn(*arguments), question.token_ids.shape), question
            )
        except NoAnswer as no_answer:
            self.note(question, no_answer, when)
            return None
        self.watch_inputs(question, given)
        return logits

    def note(self, question: Question, no_answer: NoAnswer, when: str) -> None:
        """Record a call that gave no answer."""
        if no_answer.kind == LATE:
            return
        self.hangs += no_answer.kind == "hung"
        self.troubles.append(Trouble(question, no_answer.kind, no_answer.sentence, when))

    def run(self, work: Callable[[], Result], question: Question) -> Result:
        """Run foreign code as one call of this audit; NoAnswer if it fails."""
        if self.given_up:
            raise NoAnswer(LATE, "was not called, as the audit's time was up")
        self.calls += 1
        if self.watch is not None:
            batch, tokens = question.token_ids.shape
            self.watch(f"{batch} row{'s' if batch > 1 else ''} of {tokens} slots")
        left = max(self.deadline - monotonic(), SHORTEST)
        try:
            returned: Result = guarded(work, min(self.seconds_per_call, left), self.printed)
        except NoAnswer as no_answer:
            if no_answer.kind == "hung" and left < self.seconds_per_call and self.answered:
                raise NoAnswer(LATE, "was stopped, as the audit's time was up") from None
            raise
        self.answered = True
        if self.printed.text and self.first_print is None:
            self.first_print = question
        return returned

    def watch_inputs(self, question: Question, given: dict[str, NDArray[Any]]) -> None:
        """Record the arrays that a call wrote to."""
        was = question.named_arrays()
        changed = [name for name in was if not np.array_equal(was[name], given[name])]
        if changed:
            self.mutations.append(Trouble(question, "mutation", " and ".join(changed)))

    def read(self, returned: Any, shape: tuple[int, ...], *, last_only: bool = False) -> Floats:
        """Check and copy logits [batch, tokens, features]; NoAnswer for another type, dtype or shape."""
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
        self.written_as, self.features = array.dtype, array.shape[2]
        return array.astype(np.float64)


@dataclass(frozen=True)
class Move:
    """The first slot in which two answers differ, the difference, and its bound."""

    row: int
    slot: int
    size: float
    bound: float


@dataclass(frozen=True)
class Rounding:
    """The unit u of the logits' format, and the measured noise relative to the largest logit."""

    unit: float
    noise: float = 0.0

    def relative(self, tokens: int, *, same_shape: bool) -> float:
        """The largest difference of two careful computations, relative to the largest logit."""
        if self.unit > NARROW:
            return max(8 * self.noise, (4 if same_shape else 8) * self.unit)
        allowed = 32.0 if same_shape else 128.0 + 8.0 * tokens
        return max(16 * self.noise, allowed * self.unit)

    def move(self, first: Floats, second: Floats, where: Where, *, same_shape: bool) -> Move | None:
        """The first of some slots in which the difference is more than rounding, or None."""
        sizes = distances(first, second)
        bound = self.relative(first.shape[1], same_shape=same_shape) * largest(first, where)
        beyond = (sizes > bound) & where
        if not beyond.any():
            return None
        row, slot = (int(each) for each in np.argwhere(beyond)[0])
        return Move(row, slot, float(sizes[row, slot]), bound)


def distances(first: Floats, second: Floats) -> Floats:
    """The largest difference of each slot's logits; infinite if only one of the two is a number."""
    with np.errstate(invalid="ignore"):
        differences = np.abs(first - second)
    alike = (first == second) | (np.isnan(first) & np.isnan(second))
    differences = np.where(alike, 0.0, np.where(np.isnan(differences), np.inf, differences))
    reduced: Floats = differences.max(axis=-1, initial=0.0)
    return reduced


def largest(logits: Floats, where: Where) -> float:
    """The largest finite logit, by absolute value."""
    seen = np.abs(logits[where])
    return float(np.max(seen, initial=0.0, where=np.isfinite(seen)))


def unit_of(logits: Floats, written_as: np.dtype) -> float:
    """The unit of the narrowest format that represents these numbers, which may be in a wide array."""
    units = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
    finite = logits[np.isfinite(logits)]
    if written_as.name in ("float16", "bfloat16"):
        return units[written_as.name]
    as_float32 = finite.astype(np.float32)
    if written_as == np.float64 and not np.array_equal(as_float32.astype(np.float64), finite):
        return units["float64"]
    low_bits = as_float32.view(np.uint32) & 0xFFFF
    narrow = len(np.unique(finite)) > ENOUGH_NUMBERS and not low_bits.any()
    return units["bfloat16" if narrow else "float32"]


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
