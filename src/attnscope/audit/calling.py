"""Calls of foreign code: with a time limit, without its output, and with whatever it raises caught."""

import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from types import FrameType
from typing import Any

import numpy as np


class TookTooLong(BaseException):
    """Raised inside the foreign code, so that its own `except Exception` does not swallow it."""


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
    """What the foreign code wrote to its standard streams."""

    text: str = ""


def guarded(work: Callable[[], Any], seconds: float, printed: Printed) -> Any:
    """Run foreign code.

    Errors
        NoAnswer when it raises or takes longer than `seconds`.
    """
    stream = StringIO()
    try:
        with (
            redirect_stdout(stream),
            redirect_stderr(stream),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            return within(work, seconds)
    except TookTooLong:
        raise NoAnswer("hung", f"gave no answer within {seconds:g} s") from None
    except MemoryError as error:
        raise NoAnswer("raised", f"ran out of memory: {told(error)}") from error
    except Exception as error:
        raise NoAnswer("raised", f"raises {told(error)}") from error
    except SystemExit as error:
        raise NoAnswer("raised", f"ends the process: SystemExit({error.code!r})") from error
    finally:
        printed.text = (printed.text + stream.getvalue())[:2000]


def told(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  # a foreign __str__ may raise anything
        text = "an error that cannot be printed"
    text = text if len(text) <= 200 else f"{text[:200]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def within(work: Callable[[], Any], seconds: float) -> Any:
    """Run with a time limit: by an alarm in the main thread, else in a thread that is left behind."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with alarm(seconds):
            return work()
    return in_a_thread(work, seconds)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, before)


def in_a_thread(work: Callable[[], Any], seconds: float) -> Any:
    outcome: list[Any] = []

    def run() -> None:
        try:
            with np.errstate(all="ignore"):
                outcome.extend((True, work()))
        except BaseException as error:  # noqa: BLE001  # it is raised again where it was asked for
            outcome.extend((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TookTooLong
    done, result = outcome
    if not done:
        raise result
    return result


def random_states() -> tuple[Any, ...]:
    """The global random states that foreign code may draw from: Python's, NumPy's, and torch's where it is loaded."""
    kind, numbers, position, *_ = np.random.get_state(legacy=True)  # noqa: NPY002  # the global one is what is asked about
    torch = sys.modules.get("torch")
    torch_state = () if torch is None else tuple(torch.get_rng_state().tolist()[:700])
    return random.getstate(), kind, np.asarray(numbers).tobytes(), position, torch_state
