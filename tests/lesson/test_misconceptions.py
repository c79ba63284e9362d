"""Each misconception is told apart from all others, and gets its own message."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attnscope.lesson.calling import Outcome
from attnscope.lesson.check import EXERCISES, exercise_of
from attnscope.lesson.judge import TaskJudge
from attnscope.lesson.question import Arguments, Misconception, Task

MISCONCEPTIONS = [
    (number, task, misconception)
    for number in EXERCISES
    for task in (*exercise_of(number).tasks, *exercise_of(number).stretch)
    for misconception in task.misconceptions
]


class Misled:
    """Answers every question as a misconception does."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        given = (each.copy() if isinstance(each, np.ndarray) else each for each in arguments.values())
        try:
            with np.errstate(all="ignore"):
                came = self.answer(*given)
        except ValueError as error:  # one that handles square arrays only
            return Outcome(trouble="raised", message=str(error))
        parts = came if isinstance(came, tuple) else (came,)
        kinds: dict[str, Any] = {"numbers": np.float64, "whole numbers": object}
        return Outcome(arrays=tuple(np.asarray(part, dtype=kinds.get(task.kind)) for part in parts))


@pytest.mark.parametrize(
    ("task", "misconception"),
    [(task, misconception) for _, task, misconception in MISCONCEPTIONS],
    ids=[f"{number}-{task.name}-{i}" for i, (number, task, _) in enumerate(MISCONCEPTIONS)],
)
def test_a_misconception_gets_its_own_message(task: Task, misconception: Misconception) -> None:
    verdict = TaskJudge(task, Misled(misconception.wrong)).verdict()
    assert verdict is not None
    assert verdict.message == f"{task.name}: {misconception.name}"
    assert verdict.counterexample is not None
