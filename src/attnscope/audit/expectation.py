"""The right answer of a call, and the largest error that rounding explains."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import Call
from attnscope.audit.contract import Contract
from attnscope.audit.interpretation import Floats, Interpretation, Row
from attnscope.audit.mistakes import CAUSAL, MASK_ARRAYS, MIXING, NEAR, SCORING
from attnscope.audit.suspect import Answer
from attnscope.probing import FLOAT32_UNIT, Arithmetic, Bound, KnownMistake, bound_of, size_of
from attnscope.problem import FORMAT_NAMES
from attnscope.reference import Inputs, masked_scores, mix, quietly, softmax

LOOSE = 2.0**-10  # a bound over the largest output, below which the other one is larger
MUCH_NEARER = 4
FAR_ABOVE = 2.0**10
FLUSHED = 2.0**-126  # smaller numbers may become 0: many processors are set to do so in float32
# If two mistakes explain the same answer, the first is named: those of one option come before those of all.
MISTAKES: tuple[KnownMistake, ...] = (*NEAR, *MASK_ARRAYS, *SCORING, *MIXING, *CAUSAL)


@dataclass(frozen=True, eq=False)
class Deviation:
    """An answer with rows that are further from the expected ones than rounding explains.

    Parameters
    ----------
    what : str
        "output" or "logsumexp".
    excess : (batch, query_heads, query_len) array
        Error over bound; infinite if only one of two numbers is finite.
    """

    what: str
    excess: Floats

    @property
    def rows(self) -> list[Row]:
        """The rows that are too far, the worst first."""
        order = np.argsort(-self.excess, axis=None, kind="stable")
        worst = (np.unravel_index(flat, self.excess.shape) for flat in order)
        return [row for row in (Row(*map(int, place)) for place in worst) if self.excess[row] > 1]

    @property
    def largest(self) -> float:
        return float(self.excess.max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Expectation:
    """The exact answer of a call, in float64, and the bound on the error of a careful one.

    Fully masked rows are left out of all comparisons; a probe of their own compares them.
    """

    asked: Interpretation
    scores: Floats
    weights: Floats
    output: Floats
    logsumexp: Floats
    arithmetic: Arithmetic

    @classmethod
    @quietly
    def of(cls, call: Call, contract: Contract, arithmetic: Arithmetic | None = None) -> Self:
        """Interpret a call as its contract states, and answer it by the reference."""
        asked = Interpretation.of(call, contract)
        inputs = asked.inputs
        scores = masked_scores(inputs)
        weights, logsumexp = softmax(scores, inputs.visible, inputs.sinks)
        output = mix(weights, inputs.visible, inputs.value)
        arithmetic = arithmetic or Arithmetic(FORMAT_NAMES[call.query.dtype])
        return cls(asked, scores, weights, output, logsumexp, arithmetic)

    @property
    def inputs(self) -> Inputs:
        """What the reference computes with."""
        return self.asked.inputs

    @cached_property
    def bound(self) -> Bound:
        """The largest error that rounding explains."""
        return self.bound_in(self.arithmetic)

    def bound_in(self, arithmetic: Arithmetic) -> Bound:
        """The largest error that rounding in another format explains."""
        exact = (self.weights, self.output, self.logsumexp)
        bound = bound_of(self.inputs, self.scores, exact, arithmetic)
        output = bound.output
        if output.max(initial=0.0) > LOOSE * size_of(self.output).max(initial=0.0):
            output = np.minimum(output, self.hull_bound(arithmetic))
        return replace(bound, output=output + min(arithmetic.smallest_normal, FLUSHED))

    @quietly
    def hull_bound(self, u: Arithmetic) -> Floats:
        """A bound that holds for wrong scores of any size: an output is an average of visible values.

        However wrong the weights are, they are positive and their sum is 1 up to rounding. So the error is
        at most the range of the values that some row of the head sees, and the rounding of the sums and of
        the logsumexp.
        """
        inputs = self.inputs
        seen = np.any(inputs.visible, axis=-2, keepdims=True).swapaxes(-1, -2)
        ends = (0.0, 0.0) if inputs.sinks is not None else (np.inf, -np.inf)
        low = np.minimum(np.where(seen, inputs.value, np.inf).min(axis=-2), ends[0])
        high = np.maximum(np.where(seen, inputs.value, -np.inf).max(axis=-2), ends[1])
        keys = inputs.key.shape[-2]
        sums = 3 * u.of_sum(keys) + 32 * u.unit + keys * u.smallest_normal
        logs = 8 * min(u.unit, FLOAT32_UNIT) * size_of(self.logsumexp)[..., None]
        largest = np.maximum(np.abs(low), np.abs(high))[..., None, :]
        hull = (high - low)[..., None, :] + (sums + logs) * largest + 2 * u.unit * np.abs(self.output)
        return np.where(np.isfinite(hull), hull, np.inf) + u.smallest_subnormal

    @cached_property
    def fully_masked(self) -> NDArray[np.bool_]:
        """The rows that see no key, (batch, query_heads, query_len)."""
        sees_some: NDArray[np.bool_] = np.any(self.inputs.visible, axis=-1)
        return ~sees_some

    def deviation(self, answer: Answer, bound: Bound | None = None) -> Deviation | None:
        """The rows of an answer whose error exceeds the bound; None if there are none."""
        bound = bound or self.bound
        found = self.compare(answer.output, self.output, bound.output, "output")
        if found is None and answer.logsumexp is not None:
            found = self.compare(
                answer.logsumexp[..., None],
                self.logsumexp[..., None],
                bound.logsumexp[..., None],
                "logsumexp",
            )
        return found

    def agrees(self, answer: Answer, other: Interpretation, *, rows: NDArray[np.bool_] | None = None) -> bool:
        """Whether an answer is, within rounding, that of another interpretation of the call.

        Rows that see no key in the other interpretation are left out, since implementations treat them
        differently; if `rows` is given, all others are left out as well.
        """
        output, logsumexp = other.answer()
        nothing = ~other.inputs.visible.any(axis=-1) & ~self.fully_masked
        skipped = self.fully_masked | nothing
        if rows is not None:
            skipped = skipped | ~rows
        if skipped.all():
            return self.usual_scores() and bool((np.nan_to_num(answer.output[nothing]) == 0).all())
        with_logs = answer.logsumexp is not None
        if not self.differs(output, logsumexp, with_logs, skipped, self.bound):
            return False
        bound = self.bound_of_other(other)
        return (
            self.differs(output, logsumexp, with_logs, skipped, bound)
            and self.is_within(answer, output, logsumexp, bound, skipped)
            and self.is_nearer(answer.output, output, ~skipped)
        )

    def distinguishes(self, first: Interpretation, second: Interpretation) -> bool:
        """Whether two interpretations have outputs that differ by more than the bound."""
        found = self.compare(second.answer()[0], first.answer()[0], self.bound.output, "output")
        return found is not None

    def of_head(self, one: tuple[int, int]) -> "Expectation":
        """What is expected of one batch item and head."""
        chosen = tuple(slice(each, each + 1) for each in one)
        arrays = {name: getattr(self, name)[chosen] for name in ("scores", "weights", "output", "logsumexp")}
        small = replace(self, asked=replace(self.asked, inputs=self.asked.of_head(one)), **arrays)
        bound = self.bound
        small.__dict__["bound"] = Bound(bound.output[chosen], bound.logsumexp[chosen], bound.weights[chosen])
        return small

    def worst_head(self, answer: Answer, rows: NDArray[np.bool_] | None) -> tuple[int, int]:
        """The batch item and head of an answer with the largest error over its bound."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            ratio = np.abs(answer.output - self.output) / self.bound.output
        ratio = np.where(np.isfinite(ratio), ratio, 0.0).max(axis=-1)
        ratio = np.where(self.fully_masked if rows is None else self.fully_masked | ~rows, 0.0, ratio)
        batch, head = np.unravel_index(ratio.max(axis=-1).argmax(), ratio.shape[:2])
        return int(batch), int(head)

    def is_within(
        self, answer: Answer, output: Floats, logs: Floats, bound: Bound, skipped: NDArray[np.bool_]
    ) -> bool:
        """Whether an answer equals another one up to a bound."""
        if self.compare(answer.output, output, bound.output, "output", skipped) is not None:
            return False
        if answer.logsumexp is None:
            return True
        pair = answer.logsumexp[..., None], logs[..., None]
        return self.compare(*pair, bound.logsumexp[..., None], "logsumexp", skipped) is None

    def is_nearer(self, actual: Floats, other: Floats, rows: NDArray[np.bool_]) -> bool:
        """Whether the finite numbers of an answer are much nearer to another one than to the right one."""
        if self.compare(other, self.output, self.bound.output, "output", ~rows) is None:
            return True  # both outputs are right, and the logsumexp decides
        finite = np.isfinite(actual) & np.isfinite(other) & np.isfinite(self.output) & rows[..., None]
        if not finite.any():
            return True
        to_other, to_right = np.abs(actual - other)[finite], np.abs(actual - self.output)[finite]
        return bool(to_right.max() == 0 or MUCH_NEARER * to_other.max() <= to_right.max())

    def usual_scores(self) -> bool:
        """Whether no e^score underflows, and no output is tiny, which would also explain a row of zeros."""
        smallest = self.arithmetic.smallest_normal
        vanish = size_of(self.output).max(initial=0.0) < FAR_ABOVE * smallest
        return not vanish and bool(size_of(self.scores).max(initial=0.0) < -np.log(smallest))

    def differs(
        self, output: Floats, logs: Floats, with_logs: bool, skipped: NDArray[np.bool_], bound: Bound
    ) -> bool:
        """Whether another answer differs by more than a bound, so that agreement is evidence."""
        if self.compare(output, self.output, bound.output, "output", skipped) is not None:
            return True
        found = self.compare(
            logs[..., None],
            self.logsumexp[..., None],
            bound.logsumexp[..., None],
            "logsumexp",
            skipped,
        )
        return with_logs and found is not None

    @quietly
    def bound_of_other(self, other: Interpretation) -> Bound:
        """The largest error that rounding explains in another interpretation."""
        scores = masked_scores(other.inputs)
        weights, logs = softmax(scores, other.inputs.visible, other.inputs.sinks)
        output = mix(weights, other.inputs.visible, other.inputs.value)
        bound = bound_of(other.inputs, scores, (weights, output, logs), self.arithmetic)
        return replace(bound, output=bound.output + min(self.arithmetic.smallest_normal, FLUSHED))

    def compare(
        self,
        actual: Floats,
        expected: Floats,
        bound: Floats,
        what: str,
        skipped: NDArray[np.bool_] | None = None,
    ) -> Deviation | None:
        """The largest error over its bound, row by row; None if no row exceeds it."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            ratio = np.abs(actual - expected) / bound
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        ratio = np.where(same, 0.0, np.where(np.isfinite(actual) & np.isfinite(expected), ratio, np.inf))
        excess = np.where(self.fully_masked if skipped is None else skipped, 0.0, ratio.max(axis=-1))
        return Deviation(what, excess) if (excess > 1).any() else None


def explaining(
    expected: Expectation,
    answer: Answer,
    beside: KnownMistake | None = None,
    among: tuple[KnownMistake, ...] = MISTAKES,
    rows: NDArray[np.bool_] | None = None,
    *,
    only_worst: bool = False,
) -> tuple[KnownMistake, ...]:
    """The known mistakes that an answer agrees with, alone or beside another one, in all or some rows.

    `only_worst` compares the worst batch item and head only.
    """
    asked = expected.asked if beside is None else beside.wrong(expected.asked)
    if asked is None:
        return ()
    found, one = [], expected.worst_head(answer, rows)
    small, small_answer = expected.of_head(one), answer.of_head(one)
    for mistake in among:
        other = mistake.wrong(asked)
        if other is None:
            continue
        if other.local and not small.agrees(small_answer, replace(other, inputs=other.of_head(one))):
            continue
        agrees = (only_worst and other.local) or expected.agrees(answer, other, rows=rows)
        if agrees and (beside is None or expected.distinguishes(asked, other)):
            found.append(mistake)
    return tuple(found)


def explains_masked_rows(mistake: KnownMistake, expected: Expectation, answer: Answer) -> bool:
    """Whether a mistake gives what an answer has in the fully masked rows."""
    other = mistake.wrong(expected.asked)
    if other is None:
        return False
    output, logs = other.answer()
    bound = expected.bound_of_other(other)
    pairs = [(answer.output, output, bound.output)]
    if answer.logsumexp is not None:
        pairs.append((answer.logsumexp, logs, bound.logsumexp))
    return all(near(actual, right, allowed)[expected.fully_masked].all() for actual, right, allowed in pairs)


def near(actual: Floats, right: Floats, allowed: Floats) -> NDArray[np.bool_]:
    """Whether two arrays are equal, both NaN, or within a bound, entry by entry."""
    with np.errstate(invalid="ignore"):
        same: NDArray[np.bool_] = (actual == right) | (np.isnan(actual) & np.isnan(right))
        return same | (np.abs(actual - right) <= allowed)
