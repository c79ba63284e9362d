"""A notebook's process as the judge uses it: start it, ask it, end it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from time import monotonic
from typing import Any, Self

import numpy as np

from attnscope.arguments import printable
from attnscope.lesson.calling import PATIENCE, Outcome
from attnscope.lesson.notebook import Limits
from attnscope.lesson.question import Arguments, Task
from attnscope.lesson.sandbox import HANDED_IN, INSIDE, Sandbox, copied_folder, environment, remove
from attnscope.lesson.wire import WireError, encoded, receive

MOST_TEXT = 400  # characters of a message from the process
MOST_STARTS = 16  # per notebook: a cell or function that ends the process is left out, and the rest run again
TOO_MUCH_BESIDE = "the files beside the notebook are too many or too large: it was run without them"
START = "from attnscope.lesson.host import main; main()"
DTYPE_KINDS = {"booleans": "b", "pairs": "b", "numbers": "f", "whole numbers": "O"}


@dataclass(eq=False)
class Host:
    """The process of a notebook. It is started when it is needed, and again when it has ended."""

    path: Path
    limits: Limits
    until: float
    cells: int
    sandbox: Sandbox
    process: subprocess.Popen[bytes] | None = None
    folder: Path | None = None
    starts: int = 0
    skipped: set[int] = field(default_factory=set)
    notes: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def request(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a message and return the reply.

        Raises WireError if the process has ended, and TimeoutError if no reply comes in time.
        """
        if self.process is None:
            self.start()
        until = min(monotonic() + seconds, self.until)
        self.write(encoded(message), until)
        return receive(lambda count: self.read(count, until))

    def write(self, data: bytes, until: float) -> None:
        """Write all of it. Raises TimeoutError if the process does not read it in time."""
        rest = memoryview(data)
        while rest:
            left = until - monotonic()
            if left <= 0 or not select([], [self.requests], [], left)[1]:
                raise TimeoutError
            try:
                rest = rest[self.requests.write(rest) or 0 :]
            except OSError as error:
                raise WireError(str(error)) from error

    def read(self, count: int, until: float) -> bytes:
        """That many bytes, or fewer if the process has ended. Raises TimeoutError if they come too late."""
        data = bytearray()
        while len(data) < count:
            left = until - monotonic()
            if left <= 0 or not select([self.replies], [], [], left)[0]:
                raise TimeoutError
            more = self.replies.read(min(count - len(data), 1 << 16))
            if not more:
                break
            data += more
        return bytes(data)

    def start(self) -> None:
        """Run the notebook's cells. A cell that ends the process is left out at the next start."""
        while True:
            if monotonic() >= self.until:
                raise TimeoutError
            self.starts += 1
            if self.starts > MOST_STARTS:
                raise WireError("its process ended too often")
            self.spawn()
            cell = self.run_cells()
            if cell is None:
                return
            self.end()
            self.skipped.add(cell)
            self.notes[cell] = "it ended the process"

    def run_cells(self) -> int | None:
        """Wait for the cells to run. Returns the number of the cell that ended the process, or None."""
        cell = 0
        for _ in range(2 * self.cells + 1):  # each is announced, and may fail
            try:
                reply = receive(lambda count: self.read(count, self.until))
            except WireError:
                if cell == 0:
                    raise
                return cell
            if reply.get("ready"):
                return None
            number = reply.get("cell")
            if not isinstance(number, int) or not cell <= number <= self.cells:
                return cell
            cell = number
            if "trouble" in reply:
                self.notes[cell] = printable(str(reply["trouble"])[:MOST_TEXT], line_feeds=False)
        return cell

    def spawn(self) -> None:
        """Start the process in its own group, so that everything it starts can be ended with it."""
        self.folder, whole = copied_folder(self.path.resolve())
        if not whole:
            self.notes[0] = TOO_MUCH_BESIDE
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        confined = self.sandbox.program is not None
        given = {
            "requests": theirs_in,
            "replies": theirs_out,
            "path": str(Path(HANDED_IN if confined else self.folder) / self.path.name),
            "cell_seconds": self.limits.cell_seconds,
            "call_seconds": self.limits.call_seconds,
            "memory_bytes": self.limits.memory_bytes,
            "processes": self.sandbox.processes(),
            "user": self.sandbox.user(),
            "skipped": sorted(self.skipped),
        }
        python = [sys.executable, "-P", "-c", START, json.dumps(given)]
        try:
            self.process = subprocess.Popen(
                [*self.sandbox.command(self.folder), *python],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                pass_fds=(theirs_in, theirs_out),
                env=environment(INSIDE if confined else str(self.folder)),
                start_new_session=True,
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
            os.set_blocking(ours_out, False)
            self.requests, self.replies = (
                os.fdopen(ours_out, "wb", buffering=0),
                os.fdopen(ours_in, "rb", buffering=0),
            )

    def end(self) -> None:
        """End the process and everything that it started, and remove its folder."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None
            for stream in (self.requests, self.replies):
                stream.close()
        if self.folder is not None:
            remove(self.folder.parent)
            self.folder = None


@dataclass(frozen=True, eq=False)
class RemoteAnswers:
    """A notebook's functions, called in its process."""

    host: Host
    stretch: bool = False

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the task's function. A call without a reply is an outcome too."""
        message = {
            "stretch": self.stretch,
            "task": {
                "name": task.name,
                "call": task.call,
                "parameters": task.parameters,
                "results": task.results,
                "kind": task.kind,
                "ask": task.ask.__name__,
            },
            "arguments": arguments,
            "measured": measured,
        }
        try:
            reply = self.host.request(message, self.host.limits.call_seconds + 2 * PATIENCE + 1)
            return outcome_of(reply, task)
        except TimeoutError:
            self.host.end()
            late = f"{task.call} gave no answer in the time that the notebook had left."
            return Outcome(trouble="time", message=late)
        except WireError:
            self.host.end()
            return Outcome(trouble="ended", message=f"{task.call} ended the process it ran in.")
        except Exception:
            self.host.end()  # the next question must not read the rest of this reply
            raise


def outcome_of(reply: dict[str, Any], task: Task) -> Outcome:
    """A reply as an outcome. Nothing in it is trusted."""
    arrays = reply.get("arrays")
    peak = reply.get("peak_bytes")
    if reply.get("trouble") is not None:
        message = printable(str(reply.get("message"))[:MOST_TEXT], line_feeds=False)
        return Outcome(trouble=reply["trouble"], message=message)
    if not isinstance(arrays, list) or len(arrays) != len(task.results):
        raise WireError("no results")
    kind = DTYPE_KINDS[task.kind]
    if not all(isinstance(array, np.ndarray) and array.dtype.kind == kind for array in arrays):
        raise WireError("results of another kind")
    return Outcome(arrays=tuple(arrays), peak_bytes=peak if isinstance(peak, int) else None)
