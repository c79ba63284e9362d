"""Claim: beyond inputs and output, attention over 131,072 tokens takes at most 64 MiB.

Each call runs in a process of its own; its peak is what the operating system recorded as VmHWM. Libraries
that hold the matrix of scores are left out: at 131,072 tokens it takes 64 GiB per head.
"""

import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.claim import Claim, Floor, Results, Row, at_most, duration, one
from benchmarks.compare import default_threads, progress
from benchmarks.peers import load_peer
from benchmarks.peers.call import OURS
from benchmarks.report import run
from benchmarks.work import Work
from benchmarks.worker import limit_threads, seconds_of, sent_by

TOKENS = 131_072
CAUSAL = Work(
    "memory, 131,072 causal", TOKENS, TOKENS, causal=True, query_heads=1, kv_heads=1, key_dim=64, value_dim=64
)
WINDOW = replace(CAUSAL, name="memory, 131,072 window 512", window=512)
CALLS = (
    (CAUSAL, OURS, "attention()"),
    (CAUSAL, "torch", "sdpa"),
    (CAUSAL, "onnxruntime", "GroupQueryAttention"),
    (WINDOW, OURS, "attention()"),
    (WINDOW, "onnxruntime", "GroupQueryAttention"),
)


def memory_bytes(field: str) -> int:
    """A field of /proc/self/status: VmRSS is what the process holds now, VmHWM the most it ever held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def forget_peak() -> int:
    """Reset VmHWM; return what the process holds now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory_bytes("VmRSS")


def serve(connection: Connection, work: Work, library: str, way: str) -> None:
    """Send the peak beyond inputs and output, and the seconds of the call."""
    inputs = work.inputs()
    limit_threads(default_threads())
    peer = load_peer(library)
    peer.use_threads(default_threads())
    small = replace(work, query_len=64, key_len=64)
    peer.WAYS[way](small, small.inputs()).run()  # loads code and wakes threads, which is not part of the call
    call = peer.WAYS[way](work, inputs)
    before = forget_peak()
    seconds = seconds_of(call)
    connection.send((memory_bytes("VmHWM") - before - work.output_bytes, seconds))


def measure() -> Results:
    """Measure each call in a new process."""
    results = []
    for work, library, way in CALLS:
        progress(f"{work.name}: {library}")
        peak_bytes, seconds = sent_by(serve, work, library, way)
        results.append({
            "work": work.name,
            "library": library,
            "call": way,
            "peak_bytes": peak_bytes,
            "seconds": seconds,
        })
    progress("")
    return results


def rows(results: Results) -> list[Row]:
    """One row per call; the ratio is that of the peaks."""
    return [
        (
            each["work"],
            each["library"],
            each["call"],
            f"{each['peak_bytes'] / 2**20:,.1f} MiB",
            f"in {duration(each['seconds'])}",
            "",
            f"{each['peak_bytes'] / one(results, work=each['work'], library=OURS)['peak_bytes']:.2f}",
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """Our peak of each work."""
    return [
        at_most(f"{each['work']}: MiB beyond inputs and output", each["peak_bytes"] / 2**20, 64)
        for each in results
        if each["library"] == OURS
    ]


CLAIM = Claim("memory", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
