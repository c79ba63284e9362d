"""A report as SARIF, which code hosts show beside the code."""

import json
from typing import TYPE_CHECKING, Any

from attnscope.probing import Finding, Severity

if TYPE_CHECKING:
    from attnscope.audit.report import Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {
    Severity.LEAK: "error",
    Severity.WRONG: "error",
    Severity.UNSTABLE: "warning",
    Severity.INEXACT: "warning",
}


def sarif(report: "Report") -> str:
    """A run with a rule a check and a result a finding; the place is the function, for there is no line of a file.

    Source
        OASIS, SARIF 2.1.0, sections 3.13 (the log), 3.14 (a run), 3.27 (a result).
    """
    checks = list(dict.fromkeys([*report.checks, *(finding.check for finding in report.findings)]))
    driver = {
        "name": "attnscope audit",
        "rules": [{"id": check, "shortDescription": {"text": f"attention's {check}"}} for check in checks],
    }
    run = {
        "tool": {"driver": driver},
        "results": [_result(finding, report.target, checks) for finding in report.findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _result(finding: Finding, target: str, checks: list[str]) -> dict[str, Any]:
    place = {"fullyQualifiedName": target, "kind": "function"}
    return {
        "ruleId": finding.check,
        "ruleIndex": checks.index(finding.check),
        "level": LEVELS[finding.severity],
        "message": {"text": str(finding)},
        "locations": [{"logicalLocations": [place]}],
        "properties": {"severity": str(finding.severity)},
    }
