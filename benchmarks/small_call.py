"""Claim: a small call (8 heads, 1 query, 64 keys) takes at most 1.5 x torch SDPA's time: validation is cheap."""

from benchmarks.compare import compare
from benchmarks.report import report, run_alone
from benchmarks.work import Work

SMALL = Work("8 heads, 1 query, 64 keys", query_len=1, key_len=64, bound="calling")


def rows() -> list[tuple[str, ...]]:
    """One row a library."""
    return report("small_call", [compare(SMALL)])


if __name__ == "__main__":
    run_alone(rows())
