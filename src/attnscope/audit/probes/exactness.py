"""Answers compared with the float64 reference: every case of the grid, and fully masked rows.

A fully masked row has output 0; its logsumexp is -inf, or the sink's logit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from time import monotonic

import numpy as np

from attnscope.audit.case import Call, Case, shrink_case
from attnscope.audit.contract import Contract
from attnscope.audit.diagnosis import Diagnosis
from attnscope.audit.expectation import Expectation, explains_masked_rows
from attnscope.audit.interpretation import Row
from attnscope.audit.judgement import Failure, Isolation, counterexample, judge, moved_beyond_rounding
from attnscope.audit.options import BY_NAME
from attnscope.audit.probes.hidden_slots import AFTER_SOFTMAX
from attnscope.audit.probes.probe import Probe, Setting, hides
from attnscope.audit.probes.repetition import AGAIN, FIX_OF_RANDOM, RANDOM, differing
from attnscope.audit.suspect import Answer
from attnscope.probing import Finding, Severity
from attnscope.reference import biased, capped_scores

SECONDS_OF_DIAGNOSIS = 6.0
REPEATS = 3  # of a failing call
MOST_REPEATED = 60  # failing calls
SHARE_OF_TIME = 0.6  # for the grid; the rest is for the other probes


def checks(contract: Contract) -> tuple[str, ...]:
    """The promises that the grid checks."""
    rows = [BY_NAME[name] for name in contract.options]
    hiding = ["dependence"] if any(row.check == "dependence" for row in rows) else []
    aligned = ["alignment"] if any(row.by_position for row in rows) else []
    of_options = [row.check for row in rows if row.check != "dependence"]
    logs = ["logsumexp"] if contract.logsumexp else []
    return (
        "exactness",
        *hiding,
        *aligned,
        *dict.fromkeys(["scale", *of_options]),
        *logs,
        "magnitudes",
        "dtypes",
        "layouts",
        "batch invariance",
    )


def run(setting: Setting) -> list[Finding]:
    failures: list[Failure] = []
    for failure in failing(setting):
        unstable = repeated(setting, failure) if len(failures) < MOST_REPEATED else None
        if unstable is not None:
            return [unstable]
        if not underflows(setting, failure):
            failures.append(failure)
    diagnosis = Diagnosis(setting.suspect, SECONDS_OF_DIAGNOSIS)
    findings = diagnosis.of(failures)
    setting.known += diagnosis.known
    if diagnosis.left_over:
        setting.not_covered.append(f"{diagnosis.left_over} more failing calls were not diagnosed")
    return findings


def failing(setting: Setting) -> Iterator[Failure]:
    """The failing cases of the grid, as far as there is time."""
    skipped, now = 0, monotonic()
    until = now + SHARE_OF_TIME * (setting.suspect.deadline - now)
    cases = setting.grid.cases()
    for number, case in enumerate(cases):
        if setting.suspect.given_up or monotonic() > until:
            skipped += 1
            continue
        failure = judge(setting.suspect, case)
        if failure is not None:
            yield failure
        setting.advance(number / len(cases))
    if skipped:
        why = setting.suspect.given_up or "they would have taken the time of other probes"
        setting.not_covered.append(f"{skipped} calls of the grid: {why}")


def repeated(setting: Setting, failure: Failure) -> Finding | None:
    """A finding if the failing call gives another answer when it is repeated: then its numbers have no cause.

    Code that ignores strides may read memory that was never written, but then the layout is the cause.
    """
    plain = failure.case.but(layout="contiguous")
    if plain != failure.case and judge(setting.suspect, plain, noted=False) is None:
        return None
    for _ in range(REPEATS):
        again = setting.suspect.ask(failure.case, failure.call, noted=False)
        if again is None or again.bits == failure.answer.bits:
            continue
        if any(
            moved_beyond_rounding(failure.answer, again, failure.expected, row)
            for row in failure.deviation.rows
        ):
            answers = (failure.answer, again)
            return differing(setting, failure.case, failure.call, answers, AGAIN, RANDOM, FIX_OF_RANDOM)
    return None


def underflows(setting: Setting, failure: Failure) -> bool:
    """Whether large hidden scores only make the visible weights underflow, as if masked after the softmax.

    A softmax over all scores, masked and normalised again, is right until weights underflow, when the
    largest visible score is far below the largest hidden one. Hidden values have no effect.
    """
    inputs, arithmetic = failure.expected.inputs, failure.expected.arithmetic
    scores = biased(capped_scores(inputs), inputs)
    gap = scores.max(axis=-1) - np.where(inputs.visible, scores, -np.inf).max(axis=-1)
    loses_bits = gap > np.log(arithmetic.unit) - np.log(arithmetic.smallest_normal)
    if not all(loses_bits[row] for row in failure.deviation.rows):
        return False
    for row in failure.deviation.rows[:2]:
        isolation = Isolation(
            setting.suspect, failure.case, failure.call, failure.answer, failure.expected, row
        )
        if isolation.follows_hidden_values():
            return False
    if AFTER_SOFTMAX not in setting.not_covered:
        setting.not_covered.append(AFTER_SOFTMAX)
    return True


EXACTNESS = Probe("exactness", checks, lambda contract: True, run)


FIX = "If a row sees no key, return 0, and -inf (with sinks: the sink) as its logsumexp."


@dataclass(frozen=True)
class Masking:
    """A combination of options that hides all keys of some rows."""

    options: tuple[str, ...]
    lengths: tuple[int, int]
    changes: tuple[tuple[str, object], ...] = ()

    def case(self, setting: Setting) -> Case:
        return setting.grid.case(self.options, self.lengths, batch=2).but(**dict(self.changes))


def maskings(contract: Contract) -> list[Masking]:
    """All combinations that the contract's options allow."""
    ways = [
        Masking(("key_mask",), (5, 9), (("key_mask", "no key in the last item"),)),
        Masking(("mask",), (5, 9), (("mask", "last query sees no key"),)),
        Masking(("causal", "key_mask"), (7, 7), (("key_mask", "left padding"),)),
        Masking(("causal", "mask"), (7, 7), (("mask", "last query sees no key"),)),
        Masking(("window", "key_mask"), (9, 9), (("window", (1, 0)), ("key_mask", "left padding"))),
        Masking(("key_mask",), (1, 1), (("key_mask", "no key in the last item"),)),
    ]
    if contract.alignment == "end" and contract.unequal_lengths:
        ways += [Masking(("causal",), (9, 5)), Masking(("window",), (9, 5), (("window", (1, 1)),))]
    if contract.sinks:
        ways += [Masking((*way.options, "sinks"), way.lengths, way.changes) for way in ways]
    causal = contract.causal == "always"
    given = {name for name in ("causal", "key_mask", "mask", "window", "sinks") if getattr(contract, name)}
    return [way for way in ways if set(way.options) <= given and not (causal and way.options == ())]


def run_masked_rows(setting: Setting) -> list[Finding]:
    """One finding: of the output, or of the logsumexp if all outputs are right."""
    found: dict[str, Finding] = {}
    logs = sorted({False, setting.contract.logsumexp})
    for way, number_format, with_logs in product(maskings(setting.contract), setting.contract.dtypes, logs):
        case = way.case(setting).but(number_format=number_format, logsumexp=with_logs)
        for what in [each for each in look_at_masked_rows(setting, case) if each not in found]:
            smallest = shrink_case(case, setting.contract, shows(setting, what))
            found |= {
                name: each for name, each in look_at_masked_rows(setting, smallest).items() if name == what
            }
    return [found.get("output") or next(iter(found.values()))] if found else []


def shows(setting: Setting, what: str) -> Callable[[Case], bool]:
    return lambda case: what in look_at_masked_rows(setting, case)


def look_at_masked_rows(setting: Setting, case: Case) -> dict[str, Finding]:
    """The findings of a case's fully masked rows, unless its other rows leak: then these leak, too."""
    call = case.build(setting.contract)
    answer = setting.suspect.ask(case, call)
    expected = Expectation.of(call, setting.contract)
    if answer is None or not expected.fully_masked.any():
        return {}
    if any(explains_masked_rows(mistake, expected, answer) for mistake in setting.known):
        return {}
    found = {}
    deviation = expected.deviation(answer)
    others = None if deviation is None else Failure(case, call, answer, expected, deviation)
    wrong = expected.fully_masked & (answer.output != 0).any(axis=-1)
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
        wrong = expected.fully_masked & ~near
        if wrong.any():
            found["logsumexp"] = of_logs(case, call, answer, expected, Row(*map(int, np.argwhere(wrong)[0])))
    return found


def leaks(setting: Setting, failure: Failure) -> bool:
    _, reach = failure.reach(setting.suspect)
    return reach is not None and reach.leaks


def of_output(
    setting: Setting, case: Case, call: Call, answer: Answer, expected: Expectation, row: Row
) -> Finding:
    """A finding of a wrong output: NaN, the average of hidden values, or another number."""
    shown = answer.output[row]
    severity, cause = Severity.WRONG, None
    inputs = expected.inputs
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
            cause = (
                "agrees with: the average of all hidden values"
                if near.all()
                else ("hidden values take part: a finite number is used for minus infinity")
            )
    verb = "averages hidden values" if severity is Severity.LEAK else f"has output {shown[0]:.6g}"
    return Finding(
        "fully masked rows",
        severity,
        f"{row.words(case)} sees no key and {verb}, expected 0{case.condition()}",
        counterexample(case, call, answer, expected, row._asdict()),
        cause,
        FIX,
    )


def of_logs(case: Case, call: Call, answer: Answer, expected: Expectation, row: Row) -> Finding:
    """A finding of a wrong logsumexp."""
    assert answer.logsumexp is not None
    actual, right = float(answer.logsumexp[row]), float(expected.logsumexp[row])
    return Finding(
        "fully masked rows",
        Severity.WRONG,
        f"{row.words(case)} sees no key and has logsumexp {actual:.6g}, expected {right:.6g}"
        + case.condition(),
        counterexample(case, call, answer, expected, row._asdict()),
        None,
        FIX,
    )


MASKED_ROWS = Probe(
    "fully masked rows",
    lambda contract: ("fully masked rows",),
    lambda contract: contract.masked_rows == "zero" and hides(contract),
    run_masked_rows,
)
