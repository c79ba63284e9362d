"""The package's solutions as a learner would have written them: run from their text, outside the library.

The library's own file would be refused as a call to the library.
"""

import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attnscope
from attnscope.lesson import Verdict, check
from attnscope.lesson.check import EXERCISES, PROJECTS, exercise_of

Functions = tuple[Callable[..., Any], ...]

NAME = "<solutions>"
TEXT = (Path(attnscope.__file__).parent / "lesson" / "solutions.py").read_text(encoding="utf-8")
linecache.cache[NAME] = (len(TEXT), None, TEXT.splitlines(keepends=True), NAME)  # for inspect.getsource
exec(compile(TEXT, NAME, "exec"), globals())


def __getattr__(name: str) -> Any:
    raise AttributeError(name)


SOLUTIONS: dict[int, Functions] = {
    number: tuple(globals()[task.name] for task in exercise_of(number).tasks) for number in EXERCISES
}
STRETCH: dict[int, Functions] = {
    number: tuple(globals()[task.name] for task in exercise_of(number).stretch) for number in EXERCISES
}
PROJECT_SOLUTIONS: dict[str, Functions] = {
    letter: tuple(globals()[task.name] for task in exercise_of(letter).tasks) for letter in PROJECTS
}


def checked(*, stretch: bool = False, **answers: Any) -> Verdict:
    """The verdict on these functions; the others of their exercise are right."""
    for table in (STRETCH if stretch else SOLUTIONS, PROJECT_SOLUTIONS):
        for number, right in table.items():
            functions = {each.__name__: each for each in right}
            if set(answers) <= set(functions):
                return check(number, {**functions, **answers}, stretch=stretch)
    raise AssertionError(f"no exercise asks for {sorted(answers)}")
