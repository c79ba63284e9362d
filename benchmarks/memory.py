"""Claim: beyond inputs and output, attention over 131,072 tokens takes less than 64 MiB.

Each call runs in a process of its own; its peak is what the kernel (of the operating system) recorded as
VmHWM. Libraries that hold the matrix of scores are left out: at 131,072 tokens it has 64 GiB a head.
"""

from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.compare import default_threads, say
from benchmarks.peers import load_peer
from benchmarks.peers.call import OURS
from benchmarks.report import duration, run_alone, write_json
from benchmarks.work import Work
from benchmarks.worker import CONTEXT, limit_threads, seconds_of

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


def serve(connection: Connection, work: Work, library: str, way: str) -> None:
    """Send the peak beyond inputs and output, and the seconds of the call."""
    inputs = work.inputs()
    limit_threads(default_threads())
    peer = load_peer(library)
    peer.use_threads(default_threads())
    small = replace(work, query_len=64, key_len=64)
    peer.WAYS[way](small, small.inputs()).run()  # loads code, wakes threads: no part of the call
    call = peer.WAYS[way](work, inputs)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before = memory_bytes("VmRSS")
    seconds = seconds_of(call)
    connection.send((memory_bytes("VmHWM") - before - work.output_bytes, seconds))


def measure(work: Work, library: str, way: str) -> dict[str, str | float]:
    """In a fresh process."""
    say(f"{work.name}: {library}")
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(theirs, work, library, way))
    process.start()
    theirs.close()
    peak_bytes, seconds = ours.recv()
    process.join()
    say("")
    return {"work": work.name, "library": library, "call": way, "peak_bytes": peak_bytes, "seconds": seconds}


def rows() -> list[tuple[str, ...]]:
    """One row a call; the ratio is that of the peaks."""
    measured = [measure(*call) for call in CALLS]
    write_json("memory", measured)
    ours = {one["work"]: float(one["peak_bytes"]) for one in measured if one["library"] == OURS}
    return [
        (
            str(one["work"]),
            str(one["library"]),
            str(one["call"]),
            f"{float(one['peak_bytes']) / 2**20:,.1f} MiB",
            f"in {duration(float(one['seconds']))}",
            "",
            f"{float(one['peak_bytes']) / ours[one['work']]:.2f}",
        )
        for one in measured
    ]


if __name__ == "__main__":
    run_alone(rows())
