"""Side effects of all calls: no answer, inputs written to, text printed. Runs last."""

import re

from attnscope.audit.case import Case, shrink_case
from attnscope.audit.contract import Contract
from attnscope.audit.data import UNUSUAL_LAYOUTS
from attnscope.audit.diagnosis import simplicity_of_case
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.suspect import Suspect, Trouble
from attnscope.probing import Finding, Severity

MOST_KINDS = 6
BROADCAST = ("of keys", "the same for batch and heads")


def run(setting: Setting) -> list[Finding]:
    return [*no_answers(setting), *mutations(setting), *printing(setting)]


def may_refuse(case: Case) -> str | None:
    """What a function may refuse with an error without breaking its contract; None for anything else."""
    if case.layout in UNUSUAL_LAYOUTS:
        return f"{case.layout} arrays"
    if case.sizes.key_dim != case.sizes.value_dim:
        return "values of another dim than the keys"
    return "a bias that is broadcast over queries or heads" if case.kind("bias") in BROADCAST else None


def no_answers(setting: Setting) -> list[Finding]:
    """One finding per kind of trouble, with its smallest call."""
    suspect = setting.suspect
    kinds: dict[tuple[str, str], list[Trouble]] = {}
    for trouble in suspect.troubles:
        may = may_refuse(trouble.case) if trouble.kind == "raised" else None
        if may is None:
            kinds.setdefault((trouble.kind, re.sub(r"[\d.\-]+", "#", trouble.sentence)[:60]), []).append(
                trouble
            )
        elif all(not each.startswith(f"{may}: ") for each in setting.not_covered):
            setting.not_covered.append(f"{may}: it {trouble.sentence}")
    groups = sorted(kinds.values(), key=lambda each: simplicity_of_case(each[0].case))
    if len(groups) > MOST_KINDS:
        setting.not_covered.append(f"{len(groups) - MOST_KINDS} more kinds of errors")
    findings: list[Finding] = []
    for group in groups[:MOST_KINDS]:
        finding = of_trouble(suspect, group, setting.contract)
        if all(finding.sentence != each.sentence for each in findings):
            findings.append(finding)
    return findings


def of_trouble(suspect: Suspect, group: list[Trouble], contract: Contract) -> Finding:
    first = min(group, key=lambda each: simplicity_of_case(each.case))
    case = first.case
    if first.kind != "hung" and not suspect.given_up:
        case = shrink_case(case, contract, lambda smaller: still(suspect, smaller, first.kind), seconds=0.5)
    sentence = sentence_of(suspect, case, first)
    call = case.build(contract)
    return Finding(
        "call",
        Severity.WRONG,
        f"it {sentence}{case.condition()}",
        counterexample(case, call, None, None, {}),
        None,
        "Declare only what the function takes, or make it take what it declares.",
        len(group),
    )


def still(suspect: Suspect, case: Case, kind: str) -> bool:
    """Whether a smaller case has the same trouble."""
    before = len(suspect.troubles)
    suspect.ask(case)
    new = suspect.troubles[before:]
    del suspect.troubles[before:]
    return bool(new) and new[0].kind == kind


def sentence_of(suspect: Suspect, case: Case, first: Trouble) -> str:
    """The sentence about the trouble of the shrunk case."""
    if case is first.case:
        return first.sentence
    before = len(suspect.troubles)
    suspect.ask(case)
    new = suspect.troubles[before:]
    del suspect.troubles[before:]
    return new[0].sentence if new else first.sentence


def mutations(setting: Setting) -> list[Finding]:
    """A finding of inputs that a call wrote to."""
    suspect = setting.suspect
    if not suspect.mutations:
        return []
    first = min(suspect.mutations, key=lambda each: simplicity_of_case(each.case))
    call = first.case.build(setting.contract)
    return [
        Finding(
            "mutation",
            Severity.WRONG,
            f"it writes to its input {first.sentence}{first.case.condition()}",
            counterexample(first.case, call, None, None, {}),
            "an operation in place",
            "Work on a copy: if one layer changes a mask, the next layer gets another mask.",
            len(suspect.mutations),
        )
    ]


def printing(setting: Setting) -> list[Finding]:
    """A finding of text on the standard streams."""
    suspect = setting.suspect
    if suspect.first_print is None:
        return []
    start = " ".join(suspect.printed.text.split())[:60]
    return [
        Finding(
            "side effects",
            Severity.UNSTABLE,
            f"it prints to the standard streams: {start!r}",
            counterexample(suspect.first_print, suspect.first_print.build(setting.contract), None, None, {}),
            None,
            "Leave printing to the caller.",
        )
    ]


SIDE_EFFECTS = Probe(
    "side effects", lambda contract: ("call", "mutation", "side effects"), lambda contract: True, run
)
