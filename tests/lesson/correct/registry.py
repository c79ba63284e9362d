"""Where correct answers of any style are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Correct:
    """Answers to all functions of an exercise, in one style."""

    exercise: int
    style: str
    answers: tuple[Answer, ...]
    stretch: bool = False

    @property
    def id(self) -> str:
        return f"{self.exercise}-{self.style}"


CORRECT: list[Correct] = []


def correct(exercise: int, style: str, *answers: Answer, stretch: bool = False) -> None:
    """Keep answers that have to pass."""
    CORRECT.append(Correct(exercise, style, answers, stretch))
