"""What this machine can do at the most: fused multiply-adds on registers alone, and a streaming read."""

from benchmarks.compare import default_threads
from benchmarks.peers.call import OURS
from benchmarks.report import run_alone, write_json
from benchmarks.worker import measure_limits


def rows() -> list[tuple[str, ...]]:
    """For all threads, and for one."""
    measured = {threads: measure_limits(threads) for threads in sorted({1, default_threads()}, reverse=True)}
    write_json("limits", measured)
    return [
        (
            f"limits, {threads} thread{'s' if threads > 1 else ''}",
            OURS,
            call,
            "",
            f"{limit[kind] / 1e9:,.1f} {unit}",
            "",
            "",
        )
        for threads, limit in measured.items()
        for kind, call, unit in (("arithmetic", "multiply-adds", "GFLOP/s"), ("reading", "read", "GB/s"))
    ]


if __name__ == "__main__":
    run_alone(rows())
