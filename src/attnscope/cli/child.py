"""A command's work in a child process: foreign code there can exit, block or print without harm to it.

The child sends messages over a pipe: its next call, its progress, and its result or a refusal. The command
kills the child when its time is over, whatever the foreign code does.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from attnscope.arguments import printable
from attnscope.errors import AttentionError

START = "import sys; from attnscope.cli.child import serve; serve(int(sys.argv[1]))"
SECONDS_TO_BEGIN = 120.0  # importing a framework and loading a model are slow
SECONDS_TO_END = 3.0  # from the end of the time until the child is killed
MOST_KEPT = 2000  # bytes of what a child wrote to its error stream
Progress = Callable[[float, str], None]


class RefusedError(AttentionError):
    """An AttentionError in the child, with its message."""


class LostError(Exception):
    """The child ended, or was killed, before it had a result."""

    def __init__(self, reason: str, doing: str | None, calls: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.doing = doing
        self.calls = calls


class Messages:
    """What the work in the child sends."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def begun(self) -> None:
        """From now on the time counts."""
        self.pipe.send(("begun",))

    def progress(self, share: float, step: str) -> None:
        """A share of the work is done."""
        self.pipe.send(("progress", share, step))

    def doing(self, call: str) -> None:
        """Foreign code is called next."""
        self.pipe.send(("doing", call))


def serve(descriptor: int) -> None:
    """Do the work that the command sends, and end without waiting for threads of foreign code."""
    pipe = Connection(descriptor)
    module, name, arguments = pipe.recv()
    work = getattr(import_module(module), name)
    try:
        answer = ("done", work(Messages(pipe), **arguments))
    except AttentionError as error:
        answer = ("refused", str(error))
    pipe.send(answer)
    os._exit(0)


class Child:
    """A child process, and the messages from it."""

    def __init__(self, seconds: float, progress: Progress) -> None:
        self.seconds, self.progress = seconds, progress
        self.limit = SECONDS_TO_BEGIN
        self.until = monotonic() + SECONDS_TO_BEGIN
        self.doing: str | None = None
        self.calls = 0
        self.written = b""
        self.pipe, theirs = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self.reader = threading.Thread(target=self.read_errors, daemon=True)
        self.reader.start()

    def read_errors(self) -> None:
        """Keep the end of what the child writes to its error stream."""
        assert self.process.stderr is not None
        with suppress(OSError, ValueError):
            while chunk := os.read(self.process.stderr.fileno(), MOST_KEPT):
                self.written = (self.written + chunk)[-MOST_KEPT:]

    def call(self, work: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Let the child call a function, and return its result; LostError if there is none."""
        self.pipe.send((work.__module__, work.__qualname__, arguments))
        while True:
            kind, *content = self.message()
            if kind == "done":
                return content[0]
            if kind == "refused":
                raise RefusedError(content[0])
            if kind == "begun":
                self.limit = self.seconds
                self.until = monotonic() + self.seconds + SECONDS_TO_END
            elif kind == "progress":
                self.progress(*content)
            else:
                self.doing, self.calls = content[0], self.calls + 1

    def message(self) -> Any:
        """The next message; LostError if there is none in time."""
        try:
            if self.pipe.poll(max(0.0, self.until - monotonic())):
                return self.pipe.recv()
        except (EOFError, OSError):
            raise LostError(f"ends the process: {self.end_in_words()}", self.doing, self.calls) from None
        reason = f"gives no answer within {self.limit:g} s and cannot be interrupted"
        raise LostError(reason, self.doing, self.calls)

    def end_in_words(self) -> str:
        """How the process ended, with the last line of its error stream."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_END)
        self.reader.join(SECONDS_TO_END)
        code = self.process.poll()
        how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        lines = printable(self.written.decode("utf-8", "replace")).strip().splitlines()
        return f"{how} ({lines[-1].strip()})" if lines else how

    def end(self) -> None:
        """Kill the child and the processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.pipe.close()
        self.reader.join(SECONDS_TO_END)
        assert self.process.stderr is not None
        self.process.stderr.close()


def in_child(
    work: Callable[..., Any], arguments: dict[str, Any], *, seconds: float, progress: Progress
) -> Any:
    """Call work(messages, **arguments) in a child process and return its result, or raise LostError."""
    child = Child(seconds, progress)
    try:
        return child.call(work, arguments)
    finally:
        child.end()
