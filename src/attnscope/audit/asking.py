"""All probes of one audit, one after the other, and the report of what they found."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from attnscope.audit.contract import Contract
from attnscope.audit.grid import Grid
from attnscope.audit.probes import Setting, probes_for
from attnscope.audit.report import Report
from attnscope.audit.suspect import Suspect
from attnscope.probing import Finding, Severity

Progress = Callable[[float, str], None]
UNSEEN = (
    "sequences longer than 65,701 keys, and calls without a key or without a query",
    "speed, memory, and calls from several threads at once",
)


def report_on(suspect: Suspect, *, seed: int, progress: Progress | None, name: str | None) -> Report:
    """Ask everything, and say what was found."""
    start = monotonic()
    setting = Setting(suspect, Grid(suspect.contract, seed))
    findings, checks = ask_all(setting, progress or (lambda share, step: None))
    if suspect.passed_over:
        setting.not_covered.append(f"{suspect.passed_over} calls, as smaller ones gave no answer in time")
    if suspect.given_up:
        setting.not_covered.append(suspect.given_up)
    return Report(
        target=name or name_of(suspect.function),
        claims=str(suspect.contract),
        findings=tuple(findings),
        checks=checks,
        not_covered=tuple(dict.fromkeys([*setting.not_covered, *unseen(suspect.contract)])),
        calls=suspect.calls,
        seconds=monotonic() - start,
        seed=seed,
    )


def ask_all(setting: Setting, progress: Progress) -> tuple[list[Finding], dict[str, int]]:
    """Run every probe: what was found, and how many calls each check made."""
    findings: list[Finding] = []
    checks: dict[str, int] = {}
    probes = probes_for(setting.contract)
    for number, probe in enumerate(probes):
        progress(number / len(probes), probe.name)
        setting.advance = lambda share, number=number, probe=probe: progress(  # type: ignore[misc]
            (number + share) / len(probes), probe.name
        )
        before = setting.suspect.calls
        if unreliable(findings) and probe is not probes[-1]:
            setting.not_covered.append(f"{probe.name}: the answers depend on chance, or on earlier calls")
            continue
        findings += new_ones(findings, probe.run(setting))
        for check in probe.checks(setting.contract):
            checks[check] = checks.get(check, 0) + setting.suspect.calls - before
    progress(1.0, "done")
    return findings, checks


def checks_of(contract: Contract) -> list[str]:
    """The names of all checks that a contract calls for."""
    return list(dict.fromkeys(check for probe in probes_for(contract) for check in probe.checks(contract)))


def unreliable(findings: list[Finding]) -> bool:
    """Whether one call's answer says nothing about the next one's."""
    return any(each.check == "determinism" and each.severity is Severity.WRONG for each in findings)


def new_ones(known: list[Finding], found: list[Finding]) -> list[Finding]:
    """What no finding says yet: a finite fill is one mistake, whichever probe meets it."""
    said = {(each.check, each.cause) for each in known if each.cause}
    return [each for each in found if not each.cause or (each.check, each.cause) not in said]


def unseen(contract: Contract) -> list[str]:
    """What no probe of a function could see here."""
    said = list(UNSEEN)
    if contract.gradients is None:
        said.append("gradients, as none are declared")
    if contract.cache is None:
        said.append("a cache, as none is declared")
    if contract.causal == "always":
        said.append("whether it can do without causal")
    if not contract.hidden_nan:
        said.append("NaN in hidden slots, as nothing is promised of them")
    if contract.empty_rows == "unspecified":
        said.append("rows that see no key, as nothing is promised of them")
    if not contract.same_bits:
        said.append("last bits that depend on the batch, as nothing is promised of them")
    if not contract.unequal_lengths:
        said.append("query_len unlike key_len, as it is not promised")
    return said


def name_of(fn: Callable[..., Any]) -> str:
    """What a function is called."""
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None)
    return f"{module}:{name}" if module and "<" not in name else name
