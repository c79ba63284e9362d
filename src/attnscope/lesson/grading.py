"""Grade a learner's notebook: run it in its own process, and judge its functions from this one.

The functions import what they need, so that `import attnscope` does not load the judge.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from attnscope.lesson.check import EXERCISES, exercise_of
from attnscope.lesson.notebook import Limits, code_cells
from attnscope.lesson.verdict import LessonError, Verdict, internal_error

if TYPE_CHECKING:
    from attnscope.lesson.process import Host
    from attnscope.lesson.question import Exercise

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Grade:
    """One exercise of a notebook; `example` is the printed counterexample, or None."""

    number: int
    title: str
    passed: bool
    message: str
    example: str | None = None


@dataclass(frozen=True)
class Graded:
    """A notebook's ten grades.

    Parameters
    ----------
    file : str
        The notebook's path.
    grades : tuple of Grade
        One per exercise.
    notes : tuple of str
        Cells that failed: "cell 3: NameError: ...".
    trouble : str, optional
        Why the file could not be graded at all.
    """

    file: str
    grades: tuple[Grade, ...] = ()
    notes: tuple[str, ...] = ()
    trouble: str | None = None

    @property
    def passed(self) -> int:
        """How many exercises passed."""
        return sum(grade.passed for grade in self.grades)

    @property
    def complete(self) -> bool:
        """Whether all exercises passed."""
        return self.trouble is None and self.passed == len(EXERCISES)


def grade(path: Path, limits: Limits, progress: Progress | None = None) -> Graded:
    """Run a notebook, find its functions by name, and judge all ten exercises.

    Raises LessonError if the file is no notebook. Any other error is the result's `trouble`.
    """
    try:
        code_cells(path)
        return graded_exercises(path, limits, progress)
    except LessonError:
        raise
    except Exception as error:  # noqa: BLE001  # any error costs this notebook, and not the class
        return Graded(str(path), trouble=f"{path} could not be graded: {internal_error(error)}")


def graded_exercises(path: Path, limits: Limits, progress: Progress | None) -> Graded:
    """The ten grades of a notebook."""
    from attnscope.lesson.process import Host

    grades = []
    with Host(path, limits, monotonic() + limits.seconds) as host:
        for number in EXERCISES:
            exercise = exercise_of(number)
            if progress is not None:
                progress(f"exercise {number}")
            verdict = verdict_on(exercise, host)
            example = None if verdict.counterexample is None else str(verdict.counterexample)
            grades.append(Grade(number, exercise.title, verdict.passed, verdict.message, example))
        notes = tuple(f"cell {cell}: {text}" for cell, text in sorted(host.notes.items()))
    return Graded(str(path), tuple(grades), notes)


def verdict_on(exercise: "Exercise", host: "Host") -> Verdict:
    """The judge's verdict, or why the notebook could not be asked."""
    from attnscope.lesson.judge import judge
    from attnscope.lesson.process import RemoteAnswers
    from attnscope.lesson.wire import WireError

    try:
        if host.process is None:
            host.start()
        return judge(exercise, RemoteAnswers(host, exercise))
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

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(grade_or_trouble, path, limits) for path in paths]
        for done in as_completed(waiting):
            yield done.result()


def grade_or_trouble(path: Path, limits: Limits) -> Graded:
    """The grades of one notebook, or why there are none."""
    try:
        return grade(path, limits)
    except LessonError as error:
        return Graded(str(path), trouble=str(error))
