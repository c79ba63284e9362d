"""Correct answers of every style pass, the instructor's own too."""

from collections import Counter

import pytest

import attnscope as at
from attnscope.lesson.check import PROJECTS
from tests.lesson.correct import entropy_to_flash, softmax_to_heads  # noqa: F401  # they fill the registry
from tests.lesson.correct.registry import CORRECT, Correct
from tests.lesson.solutions import PROJECT_SOLUTIONS, SOLUTIONS, STRETCH


@pytest.mark.parametrize("answers", CORRECT, ids=lambda answers: answers.id)
def test_a_correct_answer_passes_whatever_its_style(answers: Correct) -> None:
    verdict = at.lesson.check(answers.exercise, *answers.answers)
    assert verdict.passed, verdict
    assert verdict.counterexample is None


def test_each_exercise_has_at_least_four_styles() -> None:
    counts = Counter(answers.exercise for answers in CORRECT)
    assert set(counts) == set(SOLUTIONS)
    assert min(counts.values()) >= 4


@pytest.mark.parametrize("number", SOLUTIONS)
def test_an_instructor_s_solution_passes(number: int) -> None:
    assert at.lesson.check(number, *SOLUTIONS[number])


@pytest.mark.parametrize("number", STRETCH)
def test_an_instructor_s_solution_of_the_stretch_part_passes(number: int) -> None:
    assert at.lesson.check(number, *STRETCH[number], stretch=True)


@pytest.mark.parametrize("letter", PROJECTS)
def test_an_instructor_s_solution_of_a_project_passes(letter: str) -> None:
    assert at.lesson.check(letter, *PROJECT_SOLUTIONS[letter])
