"""The process in which a learner's notebook runs: first its cells, then its functions, as often as the judge asks.

The judge sits in the process that started this one. Here nothing is judged: arrays go back, and nothing that a notebook
prints, or makes of `check`, is a verdict. That keeps mischief out, and is no sandbox: a notebook can read and write files.
"""

import linecache
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, BinaryIO

from attnscope.lesson import notebook
from attnscope.lesson.calling import Answers, OutOfTimeError, line_of, text_of
from attnscope.lesson.check import exercise_of
from attnscope.lesson.verdict import Verdict
from attnscope.lesson.wire import WireError, receive, send, with_suspects

OUT_OF_MEMORY = "it needed more memory than it may have"


def main() -> None:
    """Serve one judge: file descriptors to read and to write, the notebook, and what it may take."""
    reading, writing, path, cell_seconds, call_seconds, memory_bytes, *skipped = sys.argv[1:]
    with os.fdopen(int(reading), "rb") as requests, os.fdopen(int(writing), "wb") as replies:
        for number in range(1, 11):
            exercise_of(number)  # loaded while the notebook can change nothing yet
        limit_memory(int(memory_bytes))
        sys.path.insert(0, str(Path(path).parent))
        space = run_cells(Path(path), float(cell_seconds), {int(index) for index in skipped}, replies)
        serve(space, float(call_seconds), requests, replies)


def limit_memory(most_bytes: int) -> None:
    """Refuse memory beyond what the library itself has taken so far, where the system can."""
    import resource

    try:
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        taken = 1 << 30
    resource.setrlimit(resource.RLIMIT_AS, (taken + most_bytes, taken + most_bytes))


def run_cells(path: Path, seconds: float, skipped: set[int], replies: BinaryIO) -> dict[str, Any]:
    """Run all cells in one namespace, whatever becomes of each, and tell which one is next and what went wrong."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module  # where a learner's own classes are looked up
    vars(module).update(display=nothing, __builtins__=__builtins__)
    for name in ("attnscope.lesson", "attnscope.lesson.check"):
        sys.modules[name].check = later  # type: ignore[attr-defined]  # what it says would count for nothing
    for number, source in enumerate(notebook.code_cells(path), start=1):
        if number in skipped:
            continue
        send(replies, {"cell": number})
        trouble = run_cell(source, f"<cell {number}>", vars(module), seconds)
        if trouble:
            send(replies, {"cell": number, "trouble": trouble})
    send(replies, {"ready": True})
    return vars(module)


def run_cell(source: str, name: str, space: dict[str, Any], seconds: float) -> str:
    """What went wrong in a cell, or nothing."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        code = compile(source, name, "exec")
        with alarm(seconds):
            exec(code, space)  # a learner's notebook, run on purpose
    except OutOfTimeError:
        return f"it did not end within {seconds:g} s"
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001  # whatever a cell raises, the next ones run
        return f"{type(error).__name__}: {' '.join(text_of(error).split())[:160]}{line_of(error)}"
    return ""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise in a cell whose time is over."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # and again, for a cell that catches everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def serve(space: dict[str, Any], seconds: float, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer until the judge has no more questions."""
    while True:
        try:
            asked = receive(requests.read)
        except WireError:
            return
        exercise = exercise_of(asked["exercise"])
        task = next(task for task in exercise.tasks if task.name == asked["task"])
        answers = Answers(space, seconds)
        outcome = answers.ask(task, with_suspects(asked["arguments"]), measured=asked["measured"])
        send(
            replies,
            {
                "arrays": outcome.arrays,
                "trouble": outcome.trouble,
                "says": outcome.says,
                "peak_bytes": outcome.peak_bytes,
            },
        )


def later(*_answers: Any, **_options: Any) -> Verdict:
    """What stands in the place of check() while the cells run."""
    return Verdict(True, "to be judged when all cells have run.")


def nothing(*_things: Any, **_options: Any) -> None:
    """What stands in the place of IPython's display()."""
