"""Rows that see no key: the output is 0, the logsumexp -inf, or the sink's logit."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from attnscope.audit.answer import Answer
from attnscope.audit.case import Call, Case
from attnscope.audit.contract import Contract
from attnscope.audit.expectation import Expectation
from attnscope.audit.judgement import Failure, counterexample
from attnscope.audit.mistakes import explains_empty_rows
from attnscope.audit.probes.hiding_cases import hides
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.shrink import shrink
from attnscope.audit.visibility import Row
from attnscope.audit.words import condition, place
from attnscope.probing import Finding, Severity

FIX = "Where a row sees no key, return 0, and -inf (with sinks: the sink) as its logsumexp."


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
    """One finding: for the output, or where that is right, for the logsumexp."""
    found: dict[str, Finding] = {}
    logs = sorted({False, setting.contract.logsumexp})
    for way, number_format, with_logs in product(emptyings(setting.contract), setting.contract.dtypes, logs):
        case = way.case(setting).but(number_format=number_format, logsumexp=with_logs)
        for what in [each for each in look(setting, case) if each not in found]:
            smallest = shrink(case, setting.contract, shows(setting, what))
            found |= {name: each for name, each in look(setting, smallest).items() if name == what}
    return [found.get("output") or next(iter(found.values()))] if found else []


def shows(setting: Setting, what: str) -> Callable[[Case], bool]:
    return lambda case: what in look(setting, case)


def look(setting: Setting, case: Case) -> dict[str, Finding]:
    """What a case's empty rows show, unless its other rows leak: then these do, too."""
    call = case.build(setting.contract)
    answer = setting.suspect.ask(case, call)
    expected = Expectation.of(call, setting.contract)
    if answer is None or not expected.empty.any():
        return {}
    if any(explains_empty_rows(mistake, expected, answer) for mistake in setting.known):
        return {}
    found = {}
    deviation = expected.deviation(answer)
    others = None if deviation is None else Failure(case, call, answer, expected, deviation)
    wrong = expected.empty & (answer.output != 0).any(axis=-1)
    if wrong.any():
        row = Row(*map(int, np.argwhere(wrong)[0]))
        finding = of_output(setting, case, call, answer, expected, row)
        if finding.severity is not Severity.LEAK or others is None or not leaks(setting, others):
            found["output"] = finding
    if answer.logsumexp is not None and others is None:
        right = expected.logsumexp
        with np.errstate(invalid="ignore"):
            near = (answer.logsumexp == right) | (
                np.abs(answer.logsumexp - right) <= expected.bound.logsumexp
            )
        wrong = expected.empty & ~near
        if wrong.any():
            found["logsumexp"] = of_logs(case, call, answer, expected, Row(*map(int, np.argwhere(wrong)[0])))
    return found


def leaks(setting: Setting, failure: Failure) -> bool:
    _, reach = failure.reach(setting.suspect)
    return reach is not None and reach.leaks


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
            near = np.abs(average - shown) <= 64 * expected.arithmetic.unit * np.abs(
                inputs.value[row.batch, row.head]
            ).sum(axis=0)
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
    """A logsumexp that is not what nothing weighs."""
    assert answer.logsumexp is not None
    actual, right = float(answer.logsumexp[row]), float(expected.logsumexp[row])
    return Finding(
        "empty rows",
        Severity.WRONG,
        f"{place(row, case)} sees no key and has logsumexp {actual:.6g}, where {right:.6g} is right"
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
