"""at.lesson.solution: shown after a pass or three failed tries, and what it shows passes."""

from collections.abc import Iterator
from typing import Any

import pytest

import attnscope as at
from attnscope.lesson import LessonError
from attnscope.lesson.check import EXERCISES, PROJECTS, TRIES, exercise_of, tried
from tests.lesson.solutions import SOLUTIONS


@pytest.fixture(autouse=True)
def nothing_was_tried() -> Iterator[None]:
    before = {key: list(outcomes) for key, outcomes in tried.items()}
    tried.clear()
    yield
    tried.clear()
    tried.update(before)


def fails(number: int | str, *, stretch: bool = False) -> None:
    exercise = exercise_of(number)
    tasks = exercise.stretch if stretch else exercise.tasks
    assert not at.lesson.check(number, *[lambda *given: None for _ in tasks], stretch=stretch)


@pytest.mark.parametrize("number", [4, "A"])
def test_it_is_refused_until_the_third_failed_try(number: int | str) -> None:
    for times in ("0 times", "once", "2 times"):
        with pytest.raises(LessonError, match=rf"was tried {times}\. A pass or {TRIES} tries show its"):
            at.lesson.solution(number)
        fails(number)
    assert at.lesson.solution(number).source


def test_it_is_shown_after_a_pass_and_no_other_exercise_s_is() -> None:
    assert at.lesson.check(2, *SOLUTIONS[2])
    assert at.lesson.solution(2).source
    with pytest.raises(LessonError, match="exercise 3 was tried 0 times"):
        at.lesson.solution(3)


def test_the_stretch_part_is_counted_by_itself() -> None:
    assert at.lesson.check(4, *SOLUTIONS[4])
    with pytest.raises(LessonError, match="tried 0 times"):
        at.lesson.solution(4, stretch=True)
    for _ in range(TRIES):
        fails(4, stretch=True)
    assert at.lesson.solution(4, stretch=True).source != at.lesson.solution(4).source


@pytest.mark.parametrize("number", [0, 11, "D", True])
def test_there_is_no_solution_of_an_unknown_exercise(number: Any) -> None:
    with pytest.raises(LessonError, match=r'is no exercise, expected 1 to 10, or a project, "A" to "C"'):
        at.lesson.solution(number)


@pytest.mark.parametrize("stretch", [False, True], ids=["", "stretch"])
@pytest.mark.parametrize("number", [*EXERCISES, *PROJECTS])
def test_what_is_shown_has_comments_and_passes(number: int | str, stretch: bool) -> None:
    """Run by itself, with NumPy alone or, in a stretch part, with the library."""
    exercise = exercise_of(number)
    tasks = exercise.stretch if stretch else exercise.tasks
    if not tasks:
        assert stretch
        assert number in PROJECTS
        return
    tried[number, stretch] = [False] * TRIES
    source = at.lesson.solution(number, stretch=stretch).source
    assert "#" in source
    space: dict[str, Any] = {"__name__": "notebook"}
    exec(compile("import numpy as np\nimport attnscope as at\n\n" + source, "<cell>", "exec"), space)
    assert at.lesson.check(number, space, stretch=stretch)
