"""The entry point for learners: at.lesson.check(number, *answers)."""

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
    10: "flash",
}
SECONDS = 20.0  # for one call of an answer; all calls of an exercise together take less than one second


def check(number: int, *answers: Any, stretch: bool = False, seconds: float = SECONDS) -> Verdict:
    """Judge a learner's answer to one of the lesson's ten exercises.

    The answers are called with random and adversarial arguments, the same ones each time, and compared with
    `at.reference` under a derived error bound, so any style passes. A wrong answer is compared with known
    misconceptions, to name what it does instead, and shown on the smallest call that was found.

    Parameters
    ----------
    number : int
        The exercise, 1 to 10.
    *answers : callable or mapping
        The exercise's functions in its order; or one mapping or module with them, such as `globals()`.
    stretch : bool
        Judge the exercise's stretch part instead, which may use the library.
    seconds : float
        How long a single call may take.

    Returns
    -------
    Verdict
        True if all answers are right. An answer that raises, does not return, calls the library or writes
        into its arguments is a verdict, not an error.

    Raises
    ------
    LessonError
        If there is no such exercise, or it has another number of functions.

    Examples
    --------
    >>> import numpy as np
    >>> def entropy(weights):
    ...     return -(weights * np.log2(np.where(weights > 0, weights, 1))).sum(axis=-1)
    >>> def effective_keys(weights):
    ...     return np.exp(entropy(weights))
    >>> print(check(5, entropy, effective_keys).message)
    entropy: the entropy is in bits, from a logarithm to base 2; expected nats, from the natural logarithm.
    """
    from attnscope.lesson.calling import Answers  # loaded when the first answer is checked
    from attnscope.lesson.judge import judge

    exercise = exercise_of(number)
    functions = by_name(exercise, exercise.stretch if stretch else exercise.tasks, answers, stretch)
    return judge(exercise, Answers(functions, seconds, library_allowed=stretch), stretch=stretch)


def exercise_of(number: int) -> "Exercise":
    """One of the ten exercises, loaded when it is first needed. Raises LessonError for another number."""
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
            f"exercise {exercise.number} takes {len(names)} answer{'s' * (len(names) > 1)}, "
            f"and {len(answers)} came. Use check({exercise.number}, {', '.join(names)}{more})."
        )
    own = [getattr(answer, "__name__", None) for answer in answers]
    if sorted(map(str, own)) == sorted(names):  # their order does not matter then
        names = [str(name) for name in own]
    return dict(zip(names, answers, strict=True))
