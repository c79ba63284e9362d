"""Claim: prefill of 2,048 tokens is at least 2.2 x torch's speed and 1.8 x the best other's; unmasked, 1.1 x."""

from benchmarks.compare import compare
from benchmarks.report import report, run_alone
from benchmarks.work import Work

CAUSAL = Work("prefill 2,048 causal", query_len=2048, key_len=2048, causal=True)
UNMASKED = Work("prefill 2,048 unmasked", query_len=2048, key_len=2048)


def rows() -> list[tuple[str, ...]]:
    """One row a library and mask."""
    return report("prefill", [compare(work) for work in (CAUSAL, UNMASKED)])


if __name__ == "__main__":
    run_alone(rows())
