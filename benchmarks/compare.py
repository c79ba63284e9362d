"""The same work by every library, in interleaved rounds."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.call import OURS, PEERS
from benchmarks.work import Work
from benchmarks.worker import Chosen, Worker


def default_threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Standing:
    """How one library did: medians over the rounds.

    times_ours    its seconds over ours, round by round: 2.0 is half as fast; None where ours did not run
    speed         FLOP/s or bytes/s, by what the work is bound by; share is that over the machine's limit
                  as measured in the same rounds
    """

    library: Chosen
    seconds: float
    rounds: list[float]
    times_ours: float | None
    speed: float | None
    share: float | None


@dataclass(frozen=True)
class Comparison:
    work: Work
    threads: int
    limit: float | None
    standings: list[Standing]
    absent: list[Chosen]


def compare(
    work: Work, libraries: Sequence[str] = (OURS, *PEERS), rounds: int = 9, threads: int = 0
) -> Comparison:
    """Let every library choose its call, then time them turn by turn."""
    threads = threads or default_threads()
    workers = {}
    for library in libraries:
        say(f"{work.name}: {library} chooses its call")
        workers[library] = Worker(library, work, threads)
    present = [name for name, worker in workers.items() if worker.chosen.way is not None]
    say(f"{work.name}: {rounds} rounds of {', '.join(present)}")
    limits = []
    times: dict[str, list[float]] = {name: [] for name in present}
    for turn in range(rounds):
        if OURS in present and work.amount is not None and turn in (0, rounds // 2, rounds - 1):
            limits.append(workers[OURS].ask("limits")[work.bound])
        for place in range(len(present)):
            name = present[(turn + place) % len(present)]
            times[name].append(workers[name].ask("time"))
    for worker in workers.values():
        worker.stop()
    say("")
    limit = max(limits, default=None)
    standings = [
        standing(work, workers[name].chosen, times[name], times.get(OURS), limit) for name in present
    ]
    absent = [worker.chosen for name, worker in workers.items() if name not in present]
    return Comparison(work, threads, limit, standings, absent)


def standing(
    work: Work, library: Chosen, seconds: list[float], ours: list[float] | None, limit: float | None
) -> Standing:
    typical = median(seconds)
    ratio = None if ours is None else median(theirs / own for theirs, own in zip(seconds, ours, strict=True))
    speed = None if work.amount is None else work.amount / typical
    share = None if limit is None or speed is None else speed / limit
    return Standing(library, typical, seconds, ratio, speed, share)


def say(text: str) -> None:
    """What is going on, in one line that the next one overwrites."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
