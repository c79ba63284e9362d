"""Every case of the grid against the float64 reference: the widest net."""

from time import monotonic

import numpy as np

from attnscope.audit.contract import Contract
from attnscope.audit.diagnosis import Diagnosis
from attnscope.audit.isolation import Isolation
from attnscope.audit.judgement import Failure, judge
from attnscope.audit.probes.poison import AFTER_SOFTMAX
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.probing import Finding
from attnscope.reference import biased, capped_scores

SECONDS_OF_DIAGNOSIS = 6.0
SHARE_OF_TIME = 0.6  # for the grid; the rest is for the other probes
OF_OPTIONS = {
    "window": "window", "documents": "documents", "grouped_heads": "head mapping", "softcap": "softcap",
    "bias": "bias", "sinks": "sinks", "scale": "scale",
}  # fmt: skip


def checks(contract: Contract) -> tuple[str, ...]:
    """The promises that the grid asks about."""
    of_options = [check for name, check in OF_OPTIONS.items() if getattr(contract, name)]
    hiding = ["dependence"] if contract.causal or contract.key_mask or contract.mask else []
    aligned = ["alignment"] if contract.causal or contract.window or contract.documents else []
    logs = ["logsumexp"] if contract.logsumexp else []
    return ("exactness", *hiding, *aligned, *dict.fromkeys(["scale", *of_options]), *logs,
            "magnitudes", "dtypes", "layouts", "batch invariance")  # fmt: skip


def run(setting: Setting) -> list[Finding]:
    failures: list[Failure] = []
    skipped = 0
    now = monotonic()
    until = now + SHARE_OF_TIME * (setting.suspect.deadline - now)
    cases = setting.grid.cases()
    for number, case in enumerate(cases):
        if setting.suspect.given_up or monotonic() > until:
            skipped += 1
        else:
            failure = judge(setting.suspect, case)
            failures += [failure] if failure and not drowned(setting, failure) else []
        setting.advance(number / len(cases))
    if skipped:
        why = setting.suspect.given_up or "they would have taken the time of other probes"
        setting.not_covered.append(f"{skipped} calls of the grid: {why}")
    diagnosis = Diagnosis(setting.suspect, SECONDS_OF_DIAGNOSIS)
    findings = diagnosis.of(failures)
    setting.known += diagnosis.known
    if diagnosis.left_over:
        setting.not_covered.append(f"{diagnosis.left_over} more failing calls were not looked into")
    return findings


def drowned(setting: Setting, failure: Failure) -> bool:
    """Whether hidden scores only drown the visible ones, in a function that masks after its softmax.

    A softmax over all scores, masked and normalised again, is the same until weights underflow: where the largest
    visible score lies so far below the largest hidden one that its weight loses bits. No hidden value takes part.
    """
    inputs, arithmetic = failure.expected.reading.inputs, failure.expected.arithmetic
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
