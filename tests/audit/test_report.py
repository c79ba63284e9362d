"""A report in its forms: text, JSON, JUnit, SARIF, files."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from attnscope.audit import Counterexample, Finding, Report, Severity
from tests.audit.planted import PLANTED
from tests.audit.unhurried import attention

LEAK = Finding(
    "dependence",
    Severity.LEAK,
    "query 0 reads key 1 & <more>",
    Counterexample(
        "batch=1",
        {"query": np.ones((1, 2)), "half": np.ones(2, ml_dtypes.bfloat16)},
        indices={"query": 0, "key": 1},
        seed=7,
    ),
    "agrees with: causal ignored",
    "Apply it.",
    9,
)
ROUGH = Finding("exactness", Severity.INEXACT, "rough")
REPORT = Report(
    "m:f",
    "Contract(causal=True)",
    (ROUGH, LEAK),
    {"exactness": 5, "dependence": 5, "poison": 3},
    ("speed",),
    8,
    1.5,
    4,
)


def test_the_worst_comes_first() -> None:
    assert [finding.severity for finding in REPORT.findings] == [Severity.LEAK, Severity.INEXACT]


def test_the_text() -> None:
    assert str(REPORT).splitlines() == [
        "m:f: 1 leak, 1 inexact",
        "  Contract(causal=True)",
        "",
        "1. LEAK  dependence: query 0 reads key 1 & <more>",
        "     likely cause  agrees with: causal ignored",
        "     fix           Apply it.",
        "     smallest      batch=1",
        "     seen in       9 of the calls",
        "",
        "2. INEXACT  exactness: rough",
        "",
        "passed       poison",
        "not covered  speed",
        "             8 calls in 1.5 s, seed 4",
    ]


def test_nothing_found_ends_with_0() -> None:
    clean = Report("m:f", "", ())
    assert (clean.ok, clean.exit_status, clean.verdict) == (True, 0, "ok")
    assert (REPORT.ok, REPORT.exit_status) == (False, 1)


def test_json_holds_everything_but_the_arrays() -> None:
    facts = json.loads(REPORT.to_json())
    assert facts["ok"] is False
    assert facts["findings"][0]["counterexample"] == {
        "description": "batch=1",
        "seed": 7,
        "indices": {"query": 0, "key": 1},
        "shapes": {"query": [1, 2], "half": [2]},
    }
    assert facts["findings"][1]["counterexample"] is None
    assert facts["not_covered"] == ["speed"]


def test_junit_has_one_case_per_check_and_one_failure_per_finding() -> None:
    [suite] = ET.fromstring(REPORT.to_junit())
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "3", "2")
    assert {case.get("name"): len(case.findall("failure")) for case in suite.findall("testcase")} == {
        "exactness": 1,
        "dependence": 1,
        "poison": 0,
    }
    failure = suite.find("testcase[@name='dependence']/failure")
    assert failure is not None
    assert failure.get("message") == "leak: query 0 reads key 1 & <more>"


def test_sarif_has_what_the_standard_requires() -> None:
    log = json.loads(REPORT.to_sarif())
    assert (log["version"], log["$schema"]) == ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json")
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "attnscope audit"
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "m:f"
    assert [result["level"] for result in run["results"]] == ["error", "warning"]


def test_counterexamples_are_saved(tmp_path: Path) -> None:
    [path] = REPORT.save(tmp_path / "found")
    assert path.name == "1-dependence.npz"
    kept = np.load(path)
    assert kept["half"].dtype == np.float32
    assert int(kept["index_of_key"]) == 1


def test_a_counterexample_repeats_the_finding(tmp_path: Path) -> None:
    """The saved arrays suffice: the output differs from the right one in the row of the indices."""
    planted = PLANTED["WindowOneTooWide"]
    report = attention(planted.make(), planted.contract)
    [path] = report.save(tmp_path)
    kept = np.load(path)
    window = tuple(int(side) for side in kept["window"])
    output = planted.make()(
        kept["query"], kept["key"], kept["value"], causal=bool(kept["causal"]), window=window
    )
    row = tuple(int(kept[f"index_of_{name}"]) for name in ("batch", "head", "query"))
    assert np.array_equal(output, kept["output"])
    assert np.abs(output[row] - kept["expected_output"][row]).max() > 1e-3


def test_no_output_contains_control_characters() -> None:
    """Escape sequences, direction marks and lone surrogates from foreign errors and names."""
    foreign = "\x1b[31mred\x1b[0m \x9b2J \x00 \u202eback \ud800"
    shown = Counterexample(foreign, {}, indices={"query": 0})
    finding = Finding("call", Severity.WRONG, f"it raises ValueError: {foreign}", shown, foreign, foreign)
    report = Report(foreign, foreign, (finding,), {"call": 1}, (foreign,))
    ET.fromstring(report.to_junit())
    for text in (str(report), report.to_json(), report.to_junit(), report.to_sarif()):
        text.encode("utf-8")
        assert all(each.isprintable() or each == "\n" for each in text)
    assert "\\x1b[31mred" in str(report)


@pytest.mark.parametrize("name", ["CausalIgnored", "SumStuckInFloat16", "DropoutIsOn"])
def test_real_reports_can_be_written_in_all_forms(name: str) -> None:
    planted = PLANTED[name]
    report = attention(planted.make(), planted.contract)
    checks = {each.check for each in report.findings}
    sentences = [each.sentence for each in report.findings]
    assert sentences
    assert [each["sentence"] for each in json.loads(report.to_json())["findings"]] == sentences
    [run] = json.loads(report.to_sarif())["runs"]
    assert [result["ruleId"] for result in run["results"]] == [each.check for each in report.findings]
    assert all(text in each["message"]["text"] for text, each in zip(sentences, run["results"], strict=True))
    [suite] = ET.fromstring(report.to_junit())
    failed = {case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None}
    assert failed == checks
    assert suite.get("failures") == str(len(checks))
