"""The report on a function or a model, as text, JSON, JUnit XML and SARIF.

JUnit's few elements are written with the standard library: a package would be a dependency of the core for
20 lines.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attnscope.arguments import printable
from attnscope.probing import Finding, Severity

Progress = Callable[[float, str], None]  # takes the completed share and the name of the next step
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVELS = {
    Severity.LEAK: "error",
    Severity.WRONG: "error",
    Severity.UNSTABLE: "warning",
    Severity.INEXACT: "warning",
}


@dataclass(frozen=True, eq=False)
class Report:
    """Collect what an audit found.

    Parameters
    ----------
    target : str
        Name of the function or model.
    claims : str
        The contract, in words.
    findings : tuple of Finding
        The worst first; each cause once.
    checks : mapping of str to int
        The number of calls of every check that ran.
    not_covered : tuple of str
        What the audit did not, or cannot, check.
    calls : int
        The number of calls of the target.
    seconds : float
        Duration of the audit, in seconds.
    seed : int
        The seed, which repeats the audit.

    Examples
    --------
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
        findings = sorted(map(printable_finding, self.findings), key=lambda each: each.severity.rank)
        object.__setattr__(self, "findings", tuple(findings))
        for name in ("target", "claims"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        object.__setattr__(self, "not_covered", tuple(map(printable, self.not_covered)))

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def exit_status(self) -> int:
        """The exit status of a command: 0, or 1 if something was found."""
        return 0 if self.ok else 1

    @property
    def verdict(self) -> str:
        """The number of findings per severity, or "ok"."""
        counted = [(sum(each.severity is kind for each in self.findings), kind) for kind in Severity]
        return ", ".join(f"{count} {kind}" for count, kind in counted if count) or "ok"

    def of(self, check: str) -> tuple[Finding, ...]:
        """Select the findings of one check.

        Parameters
        ----------
        check : str
            Such as "window".

        Returns
        -------
        tuple of Finding
            The worst first.
        """
        return tuple(each for each in self.findings if each.check == check)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each counterexample as ``<number>-<check>.npz``.

        Parameters
        ----------
        folder : str or Path
            Made if it does not exist.

        Returns
        -------
        list of Path
            The files that were written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            finding.counterexample.save(folder / f"{number}-{finding.check.replace(' ', '-')}.npz")
            for number, finding in enumerate(self.findings, start=1)
            if finding.counterexample is not None
        ]

    def facts(self) -> dict[str, Any]:
        """Collect everything but the arrays as plain lists, dictionaries, texts and numbers.

        Returns
        -------
        dict
            The fields by name, and "ok".
        """
        return {
            "target": self.target,
            "claims": self.claims,
            "ok": self.ok,
            "findings": [facts_of(each) for each in self.findings],
            "checks": dict(self.checks),
            "not_covered": list(self.not_covered),
            "calls": self.calls,
            "seconds": self.seconds,
            "seed": self.seed,
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the facts as JSON.

        Parameters
        ----------
        indent : int, optional
            Spaces per level. None writes one line.

        Returns
        -------
        str
            A JSON object.
        """
        return json.dumps(self.facts(), indent=indent, ensure_ascii=False)

    def to_junit(self) -> str:
        """Write the checks as JUnit XML, which CI systems show.

        Returns
        -------
        str
            A test suite with one test case per check; each finding is a failure of its check.

        References
        ----------
        The format that Jenkins reads: https://github.com/testmoapp/junitxml
        """
        found = {finding.check for finding in self.findings}
        checks = list(dict.fromkeys([*self.checks, *(finding.check for finding in self.findings)]))
        suites = ET.Element("testsuites")
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=f"attnscope audit {self.target}",
            tests=str(len(checks)),
            failures=str(len(found)),
            errors="0",
            time=f"{self.seconds:.3f}",
        )
        for check in checks:
            case = ET.SubElement(suite, "testcase", classname=self.target, name=check)
            findings = self.of(check)
            if findings:
                message = "; ".join(f"{each.severity}: {each.sentence}" for each in findings)
                failure = ET.SubElement(case, "failure", message=message, type=str(findings[0].severity))
                failure.text = "\n\n".join(map(str, findings))
        if self.not_covered:
            ET.SubElement(suite, "system-out").text = "not covered: " + "\n".join(self.not_covered)
        ET.indent(suites)
        return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"

    def to_sarif(self) -> str:
        """Write the findings as SARIF 2.1.0, which code hosts show beside the code.

        Returns
        -------
        str
            A JSON object: one rule per check, one result per finding. The location is the function, not a
            line of a file.

        References
        ----------
        OASIS, SARIF 2.1.0, sections 3.13 (the log), 3.14 (a run), 3.27 (a result).
        """
        checks = list(dict.fromkeys([*self.checks, *(finding.check for finding in self.findings)]))
        rules = [{"id": check, "shortDescription": {"text": f"attention's {check}"}} for check in checks]
        place = {"fullyQualifiedName": self.target, "kind": "function"}
        results = [
            {
                "ruleId": finding.check,
                "ruleIndex": checks.index(finding.check),
                "level": SARIF_LEVELS[finding.severity],
                "message": {"text": str(finding)},
                "locations": [{"logicalLocations": [place]}],
                "properties": {"severity": str(finding.severity)},
            }
            for finding in self.findings
        ]
        run = {"tool": {"driver": {"name": "attnscope audit", "rules": rules}}, "results": results}
        log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
        return json.dumps(log, indent=2, ensure_ascii=False)

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


def printable_finding(finding: Finding) -> Finding:
    """The finding without control characters, which errors and names of foreign code may contain."""
    shown = finding.counterexample
    return replace(
        finding,
        sentence=printable(finding.sentence),
        counterexample=shown and replace(shown, call=printable(shown.call)),
        cause=finding.cause and printable(finding.cause),
        fix=finding.fix and printable(finding.fix),
    )


def facts_of(finding: Finding) -> dict[str, Any]:
    """A finding as plain dictionaries, texts and numbers."""
    found = {name: getattr(finding, name) for name in ("check", "sentence", "cause", "fix", "cases")}
    found["severity"] = str(finding.severity)
    shown = finding.counterexample
    if shown is None:
        return {**found, "counterexample": None}
    example: dict[str, Any] = {"description": shown.call, "seed": shown.seed, "indices": dict(shown.indices)}
    example["shapes"] = {name: list(array.shape) for name, array in shown.arrays.items()}
    return {**found, "counterexample": example}
