"""Rows that see no key: the output is 0, the log normalizer -inf, or the sink's logit."""

from dataclasses import dataclass

import numpy as np

from attnscope.audit.answer import Answer
from attnscope.audit.case import Call, Case
from attnscope.audit.contract import Contract
from attnscope.audit.expectation import Expectation
from attnscope.audit.finding import Finding, Severity
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.hiding_cases import hides
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.visibility import Row
from attnscope.audit.words import condition, place

FIX = "Where a row sees no key, return 0, and -inf (with sinks: the sink) as its log normalizer."


@dataclass(frozen=True)
class Emptying:
    """A way in which rows come to see nothing."""

    options: tuple[str, ...]
    lengths: tuple[int, int]
    changes: tuple[tuple[str, object], ...] = ()

    def case(self, setting: Setting) -> Case:
        return setting.grid.case(self.options, self.lengths, batch=2).but(**dict(self.changes))


def emptyings(contract: Contract) -> list[Emptying]:
    """All ways that the contract's options allow."""
    ways = [
        Emptying(("key_mask",), (5, 9), (("key_mask", "no key in the last item"),)),
        Emptying(("mask",), (5, 9), (("mask", "last query sees nothing"),)),
        Emptying(("causal", "key_mask"), (7, 7), (("key_mask", "left padding"),)),
        Emptying(("causal", "mask"), (7, 7), (("mask", "last query sees nothing"),)),
        Emptying(("window", "key_mask"), (9, 9), (("window", (1, 0)), ("key_mask", "left padding"))),
        Emptying(("key_mask",), (1, 1), (("key_mask", "no key in the last item"),)),
    ]  # fmt: skip
    if contract.alignment == "end" and contract.unequal_lengths:
        ways += [Emptying(("causal",), (9, 5)), Emptying(("window",), (9, 5), (("window", (1, 1)),))]
    if contract.sinks:
        ways += [Emptying((*way.options, "sinks"), way.lengths, way.changes) for way in ways]
    causal = contract.causal == "always"
    given = {name for name in ("causal", "key_mask", "mask", "window", "sinks") if getattr(contract, name)}
    return [way for way in ways if set(way.options) <= given and not (causal and way.options == ())]


def run(setting: Setting) -> list[Finding]:
    """One finding for the output, one for the log normalizer."""
    found: dict[str, Finding] = {}
    formats = setting.contract.dtypes
    for way in emptyings(setting.contract):
        for number_format in formats:
            for logs in {False, setting.contract.log_normalizer}:
                case = way.case(setting).but(number_format=number_format, log_normalizer=logs)
                for what, finding in look(setting, case):
                    found.setdefault(what, finding)
    return list(found.values())


def look(setting: Setting, case: Case) -> list[tuple[str, Finding]]:
    """What a case's empty rows show."""
    call = case.build(setting.contract)
    answer = setting.suspect.ask(case, call)
    expected = Expectation.of(call, setting.contract)
    if answer is None or not expected.empty.any():
        return []
    found = []
    wrong = expected.empty & (answer.output != 0).any(axis=-1)
    if wrong.any():
        row = Row(*map(int, np.argwhere(wrong)[0]))
        found.append(("output", of_output(setting, case, call, answer, expected, row)))
    if answer.log_normalizer is not None:
        right = expected.log_normalizer
        with np.errstate(invalid="ignore"):
            near = (answer.log_normalizer == right) | (
                np.abs(answer.log_normalizer - right) <= expected.bound.log_normalizer
            )
        wrong = expected.empty & ~near
        if wrong.any():
            row = Row(*map(int, np.argwhere(wrong)[0]))
            found.append(("log normalizer", of_logs(case, call, answer, expected, row)))
    return found


def of_output(
    setting: Setting, case: Case, call: Call, answer: Answer, expected: Expectation, row: Row
) -> Finding:
    """NaN, the average of what is hidden, or something else."""
    shown = answer.output[row]
    severity, cause = Severity.WRONG, None
    inputs = expected.reading.inputs
    if np.isnan(shown).any():
        cause = "agrees with: 0 / 0, the softmax of a row whose scores are all -inf"
    else:
        other = call.copy()
        other.value[:] = 5 - 2 * other.value
        after = setting.suspect.ask(case, other, noted=False)
        if after is not None and not np.array_equal(after.output[row], shown):
            severity = Severity.LEAK
            average = inputs.value[row.batch, row.head].mean(axis=0)
            near = np.abs(average - shown) <= 64 * expected.arithmetic.unit * np.abs(inputs.value[row.batch, row.head]).sum(axis=0)
            cause = "agrees with: the average of all hidden values" if near.all() else (
                "hidden values are mixed: a finite number stands for minus infinity")  # fmt: skip
    verb = "mixes hidden values" if severity is Severity.LEAK else f"has output {shown[0]:.6g}"
    return Finding(
        "empty rows",
        severity,
        f"{place(row, case)} sees no key and {verb}, where 0 is right{condition(case)}",
        counterexample(case, call, answer, expected, row._asdict()),
        cause,
        FIX,
    )


def of_logs(case: Case, call: Call, answer: Answer, expected: Expectation, row: Row) -> Finding:
    """A log normalizer that is not what nothing weighs."""
    assert answer.log_normalizer is not None
    actual, right = float(answer.log_normalizer[row]), float(expected.log_normalizer[row])
    return Finding(
        "empty rows",
        Severity.WRONG,
        f"{place(row, case)} sees no key and has log normalizer {actual:.6g}, where {right:.6g} is right"
        + condition(case),
        counterexample(case, call, answer, expected, row._asdict()),
        None,
        FIX,
    )


EMPTY_ROWS = Probe(
    "empty rows",
    lambda contract: ("empty rows",),
    lambda contract: contract.empty_rows == "zero" and hides(contract),
    run,
)
