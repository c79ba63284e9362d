"""Planted wrong answers, each with its exercise and words that its diagnosis must contain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Planted:
    """An answer to one function of an exercise or project."""

    exercise: int | str
    function: str
    answer: Answer
    words: str
    stretch: bool = False

    @property
    def id(self) -> str:
        return f"{self.exercise}-{self.function}-{self.answer.__name__}"


PLANTED: list[Planted] = []


def planted(
    exercise: int | str, function: str, words: str, *, stretch: bool = False
) -> Callable[[Answer], Answer]:
    """Plant the decorated function as a wrong answer whose message must contain `words`."""

    def plant(answer: Answer) -> Answer:
        PLANTED.append(Planted(exercise, function, answer, words, stretch))
        return answer

    return plant
