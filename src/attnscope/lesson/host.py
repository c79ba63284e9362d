"""The process of a learner's notebook: it runs the cells, then its functions, as often as the judge asks.

The judge is in the process that started this one; nothing is judged here, and the right answers are not
loaded. Arrays go back, and nothing that a notebook prints, or replaces `check` by, is a verdict. The process
limits what it may use; sandbox.py decides what it may see.
"""

import json
import linecache
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from attnscope.lesson import unwatched
from attnscope.lesson.calling import Answers, line_of
from attnscope.lesson.notebook import code_cells, plain_python
from attnscope.lesson.question import Task
from attnscope.lesson.verdict import Verdict
from attnscope.lesson.wire import WireError, receive, send, with_suspects
from attnscope.probing import TimeIsUp, alarm, message_of

MOST_FILE_BYTES = 64 << 20
MOST_OPEN_FILES = 256
OUT_OF_MEMORY = "it needed more memory than it may have"


def main() -> None:
    """Serve one judge. The argument is JSON: two file descriptors, the notebook and its bounds."""
    given = json.loads(sys.argv[1])
    path = Path(given["path"])
    with os.fdopen(given["requests"], "rb") as requests, os.fdopen(given["replies"], "wb") as replies:
        limit(given["memory_bytes"], given["processes"])
        become(given["user"])
        if not path.parent.samefile("."):  # it can only be read there
            shutil.copytree(path.parent, "work")
            os.chdir("work")
        sys.path.insert(0, str(Path.cwd()))
        space = run_cells(Path(path.name), given["cell_seconds"], set(given["skipped"]), replies)
        serve(space, given["call_seconds"], requests, replies)


def become(user: int | None) -> None:
    """Become this user, without rights or groups of another one."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def limit(memory_bytes: int, processes: int) -> None:
    """Limit what this process and those that it starts may use, each by itself."""
    import resource

    limit_memory(memory_bytes)
    limits = {
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_FSIZE: MOST_FILE_BYTES,
        resource.RLIMIT_NOFILE: MOST_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        highest = resource.getrlimit(kind)[1]
        most = most if highest == resource.RLIM_INFINITY else min(most, highest)
        resource.setrlimit(kind, (most, most))


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
        sys.modules[name].solution = nothing  # type: ignore[attr-defined]
    for number, source in enumerate(map(plain_python, code_cells(path)), start=1):
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
        task = task_of(asked["task"])
        answers = Answers(space, seconds, library_allowed=asked["stretch"], threads_too=True)
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


def task_of(given: dict[str, Any]) -> Task:
    """A task as far as a call needs it."""
    return Task(
        given["name"],
        tuple(given["parameters"]),
        tuple(given["results"]),
        draws=(),
        ask=getattr(unwatched, given["ask"]),
        kind=given["kind"],
        writes=given["call"],
    )


def later(*_answers: Any, **_options: Any) -> Verdict:
    """Replaces check() while the cells run."""
    return Verdict(True, "to be judged when all cells have run.")


def nothing(*_things: Any, **_options: Any) -> None:
    """Replaces IPython's display(), and solution()."""
