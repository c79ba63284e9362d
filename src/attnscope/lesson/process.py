"""The process of a notebook, from the judge's side: started, asked, and ended, whatever the notebook does in it."""

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
from attnscope.lesson.question import Arguments, Exercise, Task
from attnscope.lesson.verdict import printable
from attnscope.lesson.wire import WireError, receive, send

MOST_STARTS = (
    16  # of a process for one notebook: those whose cells or functions end it are run anew without them
)
START = "from attnscope.lesson.host import main; main()"


@dataclass(frozen=True)
class Limits:
    """What a notebook may take: seconds for all of it, a cell, a call; bytes of memory beyond the library's own."""

    seconds: float = 60.0
    cell_seconds: float = 15.0
    call_seconds: float = 5.0
    memory_bytes: int = 2 << 30


@dataclass(eq=False)
class Host:
    """The process of a notebook, started when it is needed, and anew when it ended."""

    path: Path
    limits: Limits
    until: float
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    skipped: set[int] = field(default_factory=set)
    notes: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def request(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Ask, and wait for the reply no longer than this.

        Errors
            WireError where the process ended; TimeoutError where it is silent.
        """
        if self.process is None:
            self.start()
        send(self.requests, message)
        return self.reply(seconds)

    def reply(self, seconds: float) -> dict[str, Any]:
        """The next message."""
        until = min(monotonic() + seconds, self.until)
        return receive(lambda count: self.read(count, until))

    def read(self, count: int, until: float) -> bytes:
        """So many bytes, or fewer where the process ended; what a notebook wrote may promise more than comes.

        Errors
            TimeoutError
        """
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
        """Run the notebook's cells; one that ends the process is left out the next time."""
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
        """Follow the cells; the number of the one during which the process ended."""
        cell = 0
        while True:
            try:
                told = self.reply(self.limits.seconds)
            except WireError:
                if cell == 0:
                    raise
                return cell
            if told.get("ready"):
                return None
            if not isinstance(told.get("cell"), int):
                return cell
            cell = told["cell"]
            if "trouble" in told:
                self.notes[cell] = printable(str(told["trouble"]))

    def spawn(self) -> None:
        """A process in a group of its own, so that all that it starts can be ended with it."""
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        arguments = [
            theirs_in,
            theirs_out,
            self.path.resolve(),
            self.limits.cell_seconds,
            self.limits.call_seconds,
        ]
        try:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    START,
                    *map(str, [*arguments, self.limits.memory_bytes, *self.skipped]),
                ],
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
            self.requests, self.replies = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb", buffering=0)

    def end(self) -> None:
        """End the process and all that it started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self.process = None
        for stream in (self.requests, self.replies):
            with suppress(OSError):  # what was still to be written has no reader any more
                stream.close()


@dataclass(frozen=True, eq=False)
class FarAnswers:
    """A notebook's functions, called in its process."""

    host: Host
    exercise: Exercise

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the function that a task is about; what does not come back is told, too."""
        message = {
            "exercise": self.exercise.number,
            "task": task.name,
            "arguments": arguments,
            "measured": measured,
        }
        try:
            told = self.host.request(message, self.host.limits.call_seconds + 2 * PATIENCE + 1)
            return outcome_of(told, task)
        except TimeoutError:
            self.host.end()
            return Outcome(
                trouble="time", says=f"{task.call} gave no answer in the time that the notebook had left."
            )
        except WireError:
            self.host.end()
            return Outcome(trouble="ended", says=f"{task.call} ended the process it ran in.")
        except Exception:
            self.host.end()  # the next question must not read the rest of this reply
            raise


def outcome_of(told: dict[str, Any], task: Task) -> Outcome:
    """A reply, read with the suspicion that it deserves."""
    arrays = told.get("arrays")
    peak = told.get("peak_bytes")
    if told.get("trouble") is not None:
        return Outcome(trouble=told["trouble"], says=printable(str(told.get("says"))))
    if not isinstance(arrays, list) or len(arrays) != len(task.gives):
        raise WireError("no results")
    kinds = {"booleans": "b", "pairs": "b", "numbers": "f", "whole numbers": "O"}
    if not all(isinstance(array, np.ndarray) and array.dtype.kind == kinds[task.kind] for array in arrays):
        raise WireError("results of another kind")
    return Outcome(arrays=tuple(arrays), peak_bytes=peak if isinstance(peak, int) else None)
