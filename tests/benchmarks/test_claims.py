"""Benchmarks: claims are checked against their tables; a missed floor fails after the table was printed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import generation, interop, report
from benchmarks.__main__ import CLAIMS
from benchmarks.claim import Claim, Floor, at_least, at_most, duration
from benchmarks.readme_tables import STORED
from benchmarks.report import floor_row, run, shortened

ALL = (*CLAIMS, interop.CLAIM, generation.CLAIM)
FILES = {claim.name: Path(claim.measure.__code__.co_filename) for claim in CLAIMS} | {
    "interop": Path(interop.__file__),
    "generation": Path(generation.__file__),
}


def stored(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))
    return read


def claimed(name: str) -> set[float]:
    """The numbers of a claim's docstring that name a bound: "1.5 x", "0.85", "3 MB"."""
    text = FILES[name].read_text(encoding="utf-8").split('"""')[1]
    bounds = re.findall(r"(\d+(?:\.\d+)?) (?:x(?! \d)|MB|MiB|GiB beyond)|\b(0\.\d+)\b", text)
    return {float(first or second) for first, second in bounds}


@pytest.mark.parametrize(
    "claim", [each for each in ALL if each.name != "limits"], ids=lambda claim: claim.name
)
def test_every_number_that_a_docstring_claims_is_a_floor(claim: Claim) -> None:
    bounds = {floor.bound for floor in claim.floors(stored(claim.name)["results"])}
    assert bounds == claimed(claim.name)


@pytest.mark.parametrize(
    "claim", [each for each in ALL if each.name != "limits"], ids=lambda claim: claim.name
)
def test_stored_floors_follow_from_the_stored_results(claim: Claim) -> None:
    read = stored(claim.name)
    floors = [shortened(vars(floor) | {"holds": floor.holds}) for floor in claim.floors(read["results"])]
    assert read["floors"] == floors
    assert read["claim"] == claim.name
    assert read["machine"]["cpu"]


def test_a_floor_that_was_not_measured_is_missed() -> None:
    assert not at_least("share", None, 0.5).holds
    assert not at_most("time", None, 0.5).holds
    assert floor_row(at_least("share", None, 0.5)) == ("share", "not measured", "at least 0.5", "MISSED")


@pytest.mark.parametrize(
    ("floor", "holds"),
    [
        (at_least("a", 2.0, 2.0), True),
        (at_least("a", 1.99, 2.0), False),
        (at_most("a", 2.0, 2.0), True),
        (at_most("a", 2.01, 2.0), False),
    ],
)
def test_a_floor_is_met_at_its_bound(floor: Floor, holds: bool) -> None:
    assert floor.holds == holds
    assert (floor_row(floor)[3] == "MISSED") != holds


@pytest.mark.parametrize("measured", [0.9, 0.7])
def test_a_missed_floor_fails_after_the_table_and_the_json(
    measured: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path / "bench")
    claim = Claim(
        "speed",
        lambda: [{"share": measured}],
        lambda results: [("a work", "attnscope", "", "", "", f"{results[0]['share']:.0%}", "")],
        lambda results: [at_least("a work: share", results[0]["share"], 0.8)],
    )
    assert run([claim]) == (measured < 0.8)
    printed = capsys.readouterr().out
    assert "a work" in printed
    assert ("MISSED" in printed) == ("1 of 1 floors missed." in printed) == (measured < 0.8)
    written = json.loads((tmp_path / "bench" / "speed.json").read_text(encoding="utf-8"))
    assert written["results"] == [{"share": measured}]
    (floor,) = written["floors"]
    assert floor == {
        "name": "a work: share",
        "measured": measured,
        "kind": "at least",
        "bound": 0.8,
        "holds": measured >= 0.8,
    }


def test_durations_have_three_digits() -> None:
    assert [duration(each) for each in (2.5, 0.018, 5.23e-4, 1.17e-5, 4e-8, 113.2)] == [
        "2.50 s",
        "18.0 ms",
        "523 us",
        "11.7 us",
        "40.0 ns",
        "113 s",
    ]
