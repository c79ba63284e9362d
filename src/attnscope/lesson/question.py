"""What an exercise asks: tasks, the questions that are drawn for them, and the wrong readings that are known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.asking import at_once

if TYPE_CHECKING:
    import attnscope as at

Arguments = dict[str, Any]
Arrays = tuple[NDArray[Any], ...]
Reading = Callable[..., Any]  # of a task's arguments, as the learner's function is
Kind = Literal["numbers", "booleans", "pairs", "whole numbers"]


@dataclass(frozen=True)
class Draw:
    """A kind of question, at any size.

    name      as a message says it: "a row of only -inf"
    make      (rng, sizes) -> arguments by name
    sizes     the sizes at first; they shrink down to `least`, which is 1 where nothing is said
    round     whether the numbers may be rounded to make an example easier to read
    """

    name: str
    make: Callable[[np.random.Generator, Any], Arguments]
    sizes: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    round: bool = True
    seeds: int = 1


@dataclass(frozen=True)
class Question:
    """One call: a draw, at its sizes, from a seed; its numbers rounded to so many digits, if any."""

    draw: Draw
    sizes: Mapping[str, int]
    seed: int
    digits: int | None = None

    @property
    def arguments(self) -> Arguments:
        """Fresh arrays, always the same."""
        rng = np.random.default_rng(self.seed)
        made = self.draw.make(rng, SimpleNamespace(**self.sizes))
        if self.digits is None:
            return made
        return {name: self.rounded(value) for name, value in made.items()}

    def rounded(self, value: Any) -> Any:
        """Fewer digits in what is an array of floats."""
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return np.round(value, self.digits or 0) + value.dtype.type(0)  # -0 becomes 0
        return value

    def simpler(self) -> Iterator["Question"]:
        """Smaller sizes first, then shorter numbers."""
        for name, size in self.sizes.items():
            least = self.draw.least.get(name, 1)
            for smaller in sorted(
                {least, least + 1, least + 2, size // 2, size - 1} & set(range(least, size))
            ):
                yield replace(self, sizes={**self.sizes, name: smaller})
        if self.draw.round:
            tried = (0, 1) if self.digits is None else range(self.digits)
            yield from (replace(self, digits=digits) for digits in tried)


@dataclass(frozen=True, eq=False)
class Expected:
    """What is right, and how far an honest float32 computation may be from it, entry by entry."""

    value: NDArray[Any]
    bound: NDArray[np.float64] | float = 0.0


@dataclass(frozen=True)
class Mistake:
    """A known wrong reading: what to say of it, and the function that it is.

    reading    takes what the learner's function takes, and gives what one that is wrong like this gives
    """

    says: str
    reading: Reading


@dataclass(frozen=True)
class Symptom:
    """What one sees on a wrong result without knowing its cause: (arguments, results, expected results) -> bool."""

    says: str
    shows: Callable[[Arguments, Arrays, Arrays], bool]


@dataclass(frozen=True, eq=False)
class Task:
    """One function that a learner writes.

    name        its name
    takes       its arguments' names, in order
    gives       its results' names
    draws       the questions
    expected    the right results of given arguments
    judged      what is wrong with results, in a sentence, or None: where more than one result is right
    mistakes    known wrong readings, the likeliest first
    symptoms    what one can say of a wrong result whose cause is not known
    ask         how a function is put to a question: called with the arguments, unless it goes by steps
    kind        what its results are made of
    writes      the call as a learner reads it, where name and arguments do not say it
    memory      what a call may hold at its peak, where that is measured
    audited     the library's audit of a function, where it says more than these questions can
    """

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    draws: tuple[Draw, ...]
    expected: Callable[..., tuple[Expected, ...]] | None = None
    judged: Callable[[Arguments, Arrays], str | None] | None = None
    mistakes: tuple[Mistake, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    ask: Callable[[Reading, Arguments], Any] = at_once
    kind: Kind = "numbers"
    writes: str | None = None
    memory: "Memory | None" = None
    audited: "Callable[[Reading], at.audit.Report] | None" = None

    @property
    def call(self) -> str:
        """How it is called: "softmax(scores)"."""
        return self.writes or f"{self.name}({', '.join(self.takes)})"

    @property
    def questions(self) -> list[Question]:
        """All that are asked, in order."""
        return [
            Question(draw, draw.sizes, 1000 * number + seed)
            for number, draw in enumerate(self.draws)
            for seed in range(draw.seeds)
        ]


@dataclass(frozen=True)
class Memory:
    """A promise about memory: what a call of one question may hold at its peak, beyond what it was given."""

    draw: Draw
    most_bytes: int
    says: str


@dataclass(frozen=True, eq=False)
class Exercise:
    """An exercise: its number, its title, what the learner writes, and what the stretch part asks for."""

    number: int
    title: str
    tasks: tuple[Task, ...]
    stretch: tuple[Task, ...]
