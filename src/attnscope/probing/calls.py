"""Calls of foreign code: with a time limit, without its output, and with whatever it raises caught.

In the main thread an alarm ends a call. Elsewhere no alarm rings, so the call runs in a thread of its own, into which an
exception is raised when its time is over. What that cannot stop, such as one long call inside NumPy, is left behind.
"""

import ctypes
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from time import monotonic
from types import FrameType
from typing import Any

import numpy as np

from attnscope.probing.output import captured

PATIENCE = 0.2  # seconds that a thread gets to end after its time is over
MOST_PRINTED = 2000  # characters of what foreign code prints


class TimeIsUp(BaseException):
    """Raised inside foreign code; no Exception, so that its own `except Exception` does not swallow it."""


class NoAnswer(Exception):
    """The call gave no answer that could be judged.

    kind    "raised", "hung", "type" or "shape"
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


@dataclass
class Printed:
    """What foreign code wrote to its standard streams."""

    text: str = ""


@dataclass
class Run:
    """One run in a thread: what came of it so far.

    late    the time was over before it was done; what comes after that does not count
    """

    result: Any = None
    error: BaseException | None = None
    done: bool = False
    late: bool = False
    closing: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False  # from now on nothing is raised in the thread


def guarded(work: Callable[[], Any], seconds: float, printed: Printed) -> Any:
    """Run foreign code and return what it returns.

    Raises
    ------
    NoAnswer
        If it raises, ends the process or takes longer than `seconds`.
    """
    buffer = StringIO()
    try:
        with captured(buffer), np.errstate(all="ignore"):
            return within(work, seconds, buffer)
    except TimeIsUp:
        raise NoAnswer("hung", f"gave no answer within {seconds:g} s") from None
    except MemoryError as error:
        raise NoAnswer("raised", f"ran out of memory: {error_in_words(error)}") from error
    except Exception as error:
        raise NoAnswer("raised", f"raises {error_in_words(error)}") from error
    except SystemExit as error:
        raise NoAnswer("raised", f"ends the process: SystemExit({error.code!r})") from error
    finally:
        printed.text = (printed.text + buffer.getvalue())[:MOST_PRINTED]


def error_in_words(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(message_of(error).split())
    text = text if len(text) <= 200 else f"{text[:200]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def message_of(error: BaseException) -> str:
    """An error's own text."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a foreign __str__ may raise anything
        return "an error that cannot be printed"


def within(work: Callable[[], Any], seconds: float, buffer: StringIO) -> Any:
    """Run with a time limit: by an alarm in the main thread, else in a thread."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with alarm(seconds):
            return work()
    run = run_in_thread(work, seconds, PATIENCE, buffer)
    if run.late or not run.done:
        raise TimeIsUp
    if run.error is not None:
        raise run.error
    return run.result


@contextmanager
def alarm(seconds: float, again: float = 0.0) -> Iterator[None]:
    """Raise TimeIsUp in the main thread after `seconds`, and every `again` seconds from then on if that is not 0."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, again)
    try:
        yield
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, left, interval)
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)


def run_in_thread(
    work: Callable[[], Any], seconds: float, patience: float, buffer: StringIO | None = None
) -> Run:
    """Run in a thread, wait no longer than `seconds`, then raise TimeIsUp in it for `patience` seconds.

    What the thread prints goes to `buffer`, or where it is printed.
    """
    run = Run()
    thread = threading.Thread(target=in_the_thread, args=(run, work, buffer), daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        if thread.is_alive():  # the time is over, or the user interrupts
            run.late = True
            stop(thread, run, patience)
    return run


def in_the_thread(run: Run, work: Callable[[], Any], buffer: StringIO | None) -> None:
    """Do the work and note what happens."""
    if buffer is not None:
        with captured(buffer):
            in_the_thread(run, work, None)
        return
    try:
        with np.errstate(all="ignore"):
            run.result = work()
        run.done = True
    except TimeIsUp:
        pass
    except BaseException as error:  # noqa: BLE001  # it is raised again, or reported, in the thread that waits
        run.error, run.done = error, True
    finally:
        close(run)


def stop(thread: threading.Thread, run: Run, patience: float) -> None:
    """Raise inside a thread until it ends, or patience does."""
    until = monotonic() + patience
    while thread.is_alive() and monotonic() < until:
        with run.closing:
            if not run.closed and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(TimeIsUp)
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
        except TimeIsUp:
            pass


def random_states() -> tuple[Any, ...]:
    """The global random states that foreign code may draw from: Python's, NumPy's, and torch's if it is loaded."""
    kind, numbers, position, *_ = np.random.get_state(legacy=True)  # noqa: NPY002  # the global one is meant
    torch = sys.modules.get("torch")
    torch_state = () if torch is None else tuple(torch.get_rng_state().tolist()[:700])
    return random.getstate(), kind, np.asarray(numbers).tobytes(), position, torch_state
