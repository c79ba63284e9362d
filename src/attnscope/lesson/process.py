"""A notebook's process as the judge uses it: start it, ask it, end it."""

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

from attnscope.lesson.calling import PATIENCE, Outcome
from attnscope.lesson.notebook import Limits
from attnscope.lesson.question import Arguments, Exercise, Task
from attnscope.lesson.verdict import printable
from attnscope.lesson.wire import WireError, encoded, receive

MOST_TEXT = 400  # characters of a message from the process
MOST_STARTS = 16  # per notebook: a cell or function that ends the process is left out, and the rest run again
START = "from attnscope.lesson.host import main; main()"
DTYPE_KINDS = {"booleans": "b", "pairs": "b", "numbers": "f", "whole numbers": "O"}


@dataclass(eq=False)
class Host:
    """The process of a notebook. It is started when it is needed, and again when it has ended."""

    path: Path
    limits: Limits
    until: float
    cells: int
    process: subprocess.Popen[bytes] | None = None
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
                self.notes[cell] = printable(str(reply["trouble"])[:MOST_TEXT])
        return cell

    def spawn(self) -> None:
        """Start the process in its own group, so that everything it starts can be ended with it."""
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        limits = (self.limits.cell_seconds, self.limits.call_seconds, self.limits.memory_bytes)
        arguments = map(str, (theirs_in, theirs_out, self.path.resolve(), *limits, *self.skipped))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.path.resolve().parent,
                pass_fds=(theirs_in, theirs_out),
                env={**os.environ, "MPLBACKEND": "Agg"},
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
        """End the process and everything that it started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self.process = None
        for stream in (self.requests, self.replies):
            stream.close()


@dataclass(frozen=True, eq=False)
class RemoteAnswers:
    """A notebook's functions, called in its process."""

    host: Host
    exercise: Exercise
    stretch: bool = False

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the task's function. A call without a reply is an outcome too."""
        message = {
            "exercise": self.exercise.number,
            "stretch": self.stretch,
            "task": task.name,
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
        return Outcome(trouble=reply["trouble"], message=printable(str(reply.get("message"))[:MOST_TEXT]))
    if not isinstance(arrays, list) or len(arrays) != len(task.results):
        raise WireError("no results")
    kind = DTYPE_KINDS[task.kind]
    if not all(isinstance(array, np.ndarray) and array.dtype.kind == kind for array in arrays):
        raise WireError("results of another kind")
    return Outcome(arrays=tuple(arrays), peak_bytes=peak if isinstance(peak, int) else None)
