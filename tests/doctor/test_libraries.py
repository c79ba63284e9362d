"""Versions beside the ranges that attnscope's metadata names, and installations of attnscope itself."""

from importlib import metadata
from pathlib import Path

import pytest

from attnscope.doctor import libraries


@pytest.mark.parametrize(
    ("version", "allowed", "status"),
    [
        ("1.26.4", ">=2.0", "warning"),
        ("2.10", ">=2.9", "ok"),
        ("2.13.0+cpu", "==2.13.0", "ok"),  # torch's own builds have a local part
        ("2.14.0.dev20261101", ">=2.13", "ok"),
        ("5.25.0", ">=5.20,<5.25", "warning"),
        ("7.0", "", "ok"),
    ],
)
def test_a_version_is_compared_with_the_range_as_pip_does(
    version: str, allowed: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    monkeypatch.setattr(metadata, "requires", lambda name: [f"abacus{allowed}"])
    assert libraries.examine_library("abacus", needed=False).status == status


def test_the_ranges_are_those_of_the_package_itself() -> None:
    assert libraries.allowed_range("numpy") == ">=2.0"
    assert libraries.allowed_range("ml-dtypes") == libraries.allowed_range("ml_dtypes") == ">=0.5"
    assert len(libraries.allowed_range("torch")) == 1
    assert len(libraries.allowed_range("abacus")) == 0


@pytest.mark.parametrize(("needed", "status"), [(True, "problem"), (False, "warning")])
def test_a_version_out_of_range_is_reported_with_the_range(
    needed: bool, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.26.4")
    finding = libraries.examine_library("numpy", needed=needed)
    assert (finding.status, finding.found) == (status, "1.26.4, tested with >=2.0")
    assert finding.advice == "Run `pip install 'numpy>=2.0'`."


def test_a_missing_library_is_a_problem_only_if_it_is_needed() -> None:
    assert libraries.examine_library("abacus", needed=True).status == "problem"
    assert libraries.examine_library("abacus", needed=False).status == "ok"


def test_a_second_installation_is_a_problem_that_lists_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert libraries.examine_copies().status == "ok"
    (tmp_path / "attnscope-0.0.9.dist-info").mkdir()
    (tmp_path / "attnscope-0.0.9.dist-info/METADATA").write_text("Name: attnscope\nVersion: 0.0.9\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    finding = libraries.examine_copies()
    assert finding.status == "problem"
    assert finding.found.startswith("2 installations: ")
    assert f"0.0.9 in {tmp_path}" in finding.found


def test_attnscope_in_a_folder_that_is_not_installed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distributions", lambda name: [])
    assert libraries.examine_copies().status == "warning"
