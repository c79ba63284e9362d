"""An error of any kind costs one exercise of one notebook: never the notebook, never the class."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from attnscope.cli import main
from attnscope.lesson.grading import Graded, grade, grade_all
from attnscope.lesson.judge import TaskJudge
from attnscope.lesson.notebook import Limits
from attnscope.lesson.process import Host
from attnscope.lesson.verdict import LessonError, Verdict
from tests.lesson.notebooks import all_solutions, made_of, saved
from tests.lesson.solutions import checked


@pytest.fixture(autouse=True)
def _no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves half a second per notebook. test_correct.py and test_planted.py run the audit."""
    monkeypatch.setattr("attnscope.lesson.exercises.masked_attention.AUDIT_SECONDS", 1e-9)


def passed(graded: Graded) -> list[int | str]:
    return [each.number for each in graded.grades if each.passed]


def ten_but(*missing: int) -> list[int | str]:
    return [number for number in range(1, 11) if number not in missing]


WITHOUT_VALUES = (
    "def counterexample():\n    return np.ones((1, 2)), np.arange(6.0).reshape(3, 2), np.ones((3, 0))"
)


def test_values_of_no_numbers_are_a_wrong_shape(tmp_path: Path) -> None:
    path = saved(made_of(*all_solutions(), WITHOUT_VALUES), tmp_path / "mine.ipynb")
    graded = grade(path, Limits())
    assert passed(graded) == ten_but(4)
    assert "value has shape (3, 0)" in graded.grades[3].message


SHAPES = [(), (0,), (2,), (0, 0), (0, 2), (1, 0), (1, 2), (3, 0), (3, 2), (1, 3, 2)]


def test_no_shape_of_a_counterexample_raises_in_the_judge() -> None:
    for shapes in itertools.product(SHAPES, repeat=3):
        arrays = [np.arange(float(np.prod(shape))).reshape(shape) for shape in shapes]
        verdict = checked(counterexample=lambda arrays=arrays: tuple(arrays))
        assert not verdict
        assert "internal error" not in verdict.message, (shapes, verdict.message)


@pytest.mark.parametrize("number", [10**5000, -(10**5000), 1e308, float("nan")], ids=range(4))
def test_a_number_beyond_all_formats_is_a_wrong_answer(number: float) -> None:
    verdict = checked(cache_bytes=lambda config, tokens, batch: number)
    assert not verdict
    assert "internal error" not in verdict.message


def test_an_integer_of_5000_digits_in_the_metadata_costs_nothing(tmp_path: Path) -> None:
    path = saved(made_of(*all_solutions()), tmp_path / "mine.ipynb")
    text = path.read_text(encoding="utf-8")
    assert '"metadata": {}, "cells"' in text
    path.write_text(text.replace('"metadata": {}, "cells"', f'"metadata": {{"x": {"9" * 5000}}}, "cells"'))
    assert grade(path, Limits()).complete


@pytest.mark.parametrize("path", ["/dev/zero", "fifo.ipynb"])
def test_only_a_regular_file_is_a_notebook(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.ipynb")
    with pytest.raises(LessonError, match="is not a regular file"):
        grade(tmp_path / path, Limits())


INTERNAL = [RuntimeError("a bug"), MemoryError(), RecursionError("deep"), AssertionError(), OSError(5, "I/O")]


@pytest.fixture
def judge_fails_in_exercise_4(monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    right = TaskJudge.verdict

    def failing(self: TaskJudge) -> Verdict | None:
        if self.task.name == "entropy":
            raise request.param
        return right(self)

    monkeypatch.setattr(TaskJudge, "verdict", failing)


@pytest.mark.parametrize("judge_fails_in_exercise_4", INTERNAL[:1], indirect=True)
@pytest.mark.usefixtures("judge_fails_in_exercise_4")
def test_an_error_of_the_judge_costs_one_exercise_and_is_named(tmp_path: Path) -> None:
    paths = [saved(made_of(*all_solutions()), tmp_path / f"{name}.ipynb") for name in ("ada", "bob")]
    graded = list(grade_all(paths, Limits(), 2))
    assert len(graded) == 2
    for each in graded:
        assert passed(each) == ten_but(4)
        assert each.grades[3].message.startswith(
            "exercise 4 could not be judged: internal error of attnscope, RuntimeError: a bug, in failing "
        )


@pytest.mark.parametrize("judge_fails_in_exercise_4", INTERNAL, indirect=True, ids=repr)
@pytest.mark.usefixtures("judge_fails_in_exercise_4")
def test_an_error_of_the_judge_is_a_verdict_whatever_it_is(request: Any) -> None:
    verdict = checked(entropy=np.sum)
    assert not verdict
    error = type(request.node.callspec.params["judge_fails_in_exercise_4"]).__name__
    assert f"internal error of attnscope, {error}" in verdict.message


def test_a_process_that_cannot_be_started_costs_its_own_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Host.spawn

    def failing(self: Host) -> None:
        if self.path.stem == "bob":
            raise BlockingIOError(11, "Resource temporarily unavailable")
        right(self)

    monkeypatch.setattr(Host, "spawn", failing)
    paths = [saved(made_of(*all_solutions()), tmp_path / f"{name}.ipynb") for name in ("ada", "bob", "eve")]
    graded = {Path(each.file).stem: each for each in grade_all(paths, Limits(), 2)}
    assert graded["ada"].complete
    assert graded["eve"].complete
    assert passed(graded["bob"]) == []
    assert "Resource temporarily unavailable" in graded["bob"].grades[0].message


def test_an_error_outside_of_all_exercises_costs_one_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> list[str]:
        raise RuntimeError("a bug")

    path = saved(made_of(*all_solutions()), tmp_path / "mine.ipynb")
    monkeypatch.setattr("attnscope.lesson.grading.code_cells", failing)
    for graded in (grade(path, Limits()), *grade_all([path], Limits(), 1)):
        assert "internal error of attnscope, RuntimeError: a bug" in str(graded.trouble)
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 1
    assert "internal error of attnscope, RuntimeError: a bug" in " ".join(done.output.split())


SURROGATE = (
    "def entropy(weights):\n    raise ValueError('\\ud800 and \\x1b[2J')",
    "raise ValueError('\\ud800')",
)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_text_that_no_terminal_can_show_is_printed_escaped(tmp_path: Path, options: list[str]) -> None:
    path = saved(made_of(*all_solutions(), *SURROGATE), tmp_path / "mine.ipynb")
    done = CliRunner().invoke(main, ["check", str(path), *options])
    assert done.exit_code == 1, done.exception
    assert "\\ud800" in done.output
    assert "\x1b" not in done.output
    if options:
        assert json.loads(done.output)["passed"] == 9


def test_a_class_with_a_file_name_that_is_no_text_is_printed(tmp_path: Path) -> None:
    saved(made_of("x = 1"), tmp_path / "ada.ipynb")
    (tmp_path / "b\udcff.ipynb").write_text("no notebook", encoding="utf-8")
    for options in ([], ["--json"]):
        done = CliRunner().invoke(main, ["check", str(tmp_path), *options])
        assert done.exit_code == 1, done.exception
        assert "ada.ipynb" in done.output
        assert "udcff" in done.output
