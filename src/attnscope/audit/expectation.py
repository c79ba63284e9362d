"""What a call should give, and how far from it rounding alone may lead."""

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
    """Where an answer is further from the expected one than rounding explains.

    what      "output" or "logsumexp"
    excess    error over bound, (batch, query_heads, query_len); infinite where finite numbers meet others
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
    """The exact answer of a call, in float64, and the bound on an honest one.

    Rows that see no key are left out of every comparison but that of the probe for them.
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
        """Read a call as its contract says, and answer it by the reference."""
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
        """How far rounding may lead."""
        return self.bound_in(self.arithmetic)

    def bound_in(self, arithmetic: Arithmetic) -> Bound:
        """The same for arithmetic in another format."""
        exact = (self.weights, self.output, self.logsumexp)
        return bound_of(self.inputs, self.scores, exact, arithmetic)

    @cached_property
    def empty(self) -> NDArray[np.bool_]:
        """The rows that see no key, (batch, query_heads, query_len)."""
        sees_some: NDArray[np.bool_] = np.any(self.inputs.visible, axis=-1)
        return ~sees_some

    def deviation(self, answer: Answer, bound: Bound | None = None) -> Deviation | None:
        """Where an answer is too far from the expected one; None where it is near enough everywhere."""
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

    def agrees(
        self, answer: Answer, other: Interpretation, *, where: NDArray[np.bool_] | None = None
    ) -> bool:
        """Whether an answer is, within rounding, the one that another reading of the call gives.

        Rows that see nothing in the other reading are left out: what a mistake makes of them is a second question.
        `where` leaves out more.
        """
        output, logsumexp = other.answer()
        nothing = ~other.inputs.visible.any(axis=-1) & ~self.empty
        skipped = self.empty | nothing
        if where is not None:
            skipped = skipped | ~where
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
        """Whether no e^score is 0 or endless: else that, too, explains a row of zeros."""
        return bool(size_of(self.scores).max(initial=0.0) < -np.log(self.arithmetic.smallest_normal))

    def differs(self, output: Floats, logs: Floats, with_logs: bool, skipped: NDArray[np.bool_]) -> bool:
        """Whether another reading's answer is another one at all."""
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
        """How far rounding may lead in another reading: its scores may be larger."""
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
        """Row by row: the largest error over its bound."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            ratio = np.abs(actual - expected) / bound
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        ratio = np.where(same, 0.0, np.where(np.isfinite(actual) & np.isfinite(expected), ratio, np.inf))
        excess = np.where(self.empty if skipped is None else skipped, 0.0, ratio.max(axis=-1))
        return Deviation(what, excess) if (excess > 1).any() else None
