"""Call a learner's function: on copies, with a time limit, watched for calls to the library, its memory measured.

The call runs in a thread of its own, in which an exception is raised when its time is over. An alarm would only work in
the main thread, and a fork would break the threads of a notebook's kernel. What cannot be stopped, such as one long
call inside NumPy, is left behind. `attnscope check` runs a notebook in a process, which can always be ended.
"""

import ctypes
import gc
import linecache
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Literal

import numpy as np

from attnscope.lesson.forms import FormError, Unwritten, read
from attnscope.lesson.question import Arguments, Arrays, Task
from attnscope.lesson.unwatched import StepResultError, at_once

Trouble = Literal["unwritten", "raised", "time", "library", "wrote", "form", "no function", "ended"]

PATIENCE = 1.0  # seconds in which a thread must react to the exception that stops it
LIBRARY = str(Path(__file__).parents[1])
UNWATCHED = at_once.__code__.co_filename


class OutOfTimeError(BaseException):
    """Raised inside an answer, so that its own `except Exception` does not swallow it."""


class LibraryCallError(BaseException):
    """Raised inside an answer that calls the library."""


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
class Run:
    """One run in a thread, and its result so far."""

    result: Any = None
    error: BaseException | None = None
    done: bool = False
    late: bool = False  # the time is over: a later result does not count
    library: str | None = None
    peak_bytes: int | None = None
    closing: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False  # no exception is raised in the thread any more


@dataclass(frozen=True, eq=False)
class Answers:
    """A learner's functions by name, called in this process."""

    functions: Mapping[str, Any]
    seconds: float
    library_allowed: bool = False

    def ask(
        self, task: Task, arguments: Arguments, *, measured: bool = False, quiet: bool = False
    ) -> Outcome:
        """Call the task's function. If `quiet`, what it prints is dropped, if no other thread could be affected."""
        answer = self.functions.get(task.name)
        if answer is None or answer is ...:
            return unwritten(task)
        if not callable(answer):
            kind = type(answer).__name__
            message = f"{task.name} is {kind} and no function: pass {task.name}, not {task.call}."
            return Outcome(trouble="no function", message=message)
        given = {name: copied(value) for name, value in arguments.items()}
        in_main_thread = threading.current_thread() is threading.main_thread()
        with redirect_stdout(StringIO()) if quiet and in_main_thread else nullcontext():
            run = self.run(partial(task.ask, answer, given), measured)  # no lambda: the watch would see it
        return self.outcome(run, task, arguments, given)

    def outcome(self, run: Run, task: Task, arguments: Arguments, given: Arguments) -> Outcome:
        """The outcome of a run."""
        if run.late or not run.done:
            message = (
                f"{task.call} did not return within {self.seconds:g} s. Is there a loop that does not end?"
            )
            return Outcome(trouble="time", message=message)
        if run.library is not None:
            message = (
                f"{task.name} calls {run.library}. The exercise is to write it yourself; the library's own functions "
                "are for the stretch parts."
            )
            return Outcome(trouble="library", message=message)
        if run.error is not None:
            return raised(run.error, task)
        for name, value in arguments.items():
            if not same(value, given[name]):
                message = (
                    f"{task.name} writes into its argument {name}, which the caller still needs. "
                    "Work on a copy, or make new arrays."
                )
                return Outcome(trouble="wrote", message=message)
        try:
            return Outcome(arrays=read(run.result, task, arguments), peak_bytes=run.peak_bytes)
        except Unwritten:
            return unwritten(task)
        except FormError as error:
            return Outcome(trouble="form", message=f"{task.call} {error}.")

    def run(self, work: Callable[[], Any], measured: bool) -> Run:
        """Run in a thread, and stop it when its time is over."""
        run = Run()
        thread = threading.Thread(target=in_the_thread, args=(run, work, not self.library_allowed, measured))
        thread.daemon = True
        thread.start()
        try:
            thread.join(self.seconds)
        finally:
            if thread.is_alive():  # out of time, or the learner interrupted
                run.late = True
                stop(thread, run)
        return run


def in_the_thread(run: Run, work: Callable[[], Any], watched: bool, measured: bool) -> None:
    """Do the work, and record what happens."""
    try:
        with np.errstate(all="ignore"), memory_of(run) if measured else nullcontext():
            run.result = observed(run, work) if watched else work()
        run.done = True
    except OutOfTimeError:
        pass
    except BaseException as error:  # noqa: BLE001  # a learner's code may raise anything, and it is reported
        run.error, run.done = error, True
    finally:
        close(run)


def observed(run: Run, work: Callable[[], Any]) -> Any:
    """Do the work under the watch, which must still be there afterwards."""
    watcher = watch(run)
    sys.setprofile(watcher)
    try:
        result = work()
        if run.library is None and sys.getprofile() is not watcher:
            run.library = "sys.setprofile"  # it removed the watch, so its other calls are unknown
        return result
    finally:
        sys.setprofile(None)


@contextmanager
def memory_of(run: Run) -> Iterator[None]:
    """Record the peak of the memory allocated meanwhile, including NumPy's arrays."""
    gc.collect()
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        yield
        run.peak_bytes = tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()


def watch(run: Run) -> Callable[[FrameType, str, Any], None]:
    """A profile function for this thread, which ends the run when it enters the library."""

    def enter(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        file = frame.f_code.co_filename
        if file.startswith(LIBRARY) and file != UNWATCHED:
            run.library = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
            raise LibraryCallError

    return enter


def stop(thread: threading.Thread, run: Run) -> None:
    """Raise OutOfTimeError inside a thread until it ends, for at most PATIENCE seconds."""
    until = monotonic() + PATIENCE
    while thread.is_alive() and monotonic() < until:
        with run.closing:
            if not run.closed and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTimeError)
                )
        thread.join(0.05)


def close(run: Run) -> None:
    """Receive an exception that was raised and has not arrived yet; later, it would be printed as unhandled."""
    while not run.closed:
        try:
            with run.closing:
                run.closed = True
            for _ in range(100):  # Python delivers such an exception between two turns of a loop
                pass
        except OutOfTimeError:
            pass


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
    text = " ".join(text_of(error).split())
    text = text if len(text) <= 160 else f"{text[:160]}..."
    message = f"{task.call} raises {type(error).__name__}{f': {text}' if text else ''}{line_of(error)}."
    return Outcome(trouble="raised", message=message)


def text_of(error: BaseException) -> str:
    """An error's message."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a foreign __str__ may raise anything
        return "an error that cannot be printed"


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
