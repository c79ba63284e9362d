"""Calls of foreign code: with a time limit, with its output captured, and with every exception caught.

In the main thread an alarm ends a call. Other threads receive no alarm, so there the call runs in a thread
of its own, into which an exception is raised when its time is over. A thread that this cannot stop, such as
one in a long call of NumPy, is left behind.

`contextlib.redirect_stdout` replaces `sys.stdout` for the whole process. Two threads that use it at once
receive each other's lines, and the one that ends last restores the other's buffer. Here the standard
streams are replaced at most once, by a router that looks up the calling thread: threads that capture write
to their own buffer, all others to the real stream.
"""

import ctypes
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import StringIO
from time import monotonic
from types import FrameType
from typing import Any

import numpy as np

PATIENCE = 0.2  # seconds that a thread gets to end after its time is over
MOST_PRINTED = 2000  # characters of what foreign code prints


class TimeIsUp(BaseException):
    """Raised inside foreign code. It is no Exception, so that `except Exception` there does not catch it."""


class NoAnswer(Exception):
    """Raised if a call gave no answer that can be judged; kind is "raised", "hung", "type" or "shape"."""

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
    """The state of one run in a thread."""

    result: Any = None
    error: BaseException | None = None
    done: bool = False
    late: bool = False  # the time was over before it was done; a later result does not count
    closing: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False  # from now on nothing is raised in the thread


def guarded(work: Callable[[], Any], seconds: float, printed: Printed) -> Any:
    """Run foreign code and return what it returns.

    Raises
    ------
    NoAnswer
        If it raises, exits or takes longer than `seconds`. A NoAnswer that `work` raises passes.
    """
    buffer = StringIO()
    try:
        with captured(buffer), np.errstate(all="ignore"):
            return within(work, seconds, buffer)
    except TimeIsUp:
        raise NoAnswer("hung", f"gave no answer within {seconds:.3g} s") from None
    except NoAnswer:
        raise
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
    """Run with a time limit, which an alarm enforces in the main thread and a second thread elsewhere."""
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
    """Raise TimeIsUp in the main thread after `seconds`, then every `again` seconds if that is not 0."""

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

    What the thread prints goes to `buffer` if there is one.
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
    """Do the work and keep its result or its error."""
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
    except BaseException as error:  # noqa: BLE001  # the waiting thread raises or reports it
        run.error, run.done = error, True
    finally:
        close(run)


def stop(thread: threading.Thread, run: Run, patience: float) -> None:
    """Raise inside a thread until it ends, for at most `patience` seconds."""
    until = monotonic() + patience
    while thread.is_alive() and monotonic() < until:
        with run.closing:
            if not run.closed and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(TimeIsUp)
                )
        thread.join(0.05)


def close(run: Run) -> None:
    """Receive an exception that was raised and has not arrived yet: later, it would be printed."""
    while not run.closed:
        try:
            with run.closing:
                run.closed = True
            for _ in range(100):  # the interpreter delivers exceptions between iterations
                pass
        except TimeIsUp:
            pass


def random_states() -> tuple[Any, ...]:
    """Read the global random states of Python, NumPy, and torch if it is loaded."""
    kind, numbers, position, *_ = np.random.get_state(legacy=True)  # noqa: NPY002  # the global one is meant
    torch = sys.modules.get("torch")
    torch_state = () if torch is None else tuple(torch.get_rng_state().tolist()[:700])
    return random.getstate(), kind, np.asarray(numbers).tobytes(), position, torch_state


class Router:
    """A standard stream that sends a capturing thread's lines to its buffer, others to the real stream."""

    def __init__(self, onwards: Any) -> None:
        self.onwards = onwards

    def __getattr__(self, name: str) -> Any:
        return getattr(buffers()[-1] if buffers() else self.onwards, name)


class WarningRouter:
    """A `warnings.showwarning` that drops the warnings of capturing threads."""

    def __init__(self, onwards: Any) -> None:
        self.onwards = onwards

    def __call__(self, *details: Any, **more: Any) -> None:
        if not buffers():
            self.onwards(*details, **more)


THREAD = threading.local()
INSTALLING = threading.Lock()
ROUTED = ((sys, "stdout", Router), (sys, "stderr", Router), (warnings, "showwarning", WarningRouter))
users = 0  # captures under way; guarded by INSTALLING


def buffers() -> list[StringIO]:
    """The buffers of this thread's captures, the innermost last."""
    if not hasattr(THREAD, "buffers"):
        THREAD.buffers = []
    found: list[StringIO] = THREAD.buffers
    return found


@contextmanager
def captured(into: StringIO | None = None) -> Iterator[StringIO]:
    """Send what this thread prints to a buffer, and drop its warnings; other threads are not affected.

    A thread that works on behalf of another passes that thread's buffer as `into`.
    """
    buffer = StringIO() if into is None else into
    own = buffers()
    with ExitStack() as ends:
        install()
        ends.callback(uninstall)
        own.append(buffer)
        ends.callback(own.pop)
        if threading.current_thread() is threading.main_thread():  # filters belong to the process
            ends.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield buffer


def install() -> None:
    """Put the routers in place, unless they are."""
    global users
    with INSTALLING:
        users += 1
        for place, name, router in ROUTED:
            if not isinstance(getattr(place, name), router):
                setattr(place, name, router(getattr(place, name)))


def uninstall() -> None:
    """Restore the real streams after the last capture; a stream that other code put in their place stays."""
    global users
    with INSTALLING:
        users -= 1
        for place, name, router in ROUTED:
            if users == 0 and isinstance(getattr(place, name), router):
                setattr(place, name, getattr(place, name).onwards)
