"""Claim: the error against float64 is at most torch SDPA's, on the same inputs."""

import numpy as np

from benchmarks.compare import default_threads, say
from benchmarks.peers.call import OURS
from benchmarks.report import run_alone, write_json
from benchmarks.work import Work
from benchmarks.worker import Worker

LIBRARIES = (OURS, "torch", "onnxruntime")
WORKS = (
    Work("error, 2,048 causal", 2048, 2048, causal=True),
    Work("error, 2,048 unmasked", 2048, 2048),
    Work("error, 2,048 causal, sharp rows", 2048, 2048, causal=True, spread=4.0),
    Work("error, 1 query, 65,536 keys", 1, 65_536, query_heads=8, kv_heads=8),
)


def measure(work: Work) -> list[dict[str, str | float]]:
    """The largest error over all rows and heads, of each library's fastest correct call; its mean square too."""
    inputs = work.inputs()
    truth = work.rows_in_float64(inputs, np.arange(work.query_len))
    found: list[dict[str, str | float]] = []
    for library in LIBRARIES:
        say(f"{work.name}: {library}")
        worker = Worker(library, work, default_threads())
        if worker.chosen.way is not None:
            wrong = np.asarray(worker.ask("output"), np.float64) - truth
            error, spread = float(np.abs(wrong).max()), float(np.sqrt(np.mean(wrong**2)))
            found.append({
                "work": work.name,
                "library": library,
                "call": worker.chosen.way,
                "error": error,
                "rms": spread,
            })
        worker.stop()
    say("")
    return found


def rows() -> list[tuple[str, ...]]:
    """One row a library and work."""
    measured = [measure(work) for work in WORKS]
    write_json("error", measured)
    return [
        (
            str(one["work"]),
            str(one["library"]),
            str(one["call"]),
            f"{one['error']:.2e}",
            f"rms {one['rms']:.1e}",
            "",
            f"{float(one['error']) / float(found[0]['error']):.2f}",
        )
        for found in measured
        for one in found
    ]


if __name__ == "__main__":
    run_alone(rows())
