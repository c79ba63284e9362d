"""What all probes share: the setting of an audit, and the cases with hidden keys."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import numpy as np

from attnscope.audit.case import Case
from attnscope.audit.contract import Contract
from attnscope.audit.grid import Grid
from attnscope.audit.interpretation import Bools
from attnscope.audit.options import HIDING
from attnscope.audit.report import Progress
from attnscope.audit.suspect import Suspect
from attnscope.probing import Finding, KnownMistake, Severity

LENGTHS = ((5, 9), (8, 8), (1, 16), (1, 67), (4, 128))


@dataclass(eq=False)
class Setting:
    """The state of one audit.

    Parameters
    ----------
    suspect : Suspect
        The function under audit.
    grid : Grid
        Draws cases.
    not_covered : list of str
        Sentences for the report.
    known : list of KnownMistake
        The mistakes that were found so far.
    advance : callable
        Called with the completed share of a probe.
    """

    suspect: Suspect
    grid: Grid
    not_covered: list[str] = field(default_factory=list)
    known: list[KnownMistake] = field(default_factory=list)
    advance: Callable[[float], None] = lambda share: None

    @property
    def contract(self) -> Contract:
        """What the function claims."""
        return self.suspect.contract


@dataclass(frozen=True)
class Probe:
    """One kind of question.

    Parameters
    ----------
    name : str
        The name that progress reports.
    checks : callable
        contract -> the promises that it checks.
    applies : callable
        contract -> whether the contract makes any of these promises.
    run : callable
        setting -> findings.
    """

    name: str
    checks: Callable[[Contract], tuple[str, ...]]
    applies: Callable[[Contract], bool]
    run: Callable[[Setting], list[Finding]]


def run_all(
    probes: tuple[Probe, ...], setting: Setting, progress: Progress
) -> tuple[list[Finding], dict[str, int]]:
    """Run the probes that apply; return the findings, and the number of calls of each check."""
    findings: list[Finding] = []
    checks: dict[str, int] = {}
    applicable = [probe for probe in probes if probe.applies(setting.contract)]
    for number, probe in enumerate(applicable):
        progress(number / len(applicable), probe.name)
        setting.advance = partial(advance, progress, number, len(applicable), probe.name)
        before = setting.suspect.calls
        if unreliable(findings) and probe is not applicable[-1]:
            setting.not_covered.append(f"{probe.name}: answers depend on random numbers or on earlier calls")
            continue
        findings += new_ones(findings, probe.run(setting))
        for check in probe.checks(setting.contract):
            checks[check] = checks.get(check, 0) + setting.suspect.calls - before
    progress(1.0, "done")
    return findings, checks


def advance(progress: Progress, number: int, count: int, name: str, share: float) -> None:
    """Report that a share of probe `number` of `count` is done."""
    progress((number + share) / count, name)


def unreliable(findings: list[Finding]) -> bool:
    """Whether the answer of one call does not predict that of the next one."""
    return any(each.check == "determinism" and each.severity is Severity.WRONG for each in findings)


def new_ones(known: list[Finding], found: list[Finding]) -> list[Finding]:
    """Findings whose check and cause are not known yet: several probes can find one mistake."""
    causes = {(each.check, each.cause) for each in known if each.cause}
    return [each for each in found if not each.cause or (each.check, each.cause) not in causes]


def hides(contract: Contract) -> bool:
    """Whether a contract has an option that hides keys."""
    return any(getattr(contract, name) for name in HIDING)


def hiding_cases(setting: Setting) -> list[Case]:
    """Every option that hides, alone and beside causal, at short lengths and past a block's edge."""
    hiding = [name for name in HIDING if getattr(setting.contract, name)]
    chosen: list[tuple[str, ...]] = [(name,) for name in hiding]
    if "causal" in hiding:
        chosen += [("causal", name) for name in hiding if name != "causal"]
    return [setting.grid.case(options, lengths, batch=2) for options in chosen for lengths in LENGTHS]


def in_every_format(setting: Setting, cases: list[Case]) -> Iterator[Case]:
    """The cases, whose formats take turns."""
    formats = cycle(setting.contract.dtypes)
    return (case.but(number_format=next(formats)) for case in cases)


def hidden_keys(visible: Bools) -> list[int]:
    """Up to four keys that are hidden from some row: the last, the first, and two between."""
    some = np.flatnonzero((~visible).any(axis=(0, 1, 2)))
    last = len(some) - 1
    return (
        [int(some[index]) for index in sorted({0, last // 3, 2 * last // 3, last}, reverse=True)]
        if len(some)
        else []
    )
