"""A report as JUnit's XML, which every CI shows."""

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnscope.audit.report import Report


def junit(report: "Report") -> str:
    """A test suite with a test case a check; each finding is a failure of its check.

    Source
        The format that Jenkins reads: https://github.com/testmoapp/junitxml
    """
    found = [finding.check for finding in report.findings]
    checks = list(dict.fromkeys([*report.checks, *found]))
    suite = ET.Element(
        "testsuite", name=f"attnscope audit {report.target}", tests=str(len(checks)),
        failures=str(len(set(found))), errors="0", time=f"{report.seconds:.3f}",
    )  # fmt: skip
    for check in checks:
        case = ET.SubElement(suite, "testcase", classname=report.target, name=check)
        findings = report.of(check)
        if findings:
            message = "; ".join(f"{each.severity}: {each.sentence}" for each in findings)
            failure = ET.SubElement(case, "failure", message=message, type=str(findings[0].severity))
            failure.text = "\n\n".join(map(str, findings))
    if report.not_covered:
        ET.SubElement(suite, "system-out").text = "not covered: " + "\n".join(report.not_covered)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
