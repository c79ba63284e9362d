"""Plausible wrong answers: each is refused, with the diagnosis that fits it."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import attnscope as at
from attnscope.lesson.check import EXERCISES, PROJECTS, exercise_of
from tests.lesson.planted.registry import PLANTED, Planted
from tests.lesson.solutions import PROJECT_SOLUTIONS, SOLUTIONS, STRETCH

for path in sorted((Path(__file__).parent / "planted").glob("[a-z]*.py")):
    import_module(f"tests.lesson.planted.{path.stem}")


def verdict_on(planted: Planted) -> at.lesson.Verdict:
    """The planted function among an instructor's."""
    if isinstance(planted.exercise, str):
        right = PROJECT_SOLUTIONS[planted.exercise]
    else:
        right = (STRETCH if planted.stretch else SOLUTIONS)[planted.exercise]
    functions = {each.__name__: each for each in right}
    assert planted.function in functions
    functions[planted.function] = planted.answer
    return at.lesson.check(planted.exercise, functions, stretch=planted.stretch)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.id)
def test_a_wrong_answer_gets_its_diagnosis(planted: Planted) -> None:
    verdict = verdict_on(planted)
    assert not verdict.passed
    assert verdict.message.startswith(planted.function)
    assert planted.words in verdict.message, verdict


def test_each_exercise_has_at_least_eight_wrong_answers() -> None:
    counts = Counter(planted.exercise for planted in PLANTED if not planted.stretch)
    assert set(counts) == {*EXERCISES, *PROJECTS}
    assert min(counts[number] for number in EXERCISES) >= 8


def test_each_function_of_a_project_has_a_wrong_answer() -> None:
    for letter in PROJECTS:
        tasks = {task.name for task in exercise_of(letter).tasks}
        assert {planted.function for planted in PLANTED if planted.exercise == letter} == tasks
