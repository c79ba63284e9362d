"""Claim: the largest error against float64 is at most 0.7 x torch SDPA's, on the same inputs."""

import sys
from typing import Any

import numpy as np

from benchmarks.claim import Claim, Floor, Results, Row, at_most, one
from benchmarks.compare import default_threads, progress
from benchmarks.peers.call import OURS
from benchmarks.report import run
from benchmarks.work import Work
from benchmarks.worker import Worker

LIBRARIES = (OURS, "torch", "onnxruntime")
WORKS = (
    Work("error, 2,048 causal", 2048, 2048, causal=True),
    Work("error, 2,048 unmasked", 2048, 2048),
    Work("error, 2,048 causal, peaked rows", 2048, 2048, causal=True, query_scale=4.0),
    Work("error, 1 query, 65,536 keys", 1, 65_536, query_heads=8, kv_heads=8),
)


def errors(work: Work) -> Results:
    """Largest and root mean square error over all rows and heads, of each library's fastest correct call."""
    inputs = work.inputs()
    truth = work.rows_in_float64(inputs, np.arange(work.query_len))
    found: list[dict[str, Any]] = []
    for library in LIBRARIES:
        progress(f"{work.name}: {library}")
        worker = Worker(library, work, default_threads())
        if worker.chosen.way is not None:
            wrong = np.asarray(worker.ask("output"), np.float64) - truth
            found.append({
                "work": work.name,
                "library": library,
                "call": worker.chosen.way,
                "error": float(np.abs(wrong).max()),
                "rms": float(np.sqrt(np.mean(wrong**2))),
            })
        worker.stop()
    progress("")
    return found


def measure() -> Results:
    """Measure every work."""
    return [each for work in WORKS for each in errors(work)]


def error_of(results: Results, work: str, library: str) -> float | None:
    """A library's largest error; None if it did not run."""
    found: float | None = one(results, work=work, library=library).get("error")
    return found


def rows(results: Results) -> list[Row]:
    """One row per library and work; the last column is the error over ours."""
    return [
        (
            each["work"],
            each["library"],
            each["call"],
            f"{each['error']:.2e}",
            f"rms {each['rms']:.1e}",
            "",
            f"{each['error'] / one(results, work=each['work'], library=OURS)['error']:.2f}",
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """The ratio to torch's error on every work."""
    found = []
    for work in WORKS:
        ours, torchs = error_of(results, work.name, OURS), error_of(results, work.name, "torch")
        found.append(
            at_most(f"{work.name}: ours over torch's", ours / torchs if ours and torchs else None, 0.7)
        )
    return found


CLAIM = Claim("error", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
