"""Side effects of all calls: no answer, NaN, inputs written to, text printed. Reported last."""

import re

from attnscope.audit.models.setting import Setting
from attnscope.audit.models.subject import Trouble
from attnscope.probing import Counterexample, Finding, Severity

MOST_KINDS = 4


def found_beside(setting: Setting) -> list[Finding]:
    """One finding per kind of trouble."""
    return [*no_answers(setting), *not_numbers(setting), *mutations(setting), *printing(setting)]


def shown(setting: Setting, trouble: Trouble) -> Counterexample:
    question = trouble.question
    batch, tokens = question.token_ids.shape
    call = f"{batch} row{'s' if batch > 1 else ''} of {tokens} slots{trouble.when}"
    return Counterexample(call, question.named_arrays(), seed=setting.seed)


def size_of(trouble: Trouble) -> int:
    return int(trouble.question.token_ids.size)


def condition(trouble: Trouble) -> str:
    batch, tokens = trouble.question.token_ids.shape
    padded = ", with padding" if not trouble.question.real.all() else ""
    mask = "" if trouble.question.attention_mask is not None else ", without a mask"
    when = trouble.when if trouble.when.startswith(",") else ""
    return f", with token_ids of shape [{batch}, {tokens}]{padded}{mask}{when}"


def no_answers(setting: Setting) -> list[Finding]:
    """Calls without an answer; an error for an unusual question is reported as not covered."""
    kinds: dict[tuple[str, str], list[Trouble]] = {}
    refused: dict[str, str] = {}
    for trouble in setting.subject.troubles:
        unusual = trouble.when and not trouble.when.startswith(",")
        if unusual and trouble.kind == "raised":
            if trouble.when != "a trial":
                refused.setdefault(trouble.sentence, f"{trouble.when}: it {trouble.sentence}")
            continue
        kinds.setdefault((trouble.kind, re.sub(r"[\d.\-]+", "#", trouble.sentence)[:60]), []).append(trouble)
    setting.not_covered += refused.values()
    found = []
    for group in list(kinds.values())[:MOST_KINDS]:
        first = min(group, key=size_of)
        found.append(
            Finding(
                "call",
                Severity.WRONG,
                f"it {first.sentence}{condition(first)}",
                shown(setting, first),
                None,
                "Declare only what the model takes, or make it take what it declares.",
                len(group),
            )
        )
    return found


def not_numbers(setting: Setting) -> list[Finding]:
    if not setting.not_numbers:
        return []
    first = min(setting.not_numbers, key=size_of)
    padded = not first.question.real.all()
    cause = (
        "agrees with: a fully masked row becomes NaN, and NaN times 0 is NaN in the next layer"
        if padded
        else None
    )
    fix = "Return 0 if a query sees no key, or let padded queries see themselves." if padded else None
    return [
        Finding(
            "not a number",
            Severity.WRONG,
            f"{first.sentence}{condition(first)}",
            shown(setting, first),
            cause,
            fix,
            len(setting.not_numbers),
        )
    ]


def mutations(setting: Setting) -> list[Finding]:
    found = setting.subject.mutations
    if not found:
        return []
    first = min(found, key=size_of)
    return [
        Finding(
            "mutation",
            Severity.WRONG,
            f"it writes to its input {first.sentence}{condition(first)}",
            shown(setting, first),
            "agrees with: an operation in place",
            "Work on a copy: if one layer changes a mask, the next layer gets another mask.",
            len(found),
        )
    ]


def printing(setting: Setting) -> list[Finding]:
    question, text = setting.subject.first_print, setting.subject.printed.text
    if question is None or not text.strip():
        return []
    trouble = Trouble(question, "printed", "")
    start = " ".join(text.split())[:60]
    return [
        Finding(
            "side effects",
            Severity.UNSTABLE,
            f"it prints to the standard streams: {start!r}",
            shown(setting, trouble),
            None,
            "Leave printing to the caller.",
        )
    ]
