"""A learner's function, called: on copies, with a time limit, watched for the library, its memory measured.

It runs in a thread of its own, which is told to stop when its time is over. An alarm would only ring in the main
thread, and a notebook's may be any; a forked process would need a function that can be sent there, and a fork of a
notebook's kernel, whose threads it would break. What cannot be stopped, as one long call inside NumPy, is left behind;
`attnscope check` runs a notebook in a process, which can always be ended.
"""

import ctypes
import gc
import linecache
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Literal

import numpy as np

import attnscope
from attnscope.lesson import asking, suspects
from attnscope.lesson.asking import StepResultError
from attnscope.lesson.forms import FormError, Unwritten, read
from attnscope.lesson.question import Arguments, Arrays, Task
from attnscope.probing import buffers, captured

Trouble = Literal["unwritten", "raised", "time", "library", "wrote", "form", "no function", "ended"]

PATIENCE = 1.0  # seconds to a thread that was told to stop
LIBRARY = str(Path(attnscope.__file__).parent)
NOT_THE_LIBRARY = (asking.__file__, suspects.__file__)  # what the checks themselves run


class OutOfTimeError(BaseException):
    """Raised inside an answer, so that its own `except Exception` does not swallow it."""


class LibraryCallError(BaseException):
    """Raised inside an answer that calls the library."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one call came to: arrays, or a trouble and the sentence that tells it.

    peak_bytes    the most memory that was held during the call beyond what was held before, where it was measured
    """

    arrays: Arrays = ()
    trouble: Trouble | None = None
    says: str = ""
    peak_bytes: int | None = None


@dataclass
class Run:
    """One run in a thread: what came of it so far."""

    result: Any = None
    error: BaseException | None = None
    done: bool = False
    late: bool = False  # what comes after the time is over counts for nothing
    library: str | None = None
    peak_bytes: int | None = None
    closing: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False  # nothing is raised in the thread any more


@dataclass(frozen=True, eq=False)
class Answers:
    """A learner's functions by name, and how they are called."""

    functions: Mapping[str, Any]
    seconds: float
    library_allowed: bool = False

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the function that a task is about."""
        answer = self.functions.get(task.name)
        if answer is None or answer is ...:
            return unwritten(task)
        if not callable(answer):
            says = (
                f"{task.name} is {type(answer).__name__} and no function: pass {task.name}, not {task.call}."
            )
            return Outcome(trouble="no function", says=says)
        given = {name: copied(value) for name, value in arguments.items()}
        run = self.run(partial(task.ask, answer, given), measured)  # no lambda: the watch would see it
        return self.outcome(run, task, arguments, given)

    def outcome(self, run: Run, task: Task, arguments: Arguments, given: Arguments) -> Outcome:
        """What a run came to."""
        if run.late or not run.done:
            says = f"{task.call} gave no answer within {self.seconds:g} s. Is there a loop that does not end?"
            return Outcome(trouble="time", says=says)
        if run.library is not None:
            says = (
                f"{task.name} calls {run.library}. The exercise is to write it yourself; the library's own functions "
                "are for the stretch parts."
            )
            return Outcome(trouble="library", says=says)
        if run.error is not None:
            return raised(run.error, task)
        for name, value in arguments.items():
            if not same(value, given[name]):
                says = (
                    f"{task.name} writes into its argument {name}: whoever called it still needs it. "
                    "Work on a copy, or make new arrays."
                )
                return Outcome(trouble="wrote", says=says)
        try:
            return Outcome(arrays=read(run.result, task, arguments), peak_bytes=run.peak_bytes)
        except Unwritten:
            return unwritten(task)
        except FormError as error:
            return Outcome(trouble="form", says=f"{task.call} {error}.")

    def run(self, work: Callable[[], Any], measured: bool) -> Run:
        """Run in a thread, and wait for it no longer than it may take."""
        run = Run()
        buffer = buffers()[-1] if buffers() else None  # what this thread captures, its thread does too
        thread = threading.Thread(
            target=in_the_thread, args=(run, work, not self.library_allowed, measured, buffer)
        )
        thread.daemon = True
        thread.start()
        try:
            thread.join(self.seconds)
        finally:
            if thread.is_alive():  # out of time, or the learner interrupts
                run.late = True
                stop(thread, run)
        return run


def in_the_thread(
    run: Run, work: Callable[[], Any], watched: bool, measured: bool, buffer: StringIO | None = None
) -> None:
    """Do the work, and note what happens."""
    if buffer is not None:
        with captured(buffer):
            in_the_thread(run, work, watched, measured)
        return
    try:
        with np.errstate(all="ignore"), memory_of(run) if measured else nullcontext():
            run.result = observed(run, work) if watched else work()
        run.done = True
    except OutOfTimeError:
        pass
    except BaseException as error:  # noqa: BLE001  # whatever a learner's code raises is told, and ends nothing
        run.error, run.done = error, True
    finally:
        close(run)


def observed(run: Run, work: Callable[[], Any]) -> Any:
    """Work under the watch, which is expected to be there still when the work is done."""
    watcher = watch(run)
    sys.setprofile(watcher)
    try:
        result = work()
        if run.library is None and sys.getprofile() is not watcher:
            run.library = "sys.setprofile"  # so that nobody sees what else it calls
        return result
    finally:
        sys.setprofile(None)


@contextmanager
def memory_of(run: Run) -> Iterator[None]:
    """Note the peak of what is allocated meanwhile, NumPy's arrays among it."""
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
    """What Python calls before each call in this thread: ends the run where it enters the library."""

    def enter(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        file = frame.f_code.co_filename
        if file.startswith(LIBRARY) and file not in NOT_THE_LIBRARY:
            run.library = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
            raise LibraryCallError

    return enter


def stop(thread: threading.Thread, run: Run) -> None:
    """Raise inside a thread until it ends, or patience does."""
    until = monotonic() + PATIENCE
    while thread.is_alive() and monotonic() < until:
        with run.closing:
            if not run.closed and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTimeError)
                )
        thread.join(0.05)


def close(run: Run) -> None:
    """Receive here what was raised and has not arrived yet: later, it would end the thread noisily."""
    while not run.closed:
        try:
            with run.closing:
                run.closed = True
            for _ in range(100):  # each turn of a loop looks whether something has arrived
                pass
        except OutOfTimeError:
            pass


def unwritten(task: Task) -> Outcome:
    """Nothing to judge yet."""
    return Outcome(trouble="unwritten", says=f"{task.name} is not written yet: it returns nothing.")


def raised(error: BaseException, task: Task) -> Outcome:
    """An error, told short: what, and in which line of the learner's."""
    if isinstance(error, NotImplementedError):
        return unwritten(task)
    if isinstance(error, StepResultError):
        return Outcome(trouble="form", says=f"{task.call}: {error}.")
    if isinstance(error, SystemExit):
        return Outcome(trouble="raised", says=f"{task.call} ends Python: it calls exit().")
    text = " ".join(text_of(error).split())
    text = text if len(text) <= 160 else f"{text[:160]}..."
    says = f"{task.call} raises {type(error).__name__}{f': {text}' if text else ''}{line_of(error)}"
    return Outcome(trouble="raised", says=f"{says}.")


def text_of(error: BaseException) -> str:
    """Its message."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a foreign __str__ may raise anything
        return "an error that cannot be printed"


def line_of(error: BaseException) -> str:
    """The learner's last line on the way to an error."""
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
    """Arguments of its own for each call."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return dict(value) if isinstance(value, dict) else value


def same(before: Any, after: Any) -> bool:
    """Whether an argument is what it was."""
    if isinstance(before, np.ndarray):
        unchanged = before.shape == after.shape and before.dtype == after.dtype
        return bool(unchanged and before.tobytes() == after.tobytes())
    return bool(before == after) if isinstance(before, dict) else True
