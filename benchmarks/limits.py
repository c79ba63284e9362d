"""What this machine can do at most: fused multiply-adds on registers alone, and a streaming read."""

import sys

from benchmarks.claim import Claim, Results, Row
from benchmarks.compare import default_threads
from benchmarks.peers.call import OURS
from benchmarks.report import run
from benchmarks.worker import measure_limits


def measure() -> Results:
    """Measure with all threads, and with one."""
    counts = sorted({1, default_threads()}, reverse=True)
    return [{"threads": threads} | measure_limits(threads) for threads in counts]


def rows(results: Results) -> list[Row]:
    """One row per limit and number of threads."""
    kinds = (("compute", "multiply-adds", "GFLOP/s"), ("memory", "read", "GB/s"))
    return [
        (
            f"limits, {each['threads']} thread{'s' if each['threads'] > 1 else ''}",
            OURS,
            call,
            "",
            f"{each[kind] / 1e9:,.1f} {unit}",
            "",
            "",
        )
        for each in results
        for kind, call, unit in kinds
    ]


CLAIM = Claim("limits", measure, rows, lambda _: [])

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
