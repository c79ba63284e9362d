"""The model under audit, and what counts as its rounding.

Rounding is measured on the model itself. The same row in batches of several sizes gives logits that differ
only by rounding: the sums are the same, in another order. The largest such difference, relative to the
largest logit, is the model's *noise*. Only some orders are tried, so 16 times the noise counts as rounding,
and at least the error of sums in one order, 32 u of the largest logit (u is half the distance from 1 to the
next number of the format). If the shapes differ (padded and alone, cached and uncached), rotary angles may
differ, too: an angle of t positions is rounded by t u, so T tokens may cost another 8 T u; sums of another
length cost 128 u.

Most models give the same bits for a question of the same shape with a hidden token changed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.claims import ModelClaims
from attnscope.audit.models.question import Question, Where
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
