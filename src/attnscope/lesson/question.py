"""What an exercise asks: tasks, the questions drawn for them, and the misconceptions it knows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope.audit import Report
from attnscope.lesson.unwatched import at_once
from attnscope.probing import KnownMistake

Arguments = dict[str, Any]
Arrays = tuple[NDArray[Any], ...]
Answer = Callable[..., Any]  # takes a task's parameters, as the learner's function does
Kind = Literal["numbers", "booleans", "pairs", "whole numbers"]
Misconception = KnownMistake  # the lesson's word: its name is the message that a learner gets


@dataclass(frozen=True)
class Draw:
    """A kind of question, at any size.

    Parameters
    ----------
    name : str
        As a message shows it: "a row of only -inf".
    make : callable
        (rng, sizes) -> arguments by name.
    sizes : mapping of str to int
        The sizes of the first question.
    least : mapping of str to int
        How far each size may shrink; 1 if it is not listed.
    round : bool
        Whether the numbers may be rounded to make an example easier to read.
    seeds : int
        How many questions are drawn.
    """

    name: str
    make: Callable[[np.random.Generator, Any], Arguments]
    sizes: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    round: bool = True
    seeds: int = 1


@dataclass(frozen=True)
class Question:
    """One call: a draw at certain sizes, from a seed; `digits` are the decimals that its numbers keep."""

    draw: Draw
    sizes: Mapping[str, int]
    seed: int
    digits: int | None = None

    @property
    def arguments(self) -> Arguments:
        """Fresh arrays, the same each time."""
        rng = np.random.default_rng(self.seed)
        made = self.draw.make(rng, SimpleNamespace(**self.sizes))
        if self.digits is None:
            return made
        return {name: self.rounded(value) for name, value in made.items()}

    @property
    def shown_sizes(self) -> str:
        """The sizes in words: "tokens=1024, block=32"."""
        return ", ".join(f"{name}={size}" for name, size in self.sizes.items())

    def rounded(self, value: Any) -> Any:
        """An array of floats with fewer digits; anything else unchanged."""
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return np.round(value, self.digits or 0) + value.dtype.type(0)  # -0 becomes 0
        return value

    def simpler(self) -> Iterator["Question"]:
        """Simpler questions: smaller sizes first, then shorter numbers."""
        for name, size in self.sizes.items():
            least = self.draw.least.get(name, 1)
            tried = {least, least + 1, least + 2, size // 2, size - 1}
            for smaller in sorted(tried & set(range(least, size))):
                yield replace(self, sizes={**self.sizes, name: smaller})
        if self.draw.round:
            digits = (0, 1) if self.digits is None else range(self.digits)
            yield from (replace(self, digits=fewer) for fewer in digits)


@dataclass(frozen=True, eq=False)
class Expected:
    """The right value, and the largest error of a correct float32 computation, entry by entry."""

    value: NDArray[Any]
    bound: NDArray[np.float64] | float = 0.0


@dataclass(frozen=True)
class Symptom:
    """A property of a wrong result whose cause is unknown: (arguments, results, expected results) -> bool."""

    message: str
    shows: Callable[[Arguments, Arrays, Arrays], bool]


@dataclass(frozen=True, eq=False)
class Task:
    """One function that a learner writes.

    Parameters
    ----------
    name : str
        Its name.
    parameters : tuple of str
        The names of its parameters, in order.
    results : tuple of str
        The names of its results.
    draws : tuple of Draw
        The kinds of questions that it is asked.
    expected : callable, optional
        (*arguments) -> the right results.
    judged : callable, optional
        (arguments, results) -> what is wrong, or None. For tasks with more than one right result.
    misconceptions : tuple of Misconception
        Known wrong answers, the likeliest first.
    symptoms : tuple of Symptom
        What can be reported of a wrong result whose cause is unknown.
    ask : callable
        How the function is called with the arguments: at once, or step by step.
    kind : {"numbers", "booleans", "pairs", "whole numbers"}
        What the results are made of.
    writes : str, optional
        The call as a learner reads it, if it is not "name(parameters)".
    memory : Memory, optional
        What a call may allocate, if that is measured.
    audited : callable, optional
        The library's audit of a function, if it can find more than these questions.
    """

    name: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]
    draws: tuple[Draw, ...]
    expected: Callable[..., tuple[Expected, ...]] | None = None
    judged: Callable[[Arguments, Arrays], str | None] | None = None
    misconceptions: tuple[Misconception, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    ask: Callable[[Answer, Arguments], Any] = at_once
    kind: Kind = "numbers"
    writes: str | None = None
    memory: "Memory | None" = None
    audited: Callable[[Answer], Report] | None = None

    @property
    def call(self) -> str:
        """How it is called: "softmax(scores)"."""
        return self.writes or f"{self.name}({', '.join(self.parameters)})"

    @property
    def questions(self) -> list[Question]:
        """All questions, in order."""
        return [
            Question(draw, draw.sizes, 1000 * number + seed)
            for number, draw in enumerate(self.draws)
            for seed in range(draw.seeds)
        ]


@dataclass(frozen=True)
class Memory:
    """A limit on memory: how many bytes a call of one question may allocate at its peak."""

    draw: Draw
    most_bytes: int
    message: str


@dataclass(frozen=True, eq=False)
class Exercise:
    """An exercise: the functions that a learner writes for it, and those of its stretch part.

    Parameters
    ----------
    number : int or str
        1 to 10, the page that it belongs to; "A" to "C" for a project.
    title : str
        What it is about.
    tasks, stretch : tuple of Task
        The functions.
    difficulty : int
        1 to 3.
    minutes : int
        How long it takes a learner who has read the page.
    after : tuple of int
        Exercises that it builds upon.
    """

    number: int | str
    title: str
    tasks: tuple[Task, ...]
    stretch: tuple[Task, ...] = ()
    difficulty: int = 1
    minutes: int = 20
    after: tuple[int, ...] = ()
