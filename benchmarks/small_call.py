"""Claim: a small call (8 heads, 1 query, 64 keys) takes at most 1.2 x torch SDPA's time."""

import sys

from benchmarks.claim import Claim, Floor, Results, at_most
from benchmarks.compare import compare, rows, times_ours
from benchmarks.report import run
from benchmarks.work import Work

SMALL = Work("8 heads, 1 query, 64 keys", query_len=1, key_len=64, bound="call")


def measure() -> Results:
    """Compare the libraries."""
    return compare(SMALL)


def floors(results: Results) -> list[Floor]:
    """The ratio to torch."""
    torch = times_ours(results, SMALL, "torch")
    return [at_most("small call: our time over torch's", None if torch is None else 1 / torch, 1.2)]


CLAIM = Claim("small_call", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
