"""Grade a learner's notebook: run it in its own process, and judge its functions from this one.

The functions import what they need, so that `import attnscope` does not load the judge.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from attnscope.lesson.check import EXERCISES, PROJECTS, exercise_of
from attnscope.lesson.notebook import Limits, code_cells
from attnscope.lesson.verdict import LessonError, Verdict, internal_error, named

if TYPE_CHECKING:
    from attnscope.lesson.process import Host
    from attnscope.lesson.question import Exercise, Task
    from attnscope.lesson.sandbox import Sandbox

PASSED = "passed"
SHARES = 3  # an exercise may take this share of its notebook's time
UNWRITTEN = "is not written yet: it returns nothing."
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Grade:
    """One exercise or project of a notebook.

    Parameters
    ----------
    number : int or str
        The exercise, or the project's letter.
    title : str
        What it is about.
    passed : bool
        Whether all its functions are right.
    message : str
        What is wrong, or that it is right.
    example : str, optional
        The printed counterexample.
    stretch : str, optional
        What is wrong with the stretch part, or "passed"; None if it was not written.
    """

    number: int | str
    title: str
    passed: bool
    message: str
    example: str | None = None
    stretch: str | None = None


@dataclass(frozen=True)
class Graded:
    """The grades of a notebook: the ten exercises, and the projects that it contains.

    Parameters
    ----------
    file : str
        The notebook's path.
    grades : tuple of Grade
        One per exercise, then one per project that the notebook defines. One of projects alone has no others.
    notes : tuple of str
        Cells that failed: "cell 3: NameError: ...".
    trouble : str, optional
        Why the file could not be graded at all.
    bounds : tuple of str
        What bounded the notebook's process: "memory", "no network".
    unconfined : str, optional
        Why it was not confined by bubblewrap; None if it was.
    """

    file: str
    grades: tuple[Grade, ...] = ()
    notes: tuple[str, ...] = ()
    trouble: str | None = None
    bounds: tuple[str, ...] = ()
    unconfined: str | None = None

    @property
    def passed(self) -> int:
        """How many exercises and projects passed."""
        return sum(grade.passed for grade in self.grades)

    @property
    def stretched(self) -> int:
        """How many stretch parts passed."""
        return sum(grade.stretch == PASSED for grade in self.grades)

    @property
    def complete(self) -> bool:
        """Whether all exercises passed; in a notebook of projects alone, all that it contains."""
        return self.trouble is None and all(grade.passed for grade in self.grades) and bool(self.grades)


def grade(
    path: Path, limits: Limits, progress: Progress | None = None, sandbox: "Sandbox | None" = None
) -> Graded:
    """Run a notebook, find its functions by name, and judge all ten exercises and the projects in it.

    Looks for a sandbox if none is passed. Raises LessonError if the file is no notebook. Any other error is
    the result's `trouble`.
    """
    from attnscope.lesson.sandbox import find_sandbox

    try:
        code_cells(path)
        return graded_exercises(path, limits, progress, find_sandbox() if sandbox is None else sandbox)
    except LessonError:
        raise
    except Exception as error:  # noqa: BLE001  # any error costs this notebook, and not the class
        return Graded(str(path), trouble=f"{path} could not be graded: {internal_error(error)}")


def graded_exercises(path: Path, limits: Limits, progress: Progress | None, sandbox: "Sandbox") -> Graded:
    """The grades of a notebook."""
    from attnscope.lesson.process import Host

    cells = code_cells(path)
    source = "\n".join(cells)
    grades = []
    with Host(path, limits, monotonic() + limits.seconds, len(cells), sandbox) as host:
        for number in graded_numbers(source):
            exercise = exercise_of(number)
            if progress is not None:
                progress(named(number))
            verdict = verdict_on(exercise, host)
            example = None if verdict.counterexample is None else str(verdict.counterexample)
            stretch = stretch_of(exercise, host) if defines(source, exercise.stretch) else None
            grades.append(Grade(number, exercise.title, verdict.passed, verdict.message, example, stretch))
        notes = tuple(f"cell {cell}: {text}" if cell else text for cell, text in sorted(host.notes.items()))
    return Graded(str(path), tuple(grades), notes, bounds=sandbox.bounds, unconfined=sandbox.trouble)


def graded_numbers(source: str) -> list[int | str]:
    """The ten exercises and the projects that a notebook defines; projects alone if there is nothing else."""
    projects = [letter for letter in PROJECTS if defines(source, exercise_of(letter).tasks)]
    written = any(defines(source, exercise_of(number).tasks) for number in EXERCISES)
    return [*(EXERCISES if written or not projects else ()), *projects]


def defines(source: str, tasks: "tuple[Task, ...]") -> bool:
    """Whether the code contains a function of one of these names."""
    return any(re.search(rf"\b{task.name}\b", source) for task in tasks)


def stretch_of(exercise: "Exercise", host: "Host") -> str | None:
    """What is wrong with the stretch part, or PASSED; None if it is not written."""
    verdict = verdict_on(exercise, host, stretch=True)
    if verdict.passed:
        return PASSED
    return None if verdict.message.endswith(UNWRITTEN) else verdict.message


def verdict_on(exercise: "Exercise", host: "Host", *, stretch: bool = False) -> Verdict:
    """The judge's verdict, or why the notebook could not be asked."""
    from attnscope.lesson.judge import judge
    from attnscope.lesson.process import RemoteAnswers
    from attnscope.lesson.wire import WireError

    try:
        if host.process is None:
            host.start()
        until = min(host.until, monotonic() + host.limits.seconds / SHARES)
        return judge(exercise, RemoteAnswers(host, stretch), stretch=stretch, until=until)
    except TimeoutError:
        message = f"the notebook did not run through in {host.limits.seconds:g} s."
    except WireError as error:
        message = f"the notebook cannot be run: {error}."
    except OSError as error:
        message = f"the notebook's process cannot be started: {error.strerror or error}."
    host.end()
    return Verdict(False, message)


def notebooks_in(folder: Path) -> list[Path]:
    """All notebooks of a folder and its subfolders, without Jupyter's checkpoints.

    Raises LessonError if there is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*.ipynb")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise LessonError(f"{folder} holds no notebook: expected files that end in .ipynb.")
    return found


def grade_all(paths: list[Path], limits: Limits, jobs: int) -> Iterator[Graded]:
    """Grade several notebooks at once. One that cannot be read is reported and stops none of the others."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    from attnscope.lesson.sandbox import find_sandbox

    sandbox = find_sandbox()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(grade_or_trouble, path, limits, sandbox) for path in paths]
        for done in as_completed(waiting):
            yield done.result()


def grade_or_trouble(path: Path, limits: Limits, sandbox: "Sandbox") -> Graded:
    """The grades of one notebook, or why there are none."""
    try:
        return grade(path, limits, sandbox=sandbox)
    except LessonError as error:
        return Graded(str(path), trouble=str(error))
