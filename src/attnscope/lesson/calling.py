"""Call a learner's function: on copies, with a time limit, watched for calls to the library, memory measured.

The call runs in a thread of its own, in which an exception is raised when its time is over: a notebook's cell
may run in any thread, and an alarm would only work in the main one. What cannot be stopped, such as one long
call inside NumPy, is left behind. `attnscope check` runs a notebook in a process, which can always be ended.
"""

import gc
import linecache
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import numpy as np

from attnscope.lesson.forms import FormError, Unwritten, read
from attnscope.lesson.question import Arguments, Arrays, Task
from attnscope.lesson.unwatched import StepResultError, at_once
from attnscope.probing import Run, buffers, message_of, run_in_thread

Trouble = Literal["unwritten", "raised", "time", "library", "wrote", "form", "no function", "ended"]

PATIENCE = 1.0  # seconds in which a thread must react to the exception that stops it
LIBRARY = str(Path(__file__).parents[1])
UNWATCHED = (
    at_once.__code__.co_filename,
    read.__code__.co_filename,
)  # run inside the call, and call the answer


class LibraryCallError(BaseException):
    """Raised inside an answer that calls the library; no Exception, so that the answer does not catch it."""


class NoAnswerError(Exception):
    """A call returned no result; the message is why."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one call returned: arrays, or a kind of trouble and a message about it.

    `peak_bytes` is the most memory that the call held beyond what was held before, if it was measured.
    """

    arrays: Arrays = ()
    trouble: Trouble | None = None
    message: str = ""
    peak_bytes: int | None = None


@dataclass
class Seen:
    """What was observed during a call: the library function that it called, and its peak memory."""

    library: str | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Answers:
    """A learner's functions by name, called in this process."""

    functions: Mapping[str, Any]
    seconds: float
    library_allowed: bool = False
    threads_too: bool = False  # also watch the threads that an answer starts; no other call may be under way

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the task's function."""
        answer = self.functions.get(task.name)
        if answer is None or answer is ...:
            return unwritten(task)
        if not callable(answer):
            kind = type(answer).__name__
            message = f"{task.name} is {kind} and no function: pass {task.name}, not {task.call}."
            return Outcome(trouble="no function", message=message)
        given = {name: copied(value) for name, value in arguments.items()}
        seen = Seen()
        call = partial(read_answer, task, answer, given, arguments)  # no lambda: the watch would see it
        work = partial(observed, seen, call, watched=not self.library_allowed, measured=measured)
        if self.threads_too:
            work = partial(with_its_threads, seen, work, watched=not self.library_allowed)
        run = run_in_thread(work, self.seconds, PATIENCE, buffers()[-1] if buffers() else None)
        return self.outcome(run, seen, task, arguments, given)

    def outcome(self, run: Run, seen: Seen, task: Task, arguments: Arguments, given: Arguments) -> Outcome:
        """The outcome of a run."""
        if run.late or not run.done:
            late = f"{task.call} did not return within {self.seconds:g} s. Is there a loop that does not end?"
            return Outcome(trouble="time", message=late)
        if seen.library is not None:
            message = (
                f"{task.name} calls {seen.library}. The exercise is to write it yourself; the library's own "
                "functions are for the stretch parts."
            )
            return Outcome(trouble="library", message=message)
        if run.error is not None and not isinstance(run.error, FormError | Unwritten):
            return raised(run.error, task)
        for name, value in arguments.items():
            if not same(value, given[name]):
                message = (
                    f"{task.name} writes into its argument {name}, which the caller still needs. "
                    "Work on a copy, or make new arrays."
                )
                return Outcome(trouble="wrote", message=message)
        if isinstance(run.error, FormError):
            return Outcome(trouble="form", message=f"{task.call} {run.error}.")
        if run.error is not None:
            return unwritten(task)
        return Outcome(arrays=run.result, peak_bytes=seen.peak_bytes)


def read_answer(task: Task, answer: Any, given: Arguments, arguments: Arguments) -> Arrays:
    """Call the answer and read what it returned, which may run its code too."""
    return read(task.ask(answer, given), task, arguments)


def observed(seen: Seen, work: Callable[[], Any], *, watched: bool, measured: bool) -> Any:
    """Do the work in this thread, and note what is seen."""
    with memory_of(seen) if measured else nullcontext():
        return under_watch(seen, work) if watched else work()


def with_its_threads(seen: Seen, work: Callable[[], Any], *, watched: bool) -> Any:
    """Do the work; threads that it starts are watched too."""
    threading.setprofile(watch(seen) if watched else None)
    try:
        return work()
    finally:
        threading.setprofile(None)


def under_watch(seen: Seen, work: Callable[[], Any]) -> Any:
    """Do the work under a profile function, which must still be there afterwards."""
    watcher = watch(seen)
    sys.setprofile(watcher)
    try:
        result = work()
        if seen.library is None and sys.getprofile() is not watcher:
            seen.library = "sys.setprofile"  # it removed the watch, so its other calls are unknown
        return result
    finally:
        sys.setprofile(None)


def watch(seen: Seen) -> Callable[[FrameType, str, Any], None]:
    """A profile function for this thread, which ends the call when it enters the library."""

    def enter(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        file = frame.f_code.co_filename
        if file.startswith(LIBRARY) and file not in UNWATCHED and frame.f_code is not read_answer.__code__:
            seen.library = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
            raise LibraryCallError

    return enter


@contextmanager
def memory_of(seen: Seen) -> Iterator[None]:
    """Record the peak of the memory allocated meanwhile, including NumPy's arrays."""
    gc.collect()
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        yield
        seen.peak_bytes = tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()


def unwritten(task: Task) -> Outcome:
    """The function is not written yet."""
    return Outcome(trouble="unwritten", message=f"{task.name} is not written yet: it returns nothing.")


def raised(error: BaseException, task: Task) -> Outcome:
    """An error as one sentence: its type, its text, and the learner's line."""
    if isinstance(error, NotImplementedError):
        return unwritten(task)
    if isinstance(error, StepResultError):
        return Outcome(trouble="form", message=f"{task.call}: {error}.")
    if isinstance(error, SystemExit):
        return Outcome(trouble="raised", message=f"{task.call} ends Python: it calls exit().")
    text = " ".join(message_of(error).split())
    text = text if len(text) <= 160 else f"{text[:160]}..."
    message = f"{task.call} raises {type(error).__name__}{f': {text}' if text else ''}{line_of(error)}."
    return Outcome(trouble="raised", message=message)


def line_of(error: BaseException) -> str:
    """The last line of the learner's code that an error passed through."""
    foreign = [
        (frame, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").split(".")[0] not in ("attnscope", "numpy", "threading")
    ]
    if not foreign:
        return ""
    frame, number = foreign[-1]
    line = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
    return f", in {frame.f_code.co_name}: `{line}`" if line else f", in {frame.f_code.co_name}, line {number}"


def copied(value: Any) -> Any:
    """A copy for the call."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return dict(value) if isinstance(value, dict) else value


def same(before: Any, after: Any) -> bool:
    """Whether an argument is unchanged."""
    if isinstance(before, np.ndarray):
        unchanged = before.shape == after.shape and before.dtype == after.dtype
        return bool(unchanged and before.tobytes() == after.tobytes())
    return bool(before == after) if isinstance(before, dict) else True
