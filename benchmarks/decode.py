"""Claim: decoding, 32 heads on 8, reads 4,096 keys at 0.88 of the read bandwidth, 32k and 131k at 0.85.

With 64 heads on 4 it is 0.80. At 32k and 131k keys that is at least 5 x torch's speed and 3 x ONNX Runtime's.
A bfloat16 cache is at least 1.7 x as fast as a float32 one. Several inputs are taken in turn, as a model's
layers are, so keys and values are never in the CPU's caches.
"""

import sys
from dataclasses import replace

from benchmarks.claim import Claim, Floor, Results, at_least, one
from benchmarks.compare import compare, default_threads, progress, result, rows, share, times_ours
from benchmarks.peers.call import OURS
from benchmarks.report import run
from benchmarks.work import Work
from benchmarks.worker import Worker

PEERS = (
    "torch",
    "torch packed",
    "onnxruntime",
    "jax",
)  # FlexAttention and OpenVINO's operator are for prefill


def decode(key_len: int, *, batch: int = 1, kv_heads: int = 8, group: int = 4) -> Work:
    """One query per sequence."""
    return Work(
        f"decode {batch} x {key_len:,} keys, {kv_heads * group} heads on {kv_heads}",
        query_len=1,
        key_len=key_len,
        batch=batch,
        query_heads=kv_heads * group,
        kv_heads=kv_heads,
        bound="memory",
    )


SHORT, MIDDLE, LONG = decode(4096), decode(32768), decode(131072)
WIDE = decode(32768, kv_heads=4, group=16)
WORKS = (
    SHORT,
    MIDDLE,
    LONG,
    decode(4096, batch=8),
    decode(32768, batch=8, kv_heads=2),
    decode(131072, batch=8, kv_heads=1),  # more kv heads would not fit beside the other libraries' copies
    decode(32768, group=1),
    decode(32768, group=8),
    WIDE,
)
FORMATS = ("float32", "bfloat16", "float16", "int8")


def in_format(name: str) -> Work:
    """The middle work with keys and values of this number format."""
    named = replace(MIDDLE, name=f"{MIDDLE.name}, {name}")
    return replace(named, cache_format=name) if name == "int8" else replace(named, number_format=name)


def compare_formats(rounds: int = 9) -> Results:
    """Ours on caches of each format, in turn; `times_ours` is the seconds over those of float32."""
    threads, works = default_threads(), [in_format(name) for name in FORMATS]
    progress(f"{MIDDLE.name}: caches of {', '.join(FORMATS)}")
    workers = [Worker(OURS, each, threads) for each in works]
    limits: list[float] = []
    times: list[list[float]] = [[] for _ in works]
    for turn in range(rounds):
        limits.append(workers[0].ask("limits")["memory"])
        for place in range(len(works)):
            at = (turn + place) % len(works)
            times[at].append(workers[at].ask("time"))
    for worker in workers:
        worker.stop()
    progress("")
    return [
        result(each, worker.chosen, seconds, times[0], max(limits))
        for each, worker, seconds in zip(works, workers, times, strict=True)
    ]


def measure() -> Results:
    """Compare the libraries on each work, then our own number formats."""
    return [each for work in WORKS for each in compare(work, (OURS, *PEERS), rounds=5)] + compare_formats()


def floors(results: Results) -> list[Floor]:
    """Shares of the read bandwidth, ratios to the other libraries, and bfloat16 beside float32."""
    expected = ((SHORT, 0.88), (MIDDLE, 0.85), (LONG, 0.85), (WIDE, 0.80))
    shares = [
        at_least(f"{work.name}: share of the read bandwidth", share(results, work), floor)
        for work, floor in expected
    ]
    ratios = [
        at_least(f"{work.name}: {library}'s time over ours", times_ours(results, work, peer), floor)
        for work in (MIDDLE, LONG)
        for library, peer, floor in (("torch", "torch", 5), ("ONNX Runtime", "onnxruntime", 3))
    ]
    bfloat16 = one(results, work=in_format("bfloat16").name).get("times_ours")
    faster = None if bfloat16 is None else 1 / bfloat16
    return [*shares, *ratios, at_least("float32 cache's time over bfloat16's", faster, 1.7)]


CLAIM = Claim("decode", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
