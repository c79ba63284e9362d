"""The entry points for learners: at.lesson.check(number, *answers) and at.lesson.solution(number)."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnscope.lesson.verdict import LessonError, Verdict, named

if TYPE_CHECKING:
    from attnscope.lesson.question import Exercise, Task

EXERCISES = {
    1: "soft_retrieval",
    2: "scaled_dot_product",
    3: "masked_attention",
    4: "reading_weights",
    5: "heads",
    6: "alibi",
    7: "decode",
    8: "flash",
    9: "leaks",
    10: "induction",
}
PROJECTS = {"A": "flash_backward", "B": "ablation", "C": "decoder"}  # beyond the ten
TRIES = 3  # failed ones after which a solution may be seen
SECONDS = 20.0  # for one call of an answer; all calls of an exercise together take less than one second
# The outcomes of each exercise and of each stretch part since Python started
tried: defaultdict[tuple[int | str, bool], list[bool]] = defaultdict(list)


@dataclass(frozen=True)
class Solution:
    """Python source that prints as such."""

    source: str

    def __repr__(self) -> str:
        return self.source


def check(number: int | str, *answers: Any, stretch: bool = False, seconds: float = SECONDS) -> Verdict:
    """Judge a learner's answer to one of the lesson's ten exercises, or to a project.

    The answers are called with random and adversarial arguments, the same ones each time, and compared with
    `at.reference` under a derived error bound, so any style passes. A wrong answer is compared with known
    misconceptions, to name what it does instead, and shown on the smallest call that was found.

    Parameters
    ----------
    number : int or str
        The exercise, 1 to 10, or the project, "A" to "C".
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
    >>> print(check(4, {"entropy": entropy, "effective_keys": effective_keys}).message)
    entropy: the entropy is in bits, from a logarithm to base 2; expected nats, from the natural logarithm.
    """
    from attnscope.lesson.calling import Answers  # loaded when the first answer is checked
    from attnscope.lesson.judge import judge

    exercise = exercise_of(number)
    functions = by_name(exercise, exercise.stretch if stretch else exercise.tasks, answers, stretch)
    verdict = judge(exercise, Answers(functions, seconds, library_allowed=stretch), stretch=stretch)
    tried[number, stretch].append(verdict.passed)
    return verdict


def solution(number: int | str, *, stretch: bool = False) -> Solution:
    """Show a commented solution, after a pass or three failed tries.

    Parameters
    ----------
    number : int or str
        The exercise, 1 to 10, or the project, "A" to "C".
    stretch : bool
        Show the solution of the stretch part instead.

    Returns
    -------
    Solution
        Python source; it prints as such.

    Raises
    ------
    LessonError
        If there is no such exercise, or it was neither passed nor tried three times since Python started.

    Examples
    --------
    >>> def entropy(weights):
    ...     return 0.0
    >>> for _ in range(3):
    ...     verdict = check(4, {"entropy": entropy, "effective_keys": entropy})
    >>> print(repr(solution(4)).splitlines()[0])
    def entropy(weights):
    """
    exercise = exercise_of(number)
    outcomes = tried[number, stretch]
    if not any(outcomes) and len(outcomes) < TRIES:
        times = "once" if len(outcomes) == 1 else f"{len(outcomes)} times"
        raise LessonError(
            f"{named(exercise.number)} was tried {times}. A pass or {TRIES} tries show its solution."
        )
    tasks = exercise.stretch if stretch else exercise.tasks
    return Solution(source_of([task.name for task in tasks]))


def source_of(names: list[str]) -> str:
    """The source of these functions, and of those that they call, in the order of the file."""
    text = files("attnscope.lesson").joinpath("solutions.py").read_text(encoding="utf-8")
    parts = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    wanted: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        wanted.append(name)
        called = {node.id for node in ast.walk(parts[name]) if isinstance(node, ast.Name)}
        own = {each.arg for each in ast.walk(parts[name]) if isinstance(each, ast.arg)}
        waiting += [each for each in called & set(parts) - own if each not in wanted]
    lines = text.splitlines()
    found = (
        "\n".join(lines[node.lineno - 1 : node.end_lineno]) for name, node in parts.items() if name in wanted
    )
    return "\n\n\n".join(found)


def exercise_of(number: int | str) -> "Exercise":
    """One exercise or project, loaded when it is first needed. Raises LessonError if there is no such one."""
    file = None
    if isinstance(number, str):
        file = PROJECTS.get(number)
    elif isinstance(number, int) and not isinstance(number, bool):
        file = EXERCISES.get(number)
    if file is None:
        raise LessonError(
            f'number={number!r} is no exercise, expected 1 to {len(EXERCISES)}, or a project, "A" to "C".'
        )
    exercise: Exercise = import_module(f"attnscope.lesson.exercises.{file}").EXERCISE
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
            f"{named(exercise.number)} takes {len(names)} answer{'s' * (len(names) > 1)}, "
            f"and {len(answers)} came. Use check({exercise.number!r}, {', '.join(names)}{more})."
        )
    own = [getattr(answer, "__name__", None) for answer in answers]
    if sorted(map(str, own)) == sorted(names):  # their order does not matter then
        names = [str(name) for name in own]
    return dict(zip(names, answers, strict=True))
