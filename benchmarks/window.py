"""Claim: a window of 512 over 16,384 tokens takes at most a tenth of torch SDPA's time with a mask: 10 x.

Two heads, since some libraries hold the whole matrix of scores: 1 GiB per head.
"""

import sys

from benchmarks.claim import Claim, Floor, Results, at_least
from benchmarks.compare import compare, rows, times_ours
from benchmarks.report import run
from benchmarks.work import Work

WINDOW = Work("window 512 of 16,384", 16_384, 16_384, window=512, query_heads=2, kv_heads=2)


def measure() -> Results:
    """Compare the libraries in three rounds: some need seconds per call."""
    return compare(WINDOW, rounds=3)


def floors(results: Results) -> list[Floor]:
    """The ratio to torch."""
    return [at_least("window of 512: torch's time over ours", times_ours(results, WINDOW, "torch"), 10)]


CLAIM = Claim("window", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
