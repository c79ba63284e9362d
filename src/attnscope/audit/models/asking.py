"""All probes of one audit of a model, one after the other, and the report of what they found."""

from time import monotonic

from attnscope.audit.models.layers import with_first_layer
from attnscope.audit.models.probes import repetition, troubles
from attnscope.audit.models.probes.table import PROBES, skipped
from attnscope.audit.models.probes.window import UNKNOWN_DEPTH
from attnscope.audit.models.question import build
from attnscope.audit.models.rounding import Rounding, unit_of
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.setting import Setting
from attnscope.audit.models.subject import Subject
from attnscope.audit.report import Report
from attnscope.audit.run import Progress
from attnscope.probing import Finding, Severity

LENGTHS = (8, 21, 37, 70, 140, 270)
ALWAYS_ASKED = 21  # tokens of a row, however slow the model is
# Of the audit's time, a call of the longest rows may take so much: some 300 of them are made
SHARE_OF_ONE_LENGTH = 0.0015
ROWS = 3


def audited(
    subject: Subject, seed: int, seconds: float, progress: Progress | None, name: str, not_covered: tuple[str, ...] = ()
) -> Report:  # fmt: skip
    """Run the probes that the claims call for."""
    start = monotonic()
    setting = prepared(subject, seed, seconds)
    claims = subject.claims
    findings: list[Finding] = []
    checks: dict[str, int] = {}
    probes = [probe for probe in PROBES if probe.wanted(claims)] if setting.lengths != (0,) else []
    for number, probe in enumerate(probes):
        if progress is not None:
            progress(number / len(probes), probe.name)
        reason = skipped(probe, setting.broken)
        if reason is not None:
            setting.not_covered.append(f"{probe.name}: {reason}")
            continue
        before = subject.calls
        found = probe.run(setting)
        if found is None and subject.calls == before:
            continue
        checks[probe.check] = checks.get(probe.check, 0) + subject.calls - before
        if found is not None:
            findings.append(with_first_layer(setting, found))
            if probe.spoils and found.severity is not Severity.UNSTABLE:
                setting.broken.add(probe.spoils)
    findings += troubles.told(setting)
    checks |= {check: checks.get(check, 0) for check in ("call", "not a number", "mutation", "side effects")}
    if progress is not None:
        progress(1.0, "done")
    return Report(
        target=name,
        claims=str(claims),
        findings=tuple(findings),
        checks=checks,
        not_covered=tuple(dict.fromkeys([*setting.not_covered, *not_covered, *unseen(setting)])),
        calls=subject.calls,
        seconds=monotonic() - start,
        seed=seed,
    )


def prepared(subject: Subject, seed: int, seconds: float) -> Setting:
    """What rows the model takes, and how its rounding looks; lengths are (0,) where it answers nothing at all."""
    setting = Setting(subject, seed, Rounding(2.0**-24))
    first = [setting.ask(setting.build(Scenario((5,), mask=mask))) for mask in ("none", "int")]
    answer = next((each for each in first if each is not None), None)
    if answer is None or subject.written_as is None:
        setting.lengths = (0,)
        setting.not_covered.append("everything, as the model answers no call")
        return setting
    unit = unit_of(answer, subject.written_as)
    setting.rounding = Rounding(unit)
    setting.lengths = tuple(lengths_taken(setting, seconds))
    setting.rounding = Rounding(unit, repetition.noise_of(setting))
    return setting


def lengths_taken(setting: Setting, seconds: float) -> list[int]:
    """The row lengths that the model answers, quickly enough."""
    subject, taken = setting.subject, [5]
    most = subject.claims.most_tokens or LENGTHS[-1]
    for length in [*(each for each in LENGTHS if each < most), min(most, LENGTHS[-1])]:
        known = len(subject.troubles)
        question = build(Scenario((length,) * ROWS), subject.claims)
        start = monotonic()
        answer = subject.ask(question)
        took = monotonic() - start
        if answer is None:
            refusal = subject.troubles[-1] if len(subject.troubles) > known else None
            if refusal is not None and refusal.kind == "raised" and length > LENGTHS[0]:
                del subject.troubles[known:]
                setting.not_covered.append(f"rows of {length} tokens or more: it {refusal.sentence}")
            break
        taken.append(length)
        if length < ALWAYS_ASKED:
            continue
        if took * 2 > seconds * SHARE_OF_ONE_LENGTH:  # a first call may be slow for reasons of its own
            start = monotonic()
            subject.ask(question)
            took = min(took, monotonic() - start)
        if took * 2 > seconds * SHARE_OF_ONE_LENGTH:
            setting.not_covered.append(f"rows of more than {length} tokens, as there is no time for them")
            break
    return taken


def unseen(setting: Setting) -> list[str]:
    """What no probe of a model could see here."""
    claims, said = setting.claims, []
    if setting.subject.given_up:
        said.append(setting.subject.given_up)
    if claims.window is not None and claims.layers is None:
        said.append(UNKNOWN_DEPTH)
    if claims.padding is None:
        said.append("padding, as none is declared")
    elif claims.pad_id is None:
        said.append("padding by a token of its own: slots were filled with token 0")
    if claims.prefix is not None and claims.padding == "left":
        said.append("where a prefix begins in a row that is padded on the left")
    if not claims.documents:
        said.append("packed documents, as none are declared")
    if claims.causal and claims.decode is None:
        said.append("cached generation, as no decode is given")
    rounding = setting.rounding
    smallest = rounding.relative(8, same_shape=True)
    said.append(f"what moves logits by less than {smallest:.1g} of the largest, which cannot be told from rounding"
                + (f"; other batch sizes change them by {rounding.noise:.1g}" if rounding.noise else ""))  # fmt: skip
    said.append(
        "a wrong scale, soft-cap, head mapping or norm that leaves what is seen as it is: compare with a reference"
    )
    said.append(f"rows of more than {setting.longest} tokens, gradients and training, speed and memory")
    return said
