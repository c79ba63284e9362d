"""The right answer of a call, and the largest error that rounding explains."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import FORMAT_NAMES, Call
from attnscope.audit.contract import Contract
from attnscope.audit.interpretation import Floats, Interpretation, Row
from attnscope.audit.suspect import Answer
from attnscope.probing import Arithmetic, Bound, bound_of, size_of
from attnscope.reference import Inputs, masked_scores, mix, quietly, softmax

WORTH_A_CLOSER_LOOK = 1e6  # times the bound; beyond, no other bound would help


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
        return bound_of(self.inputs, self.scores, exact, arithmetic)

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
        if not self.differs(output, logsumexp, answer.logsumexp is not None, skipped):
            return False
        for bound in (self.bound, None):
            bound = bound or self.bound_of_other(other)
            found = self.compare(answer.output, output, bound.output, "output", skipped)
            logs = answer.logsumexp
            if found is None and logs is not None:
                found = self.compare(
                    logs[..., None],
                    logsumexp[..., None],
                    bound.logsumexp[..., None],
                    "logsumexp",
                    skipped,
                )
            if found is None:
                return True
            if found.largest > WORTH_A_CLOSER_LOOK:
                return False
        return False

    def usual_scores(self) -> bool:
        """Whether no e^score underflows or overflows, which would also explain a row of zeros."""
        return bool(size_of(self.scores).max(initial=0.0) < -np.log(self.arithmetic.smallest_normal))

    def differs(self, output: Floats, logs: Floats, with_logs: bool, skipped: NDArray[np.bool_]) -> bool:
        """Whether the answer of another interpretation differs by more than rounding."""
        bound = self.bound
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
        """The largest error that rounding explains in both interpretations together."""
        scores = masked_scores(other.inputs)
        weights, logs = softmax(scores, other.inputs.visible, other.inputs.sinks)
        output = mix(weights, other.inputs.visible, other.inputs.value)
        wider = bound_of(other.inputs, scores, (weights, output, logs), self.arithmetic)
        mine = self.bound
        return Bound(mine.output + wider.output, mine.logsumexp + wider.logsumexp, mine.weights)

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
