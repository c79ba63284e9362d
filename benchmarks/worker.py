"""A process that holds one library, finds its fastest correct call, and times that call on request."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np

from benchmarks.peers import Call, NotOfferedError, Way, load_peer
from benchmarks.work import Inputs, Work

CONTEXT = get_context("spawn")
ROUND_SECONDS = 0.25  # what a round of short calls may take
MOST_REPEATS = 1_000
CHECKED_ROWS = 16
# Enough to tell this work from any other; error.py measures how exact the libraries are
SAME_WORK = 1e-3


@dataclass
class Chosen:
    """A library's fastest correct way, the seconds of each, and why some did not run."""

    peer: str
    version: str
    way: str | None = None
    error: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Worker:
    """The parent's end. Only one worker at a time computes."""

    def __init__(self, peer: str, work: Work, threads: int) -> None:
        died: dict[str, str] = {}
        while True:
            self._connection, theirs = CONTEXT.Pipe()
            arguments = (theirs, peer, work, threads, died)
            self._process = CONTEXT.Process(target=serve, args=arguments, daemon=True)
            self._process.start()
            theirs.close()
            tried = "import"
            try:
                while isinstance(message := self._connection.recv(), str):
                    tried = message
            except EOFError:  # the way crashed: that is its result, and the others get a new process
                self._process.join()
                died[tried] = f"the process ended with code {self._process.exitcode}"
                if tried == "import":
                    self.chosen = Chosen(peer, "?", refused=died)
                    return
            else:
                self.chosen = message
                return

    def ask(self, question: str) -> Any:
        self._connection.send(question)
        return self._connection.recv()

    def stop(self) -> None:
        if self._process.is_alive():
            self._connection.send("stop")
            self._process.join()


def serve(connection: Connection, peer: str, work: Work, threads: int, died: dict[str, str]) -> None:
    """The child's end: name each way before trying it, then answer questions until "stop" comes."""
    inputs = [work.inputs(seed) for seed in range(work.copies)]
    limit_threads(threads)
    library = load_peer(peer)
    library.use_threads(threads)
    chosen = Chosen(peer, library.version(), refused=dict(died))
    ways = {name: way for name, way in library.WAYS.items() if name not in died}
    call = choose(ways, work, inputs, chosen, connection.send)
    connection.send(chosen)
    answers: dict[str, Callable[[], Any]] = {"limits": lambda: measure_limits(threads)}
    if call is not None:
        repeats = int(np.clip(ROUND_SECONDS / chosen.seconds[str(chosen.way)], 1, MOST_REPEATS))
        answers |= {"time": lambda: timed(call, repeats), "output": lambda: call.output(call.run())}
    while (question := connection.recv()) != "stop":
        connection.send(answers[question]())


def sent_by(serve: Callable[..., None], *arguments: Any) -> Any:
    """What `serve(connection, *arguments)` sends from a new process."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(theirs, *arguments))
    process.start()
    theirs.close()
    received = ours.recv()
    process.join()
    return received


def limit_threads(threads: int) -> None:
    """Give every library the same CPUs, and the same number in the variables that some read at import."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)


def choose(
    ways: Mapping[str, Way], work: Work, inputs: list[Inputs], chosen: Chosen, report: Callable[[str], None]
) -> Call | None:
    """Check every way against float64, time the correct ones, and return the fastest."""
    best = None
    for name, way in ways.items():
        report(name)
        try:
            call = in_turn([way(work, each) for each in inputs])
            error = error_of(call, work, inputs[0])
        except NotOfferedError as reason:
            chosen.refused[name] = str(reason)
            continue
        except Exception as trouble:  # noqa: BLE001  libraries refuse with any exception: that is a result
            chosen.refused[name] = f"{type(trouble).__name__}: {str(trouble).strip().splitlines()[0][:200]}"
            continue
        if not error < SAME_WORK:
            chosen.refused[name] = f"differs from float64 by {error:.2g}"
            continue
        chosen.seconds[name] = least(call, repeats=7)
        if chosen.seconds[name] == min(chosen.seconds.values()):
            best, chosen.way, chosen.error = call, name, error
        del call
    return best


def in_turn(calls: list[Call]) -> Call:
    """The same call on one input after the other, the first one first."""
    if len(calls) == 1:
        return calls[0]
    turn = cycle(calls)
    return Call(lambda: next(turn).run(), calls[0].output, keeps=calls)


def error_of(call: Call, work: Work, inputs: Inputs) -> float:
    rows = np.unique(np.linspace(0, work.query_len - 1, CHECKED_ROWS).astype(np.int64))
    return work.error(call.output(call.run()), inputs, rows)


def timed(call: Call, repeats: int) -> float:
    """The median; the first call wakes the threads and does not count, unless calls are long."""
    first = seconds_of(call)
    if first > 1.0:
        return first if repeats == 1 else min(first, seconds_of(call))
    return median(seconds_of(call) for _ in range(repeats))


def least(call: Call, repeats: int) -> float:
    """The least seconds, to choose by: a disturbance only ever adds to a call."""
    first = min(seconds_of(call) for _ in range(2))
    return first if first > 1.0 else min(seconds_of(call) for _ in range(repeats))


def seconds_of(call: Call) -> float:
    start = time.perf_counter()
    call.run()
    return time.perf_counter() - start


def measure_limits(threads: int) -> dict[str, float]:
    """FLOP/s and bytes/s of this machine, by our kernel's own instructions."""
    from attnscope import kernels

    return {
        "compute": kernels.measure_fma_limit(threads),
        "memory": kernels.measure_read_bandwidth(threads),
    }
