"""One call's verdict: is the answer right, and if not, is it a leak, a mistake, or only rounding?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attnscope.audit.answer import Answer
from attnscope.audit.bound import Arithmetic
from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Deviation, Expectation
from attnscope.audit.finding import Counterexample, Severity
from attnscope.audit.honest import honest, root_mean_square
from attnscope.audit.isolation import Isolation, Reach
from attnscope.audit.suspect import Suspect
from attnscope.audit.visibility import Row

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

    def only_rounding(self) -> bool:
        """Whether honest arithmetic in a shorter format would be as far off: at most twice the error, and no leap."""
        shorter = SHORTER.get(self.case.number_format)
        if shorter is None or self.case.layout != "contiguous":
            return False
        if self.expected.deviation(self.answer, self.expected.bound_in(Arithmetic(shorter))) is not None:
            return False
        seen = ~self.expected.empty
        output, logs = honest(self.expected.reading, shorter)
        pairs = [(self.answer.output, self.expected.output, output)]
        if self.answer.log_normalizer is not None:
            pairs.append((self.answer.log_normalizer, self.expected.log_normalizer, logs))
        return all(
            root_mean_square((actual - exact)[seen]) <= 2 * root_mean_square((peer - exact)[seen])
            for actual, exact, peer in pairs
        )

    def worst_entry(self, row: Row) -> tuple[float, float]:
        """(actual, expected) where the row is furthest off."""
        if self.deviation.what == "log_normalizer":
            assert self.answer.log_normalizer is not None
            return float(self.answer.log_normalizer[row]), float(self.expected.log_normalizer[row])
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
    arrays = dict(call.named_arrays)
    for name in ("window", "scale", "softcap", "causal"):
        if name in call.options:
            arrays[name] = np.asarray(call.options[name])
    if answer is not None:
        arrays["output"] = answer.output
        if answer.log_normalizer is not None:
            arrays["log_normalizer"] = answer.log_normalizer
    if expected is not None:
        arrays["expected_output"] = expected.output
        arrays["expected_log_normalizer"] = expected.log_normalizer
    return Counterexample(str(case), case.seed, indices, arrays)


def judge(suspect: Suspect, case: Case, *, noted: bool = True) -> Failure | None:
    """Ask one call; None where the answer is right, or where there is none."""
    call = case.build(suspect.contract)
    answer = suspect.ask(case, call, noted=noted)
    if answer is None:
        return None
    expected = Expectation.of(call, suspect.contract)
    deviation = expected.deviation(answer)
    return None if deviation is None else Failure(case, call, answer, expected, deviation)


def severity_of(failure: Failure, reach: Reach | None, *, known: bool) -> Severity:
    """How bad it is."""
    if reach is not None and reach.leaks:
        return Severity.LEAK
    if reach is None and not known and failure.only_rounding():
        return Severity.INEXACT
    return Severity.WRONG
