"""The process of a learner's notebook: it runs the cells, then its functions, as often as the judge asks.

The judge is in the process that started this one; nothing is judged here. Arrays go back, and nothing that a
notebook prints, or replaces `check` by, is a verdict. This is no sandbox: a notebook can read and write
files.
"""

import linecache
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from attnscope.lesson.calling import Answers, line_of
from attnscope.lesson.check import EXERCISES, PROJECTS, exercise_of
from attnscope.lesson.notebook import code_cells
from attnscope.lesson.verdict import Verdict
from attnscope.lesson.wire import WireError, receive, send, with_suspects
from attnscope.probing import TimeIsUp, alarm, message_of

OUT_OF_MEMORY = "it needed more memory than it may have"


def main() -> None:
    """Serve one judge. Arguments: two file descriptors, the notebook, its limits, and the cells to skip."""
    reading, writing, path, cell_seconds, call_seconds, memory_bytes, *skipped = sys.argv[1:]
    with os.fdopen(int(reading), "rb") as requests, os.fdopen(int(writing), "wb") as replies:
        numbers: tuple[int | str, ...] = (*EXERCISES, *PROJECTS)
        for number in numbers:
            exercise_of(number)  # loaded before the notebook can change anything
        limit_memory(int(memory_bytes))
        sys.path.insert(0, str(Path(path).parent))
        space = run_cells(Path(path), float(cell_seconds), {int(index) for index in skipped}, replies)
        serve(space, float(call_seconds), requests, replies)


def limit_memory(most_bytes: int) -> None:
    """Limit memory beyond what the library itself uses, if the system can."""
    import resource

    try:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        used = 1 << 30
    resource.setrlimit(resource.RLIMIT_AS, (used + most_bytes, used + most_bytes))


def run_cells(path: Path, seconds: float, skipped: set[int], replies: BinaryIO) -> dict[str, Any]:
    """Run all cells in one namespace, and report the number and the error of each."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module  # pickle looks up a learner's own classes here
    vars(module).update(display=nothing, __builtins__=__builtins__)
    for name in ("attnscope.lesson", "attnscope.lesson.check"):
        sys.modules[name].check = later  # type: ignore[attr-defined]  # a verdict in here would not count
    for number, source in enumerate(code_cells(path), start=1):
        if number in skipped:
            continue
        send(replies, {"cell": number})
        trouble = run_cell(source, f"<cell {number}>", vars(module), seconds)
        if trouble:
            send(replies, {"cell": number, "trouble": trouble})
    send(replies, {"ready": True})
    return vars(module)


def run_cell(source: str, name: str, space: dict[str, Any], seconds: float) -> str:
    """Run a cell; returns what went wrong, or an empty string."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        code = compile(source, name, "exec")
        with alarm(seconds, again=0.5):  # repeated, for a cell that catches everything
            exec(code, space)  # running a learner's notebook is the purpose
    except TimeIsUp:
        return f"it did not end within {seconds:g} s"
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001  # the other cells run, whatever this one raises
        return f"{type(error).__name__}: {' '.join(message_of(error).split())[:160]}{line_of(error)}"
    return ""


def serve(space: dict[str, Any], seconds: float, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer questions until the judge closes the pipe."""
    while True:
        try:
            asked = receive(requests.read)
        except WireError:
            return
        exercise = exercise_of(asked["exercise"])
        stretch = bool(asked["stretch"])
        tasks = exercise.stretch if stretch else exercise.tasks
        task = next(task for task in tasks if task.name == asked["task"])
        answers = Answers(space, seconds, library_allowed=stretch)
        outcome = answers.ask(task, with_suspects(asked["arguments"]), measured=asked["measured"])
        send(
            replies,
            {
                "arrays": outcome.arrays,
                "trouble": outcome.trouble,
                "message": outcome.message,
                "peak_bytes": outcome.peak_bytes,
            },
        )


def later(*_answers: Any, **_options: Any) -> Verdict:
    """Replaces check() while the cells run."""
    return Verdict(True, "to be judged when all cells have run.")


def nothing(*_things: Any, **_options: Any) -> None:
    """Replaces IPython's display()."""
