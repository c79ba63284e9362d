"""One call's verdict: right, or a leak, or a mistake, or only rounding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.audit.answer import Answer
from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Deviation, Expectation
from attnscope.audit.isolation import Isolation, Reach
from attnscope.audit.suspect import Suspect
from attnscope.audit.visibility import Row
from attnscope.probing import Arithmetic, Counterexample, same_precision_baseline

ROWS_ISOLATED = 4
SHORTER = {"float64": "float32", "float32": "bfloat16"}


@dataclass(frozen=True, eq=False)
class Failure:
    """A call whose answer is further from the right one than rounding explains."""

    case: Case
    call: Call
    answer: Answer
    expected: Expectation
    deviation: Deviation

    def rows(self) -> Iterator[Row]:
        """The rows to look at closely: the worst ones, and the worst that hide something."""
        rows = self.deviation.rows
        visible = self.expected.reading.inputs.visible
        hiding = [row for row in rows if not visible[row].all()]
        yield from list(dict.fromkeys([*hiding[:ROWS_ISOLATED], *rows[:2]]))

    def reach(self, suspect: Suspect) -> tuple[Row, Reach | None]:
        """The first of these rows that depends on what it must not; else the worst one."""
        mixed_up: tuple[Row, Reach | None] = (self.deviation.rows[0], None)
        for row in self.rows():
            found = Isolation(suspect, self.case, self.call, self.answer, self.expected, row).reach()
            if found is not None and found.leaks:
                return row, found
            if found is not None and mixed_up[1] is None:
                mixed_up = (row, found)
        return mixed_up

    def worst_entry(self, row: Row) -> tuple[float, float]:
        """(actual, expected) where the row is furthest off."""
        if self.deviation.what == "logsumexp":
            assert self.answer.logsumexp is not None
            return float(self.answer.logsumexp[row]), float(self.expected.logsumexp[row])
        actual, expected = self.answer.output[row], self.expected.output[row]
        distance = np.where(np.isfinite(actual), np.abs(np.nan_to_num(actual) - expected), np.inf)
        worst = int(distance.argmax())
        return float(actual[worst]), float(expected[worst])

    def counterexample(self, row: Row, reach: Reach | None) -> Counterexample:
        """All that is needed to repeat it."""
        indices = {"batch": row.batch, "head": row.head, "query": row.query}
        if reach is not None and reach.key is not None:
            indices["key"] = reach.key
        return counterexample(self.case, self.call, self.answer, self.expected, indices)


def counterexample(
    case: Case, call: Call, answer: Answer | None, expected: Expectation | None, indices: dict[str, int]
) -> Counterexample:
    """A case with its arrays: what went in, what came out, what is right."""
    arguments: dict[str, Any] = dict(call.named_arrays)
    for name in ("window", "scale", "softcap", "causal"):
        if name in call.options:
            arguments[name] = np.asarray(call.options[name])
    came, right = {}, {}
    if answer is not None:
        came["output"] = answer.output
        if answer.logsumexp is not None:
            came["logsumexp"] = answer.logsumexp
    if expected is not None:
        right = {"output": expected.output, "logsumexp": expected.logsumexp}
    return Counterexample(str(case), arguments, came, right, indices, case.seed)


def judge(suspect: Suspect, case: Case, *, noted: bool = True) -> Failure | None:
    """Ask one call; None where the answer is right, or where there is none."""
    call = case.build(suspect.contract)
    answer = suspect.ask(case, call, noted=noted)
    if answer is None:
        return None
    expected = Expectation.of(call, suspect.contract)
    deviation = expected.deviation(answer)
    return None if deviation is None else Failure(case, call, answer, expected, deviation)


def only_rounding(failures: list[Failure]) -> bool:
    """Whether honest arithmetic in a shorter format would be as far off: within its bound, and at most twice its error.

    Errors are compared by their root mean square over all these failures: one alone may be an accident.
    """
    errors, peers = 0.0, 0.0
    for failure in failures:
        case, answer, expected = failure.case, failure.answer, failure.expected
        shorter = SHORTER.get(case.number_format)
        if shorter is None or case.layout != "contiguous":
            return False
        if expected.deviation(answer, expected.bound_in(Arithmetic(shorter))) is not None:
            return False
        seen = ~expected.empty
        output, logs = same_precision_baseline(expected.reading.inputs, shorter)
        pairs = [(answer.output, expected.output, output)]
        if answer.logsumexp is not None:
            pairs.append((answer.logsumexp, expected.logsumexp, logs))
        errors += sum(float(((actual - exact)[seen] ** 2).sum()) for actual, exact, _ in pairs)
        peers += sum(float(((peer - exact)[seen] ** 2).sum()) for _, exact, peer in pairs)
    return bool(errors <= 4 * peers)  # of squares
