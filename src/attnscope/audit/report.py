"""The verdict on a function or a model: what was found, what was checked, and what nobody could see."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attnscope.probing import Finding, Severity


@dataclass(frozen=True, eq=False)
class Report:
    """What an audit found.

    target         what was audited
    claims         the contract, in words
    findings       the worst first; each cause once
    checks         every check that ran, and how many calls it made
    not_covered    what the probes did not, or cannot, see
    calls          of the target, in all
    seconds        that the audit took
    seed           that repeats it

    >>> report = Report("f", "Contract()", findings=(), checks={"exactness": 9})
    >>> report.ok, report.exit_status
    (True, 0)
    """

    target: str
    claims: str
    findings: tuple[Finding, ...]
    checks: Mapping[str, int] = field(default_factory=dict)
    not_covered: tuple[str, ...] = ()
    calls: int = 0
    seconds: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "findings", tuple(sorted(self.findings, key=lambda each: each.severity.rank))
        )

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def exit_status(self) -> int:
        """What a command ends with: 0, or 1 where something was found."""
        return 0 if self.ok else 1

    def of(self, check: str) -> tuple[Finding, ...]:
        """The findings of one check."""
        return tuple(each for each in self.findings if each.check == check)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each finding's counterexample as `<number>-<check>.npz` into a folder, and say where."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            finding.counterexample.save(folder / f"{number}-{finding.check.replace(' ', '-')}.npz")
            for number, finding in enumerate(self.findings, start=1)
            if finding.counterexample is not None
        ]

    def __str__(self) -> str:
        lines = [f"{self.target}: {self.verdict}", f"  {self.claims}"]
        for number, finding in enumerate(self.findings, start=1):
            first, *rest = str(finding).splitlines()
            lines += ["", f"{number}. {first}", *(f"   {line}" for line in rest)]
        passed = [check for check in self.checks if not self.of(check)]
        lines += ["", f"passed       {', '.join(passed) or 'nothing'}"]
        lines += [f"not covered  {each}" for each in self.not_covered]
        lines += [f"             {self.calls} calls in {self.seconds:.1f} s, seed {self.seed}"]
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        """In a word or two: "ok", or how many findings of which severity."""
        counted = [(sum(each.severity is kind for each in self.findings), kind) for kind in Severity]
        return ", ".join(f"{count} {kind}" for count, kind in counted if count) or "ok"

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays, as plain lists, dictionaries, texts and numbers."""
        return {
            "target": self.target,
            "claims": self.claims,
            "ok": self.ok,
            "findings": [_facts(each) for each in self.findings],
            "checks": dict(self.checks),
            "not_covered": list(self.not_covered),
            "calls": self.calls,
            "seconds": self.seconds,
            "seed": self.seed,
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """The facts as JSON."""
        return json.dumps(self.facts(), indent=indent, ensure_ascii=False)

    def to_junit(self) -> str:
        """The checks as JUnit's XML: a test case a check, a failure a finding."""
        from attnscope.audit.junit import junit

        return junit(self)

    def to_sarif(self) -> str:
        """The findings as SARIF 2.1.0: a rule a check, a result a finding."""
        from attnscope.audit.sarif import sarif

        return sarif(self)


def _facts(finding: Finding) -> dict[str, Any]:
    shown = finding.counterexample
    return {
        "check": finding.check,
        "severity": str(finding.severity),
        "sentence": finding.sentence,
        "cause": finding.cause,
        "fix": finding.fix,
        "cases": finding.cases,
        "counterexample": None
        if shown is None
        else {
            "description": shown.call,
            "seed": shown.seed,
            "indices": dict(shown.indices),
            "shapes": {name: list(array.shape) for name, array in shown.arrays.items()},
        },
    }
