"""Each known wrong reading is told apart from all others, and gets its own words."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attnscope.lesson.calling import Outcome
from attnscope.lesson.check import EXERCISES, exercise_of
from attnscope.lesson.judge import TaskJudge
from attnscope.lesson.question import Arguments, Mistake, Task

READINGS = [
    (number, task, mistake)
    for number in EXERCISES
    for task in (*exercise_of(number).tasks, *exercise_of(number).stretch)
    for mistake in task.mistakes
]


class Misread:
    """Whatever is asked, a reading answers."""

    def __init__(self, reading: Callable[..., Any]) -> None:
        self.reading = reading

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        given = (each.copy() if isinstance(each, np.ndarray) else each for each in arguments.values())
        try:
            with np.errstate(all="ignore"):
                came = self.reading(*given)
        except ValueError as error:  # a reading of square arrays alone
            return Outcome(trouble="raised", says=str(error))
        parts = came if isinstance(came, tuple) else (came,)
        kinds: dict[str, Any] = {"numbers": np.float64, "whole numbers": object}
        return Outcome(arrays=tuple(np.asarray(part, dtype=kinds.get(task.kind)) for part in parts))


@pytest.mark.parametrize(
    ("task", "mistake"),
    [(task, mistake) for _, task, mistake in READINGS],
    ids=[f"{number}-{task.name}-{i}" for i, (number, task, _) in enumerate(READINGS)],
)
def test_a_wrong_reading_gets_its_own_words(task: Task, mistake: Mistake) -> None:
    verdict = TaskJudge(task, Misread(mistake.reading)).verdict()
    assert verdict is not None
    assert verdict.message == f"{task.name}: {mistake.says}"
    assert verdict.counterexample is not None
