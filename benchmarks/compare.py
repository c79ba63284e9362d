"""The same work by every library, in interleaved rounds."""

import os
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.claim import Results, Row, duration, one
from benchmarks.peers.call import OURS, PEERS
from benchmarks.work import Work
from benchmarks.worker import Chosen, Worker

UNITS = {"compute": "GFLOP/s", "memory": "GB/s"}


def default_threads() -> int:
    """All CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compare(
    work: Work, libraries: Sequence[str] = (OURS, *PEERS), rounds: int = 9, threads: int = 0
) -> Results:
    """Let every library choose its call, then time them in turn; one result per library, as JSON holds it."""
    threads = threads or default_threads()
    workers = {}
    for library in libraries:
        progress(f"{work.name}: {library} chooses its call")
        workers[library] = Worker(library, work, threads)
    present = [name for name, worker in workers.items() if worker.chosen.way is not None]
    progress(f"{work.name}: {rounds} rounds of {', '.join(present)}")
    limits = []
    times: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(rounds):
        if OURS in present and work.amount is not None and turn in (0, rounds // 2, rounds - 1):
            limits.append(workers[OURS].ask("limits")[work.bound])
        for place in range(len(present)):
            name = present[(turn + place) % len(present)]
            times[name].append(workers[name].ask("time"))
    for worker in workers.values():
        worker.stop()
    progress("")
    limit = max(limits, default=None)
    return [
        result(work, worker.chosen, times[name], times.get(OURS), limit) for name, worker in workers.items()
    ]


def result(
    work: Work, library: Chosen, rounds: list[float], ours: list[float] | None, limit: float | None
) -> dict[str, Any]:
    """Medians over the rounds; `times_ours` is the library's seconds over ours, round by round.

    `speed` is in FLOP/s or bytes/s, by what bounds the work; `share` is that over the machine's limit.
    """
    known: dict[str, Any] = {
        "work": work.name,
        "bound": work.bound,
        "library": library.peer,
        "version": library.version,
        "call": library.way,
        "refused": library.refused,
    }
    if not rounds:
        return known
    typical = median(rounds)
    speed = None if work.amount is None else work.amount / typical
    return known | {
        "seconds": typical,
        "rounds": rounds,
        "error": library.error,
        "other_calls": {name: each for name, each in library.seconds.items() if name != library.way},
        "times_ours": median(one / own for one, own in zip(rounds, ours, strict=True)) if ours else None,
        "speed": speed,
        "limit": limit,
        "share": None if limit is None or speed is None else speed / limit,
    }


def rows(results: Results) -> list[Row]:
    """One row per library that ran: its fastest call, seconds, speed, share of the limit, times ours."""
    return [
        (
            each["work"],
            each["library"],
            each["call"],
            duration(each["seconds"]),
            "" if each["speed"] is None else f"{each['speed'] / 1e9:,.1f} {UNITS[each['bound']]}",
            "" if each["share"] is None else f"{each['share']:.0%}",
            "" if each["times_ours"] is None else f"{each['times_ours']:.2f}",
        )
        for each in results
        if "seconds" in each
    ]


def times_ours(results: Results, work: Work, library: str) -> float | None:
    """A library's seconds over ours; None if it did not run."""
    found: float | None = one(results, work=work.name, library=library).get("times_ours")
    return found


def share(results: Results, work: Work) -> float | None:
    """Our share of the machine's limit."""
    found: float | None = one(results, work=work.name, library=OURS).get("share")
    return found


def progress(text: str) -> None:
    """Report progress, in one line that the next one overwrites."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
