"""Claim: a window of 512 over 16,384 tokens is at least 10 x as fast as torch SDPA with a mask.

Two heads, as some libraries hold the whole matrix of scores: 1 GiB a head.
"""

from benchmarks.compare import compare
from benchmarks.report import report, run_alone
from benchmarks.work import Work

WINDOW = Work("window 512 of 16,384", 16_384, 16_384, window=512, query_heads=2, kv_heads=2)


def rows() -> list[tuple[str, ...]]:
    """One row a library; three rounds, as some need seconds a call."""
    return report("window", [compare(WINDOW, rounds=3)])


if __name__ == "__main__":
    run_alone(rows())
