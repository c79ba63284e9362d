"""Each subject of an examination, in environments and on CPUs that are simulated."""

import sys
from typing import Any

import pytest

from attnscope import kernels
from attnscope.doctor import EXPECTED_DIGEST, examine
from attnscope.errors import AttentionError

subjects: Any = sys.modules[examine.__module__]  # the package has a function of the same name


def test_a_sound_installation_has_no_problem() -> None:
    found = examine()
    assert found.is_sound, [finding for finding in found.findings if finding.status == "problem"]
    assert found.digests == dict.fromkeys(kernels.usable_levels(), EXPECTED_DIGEST)
    names = [finding.subject for finding in found.findings]
    assert names[:4] == ["Python", "attnscope", "level", "threads"]
    assert names[-2:] == ["BLAS variables", "self-test"]


def test_other_bits_are_a_problem_that_names_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "digest", lambda level: "0123456789abcdef")
    found = examine()
    assert not found.is_sound
    assert f"{kernels.usable_levels()[0]} has 0123456789abcdef" in found.findings[-1].found


def test_the_blas_variables_that_slow_numpy_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in subjects.SLOWS_NUMPY:
        monkeypatch.delenv(name, raising=False)
    assert subjects.examine_blas().status == "ok"
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    finding = subjects.examine_blas()
    assert (finding.status, finding.found) == ("warning", "OPENBLAS_CORETYPE=Haswell")
    assert finding.advice.endswith("Run `unset OPENBLAS_CORETYPE`.")


def test_a_level_that_is_not_the_best_is_a_warning() -> None:
    levels = kernels.usable_levels()
    assert subjects.examine_level().status == "ok"
    for name in levels[1:]:
        with kernels.forced_level(name):
            assert subjects.examine_level().status == "warning"


def test_a_cpu_without_a_level_is_a_warning_that_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "why_no_level", lambda: "this CPU lacks AVX2, which level x86-64-v3 needs")
    monkeypatch.setattr(subjects, "usable_levels", tuple)
    found = examine()
    assert found.is_sound
    assert found.findings[2].found.startswith("this CPU lacks AVX2, which level x86-64-v3 needs: the NumPy")
    assert found.findings[-1].found == "no level runs here, so no bits were compared"


def test_a_cpu_of_the_lower_level_lists_what_the_higher_one_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "level", lambda: "x86-64-v3")
    monkeypatch.setattr(subjects, "usable_levels", lambda: ("x86-64-v3",))
    monkeypatch.setattr(subjects, "lacking_features", lambda level: ["AVX512F", "AVX512VL"])
    found = "x86-64-v3, the best of x86-64-v3; x86-64-v4 needs AVX512F, AVX512VL"
    assert subjects.examine_level().found == found


@pytest.mark.parametrize(("subject", "function"), [("level", "level"), ("threads", "default_threads")])
def test_a_wrong_environment_variable_is_a_problem_with_the_way_out(
    subject: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AttentionError("wrong")

    monkeypatch.setattr(subjects, function, refuse)
    finding = next(each for each in examine().findings if each.subject == subject)
    assert (finding.status, finding.found) == ("problem", "wrong")
    assert finding.advice.startswith(f"Unset ATTNSCOPE_{subject.upper()}.")
