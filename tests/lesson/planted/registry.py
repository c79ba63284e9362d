"""Where planted answers are kept, each with the exercise it answers and words of the diagnosis it must get."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Planted:
    """An answer to one function of an exercise."""

    exercise: int
    function: str
    answer: Answer
    says: str
    stretch: bool = False

    @property
    def id(self) -> str:
        return f"{self.exercise}-{self.function}-{self.answer.__name__}"


PLANTED: list[Planted] = []


def planted(exercise: int, function: str, says: str, *, stretch: bool = False) -> Callable[[Answer], Answer]:
    """Plant the decorated function as a wrong answer that `says` must be told of."""

    def plant(answer: Answer) -> Answer:
        PLANTED.append(Planted(exercise, function, answer, says, stretch))
        return answer

    return plant
