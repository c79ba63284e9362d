"""A learner's notebook, graded: run in a process of its own, its functions judged from here."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from attnscope.lesson.check import EXERCISES, exercise_of
from attnscope.lesson.judge import internal_error, judge
from attnscope.lesson.notebook import code_cells
from attnscope.lesson.process import FarAnswers, Host, Limits
from attnscope.lesson.question import Exercise
from attnscope.lesson.verdict import LessonError, Verdict
from attnscope.lesson.wire import WireError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Grade:
    """One exercise of a notebook.

    example    the smallest call that shows what is wrong, printed; None where no call is needed
    """

    number: int
    title: str
    passed: bool
    message: str
    example: str | None = None


@dataclass(frozen=True)
class Graded:
    """A notebook's ten grades.

    notes      cells that did not run through: "cell 3: NameError: ..."
    trouble    why the file could not be graded at all, or None
    """

    file: str
    grades: tuple[Grade, ...] = ()
    notes: tuple[str, ...] = ()
    trouble: str | None = None

    @property
    def passed(self) -> int:
        """How many of the exercises passed."""
        return sum(grade.passed for grade in self.grades)

    @property
    def complete(self) -> bool:
        """Whether all did."""
        return self.trouble is None and self.passed == len(EXERCISES)


def grade(path: Path, limits: Limits, progress: Progress | None = None) -> Graded:
    """Run a notebook, and judge its functions, found by their names, in all ten exercises.

    Errors
        LessonError where the file is no notebook.
    """
    try:
        code_cells(path)
        return graded_exercises(path, limits, progress)
    except LessonError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, it costs this notebook and not the class
        return Graded(str(path), trouble=f"{path} could not be graded: {internal_error(error)}")


def graded_exercises(path: Path, limits: Limits, progress: Progress | None) -> Graded:
    """The ten grades of a notebook."""
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


def verdict_on(exercise: Exercise, host: Host) -> Verdict:
    """The judge's verdict, or why there can be none."""
    try:
        if host.process is None:
            host.start()
        return judge(exercise, FarAnswers(host, exercise))
    except TimeoutError:
        host.end()
        return Verdict(False, f"the notebook did not run through in {host.limits.seconds:g} s.")
    except WireError as error:
        host.end()
        return Verdict(False, f"the notebook cannot be run: {error}.")
    except OSError as error:
        host.end()
        return Verdict(False, f"the notebook's process cannot be started: {error.strerror or error}.")


def notebooks_in(folder: Path) -> list[Path]:
    """All notebooks of a folder and of those inside it, without Jupyter's own copies.

    Errors
        LessonError where there is none.
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
    """Grade several notebooks at once; one that cannot be read is told, and stops none of the others."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(grade_or_trouble, path, limits) for path in paths]
        for done in as_completed(waiting):
            yield done.result()


def grade_or_trouble(path: Path, limits: Limits) -> Graded:
    """One of many."""
    try:
        return grade(path, limits)
    except LessonError as error:
        return Graded(str(path), trouble=str(error))
