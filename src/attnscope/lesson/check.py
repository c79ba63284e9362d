"""The front door: at.lesson.check(number, *answers)."""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnscope.lesson.verdict import LessonError, Verdict

if TYPE_CHECKING:
    from attnscope.lesson.question import Exercise, Task

EXERCISES = {
    1: "softmax_and_attention",
    2: "who_may_see_whom",
    3: "masked_attention",
    4: "heads",
    5: "entropy",
    6: "not_an_explanation",
    7: "alibi",
    8: "decode",
    9: "serving",
    10: "flash_and_leaks",
}
SECONDS = 20.0  # that one call of an answer may take; all of an exercise's calls take less than one


def check(number: int, *answers: Any, stretch: bool = False, seconds: float = SECONDS) -> Verdict:
    """Judge a learner's answer to one of the lesson's ten exercises.

    The answers are the exercise's functions, in the order in which it names them, or one mapping that holds them by
    their names, such as globals(). They are put to random and adversarial questions, always the same ones, and judged
    by at.reference under a derived bound, whatever their style: float32 or float64, loops or einsum. A wrong answer is
    compared with known wrong readings, to say what it does instead, and shown on the smallest call that was found.

        stretch    judge the stretch part, whose functions the exercise names too, and which may use the library
        seconds    how long a single call may take

    Errors
        LessonError where there is no such exercise, or it has another number of functions. What is wrong with an answer
        is no error but a verdict: also that it raises, does not return, calls the library or writes into its arguments.

    >>> import numpy as np
    >>> def entropy(weights):
    ...     return -(weights * np.log2(np.where(weights > 0, weights, 1))).sum(axis=-1)
    >>> def effective_keys(weights):
    ...     return np.exp(entropy(weights))
    >>> print(check(5, entropy, effective_keys).message)
    entropy: the entropy is in bits, from a logarithm to base 2; expected nats, from the natural logarithm.
    """
    from attnscope.lesson.calling import Answers
    from attnscope.lesson.judge import judge

    exercise = exercise_of(number)
    functions = by_name(exercise, exercise.stretch if stretch else exercise.tasks, answers, stretch)
    return judge(exercise, Answers(functions, seconds, library_allowed=stretch), stretch=stretch)


def exercise_of(number: int) -> "Exercise":
    """One of the ten.

    Errors
        LessonError for another number.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number not in EXERCISES:
        raise LessonError(f"number={number!r} is no exercise, expected 1 to {len(EXERCISES)}.")
    exercise: Exercise = import_module(f"attnscope.lesson.exercises.{EXERCISES[number]}").EXERCISE
    return exercise


def by_name(
    exercise: "Exercise", tasks: tuple["Task", ...], answers: tuple[Any, ...], stretch: bool
) -> dict[str, Any]:
    """The answers by the names that the exercise gives them."""
    names = [task.name for task in tasks]
    if len(answers) == 1 and isinstance(answers[0], Mapping | ModuleType):
        found = answers[0] if isinstance(answers[0], Mapping) else vars(answers[0])
        return {name: found.get(name) for name in names}
    if len(answers) != len(names):
        more = ", stretch=True" if stretch else ""
        raise LessonError(
            f"exercise {exercise.number} takes {len(names)} answer{'s' * (len(names) > 1)}, and {len(answers)} came. "
            f"Use check({exercise.number}, {', '.join(names)}{more})."
        )
    own = [getattr(answer, "__name__", None) for answer in answers]
    if sorted(map(str, own)) == sorted(names):  # in whatever order they came
        names = [str(name) for name in own]
    return dict(zip(names, answers, strict=True))
