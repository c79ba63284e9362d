"""Where correct answers of any style are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attnscope.lesson.check import EXERCISES, exercise_of
from tests.lesson.solutions import SOLUTIONS

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Correct:
    """Answers to the functions of an exercise, some of them in a style of their own."""

    exercise: int
    style: str
    answers: tuple[Answer, ...]

    @property
    def id(self) -> str:
        return f"{self.exercise}-{self.style}"


CORRECT: list[Correct] = []


def correct(style: str, **answers: Answer) -> None:
    """Keep answers that have to pass, by the names of their functions."""
    for number in EXERCISES:
        names = [task.name for task in exercise_of(number).tasks]
        own = [answers.pop(name, right) for name, right in zip(names, SOLUTIONS[number], strict=True)]
        if tuple(own) != SOLUTIONS[number]:
            CORRECT.append(Correct(number, style, tuple(own)))
    assert not answers, f"no exercise asks for {sorted(answers)}"
