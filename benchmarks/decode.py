"""Claim: decode reads keys and values at 0.85 of the read bandwidth, at least 6 x torch's speed, 3 x ONNX Runtime's.

Keys and values are never in the caches when they are asked for: several inputs are taken in turn, as a model's
layers are. And narrower caches are faster: bfloat16 at least 1.7 times as fast as float32.
"""

from dataclasses import replace

from benchmarks.compare import Comparison, compare, default_threads, say, standing
from benchmarks.peers.call import OURS
from benchmarks.report import report, run_alone
from benchmarks.work import Work
from benchmarks.worker import Worker

PEERS = (
    "torch",
    "torch packed",
    "onnxruntime",
    "jax",
)  # flex_attention and OpenVINO's operator are for prefill


def decode(key_len: int, *, batch: int = 1, kv_heads: int = 8, group: int = 4) -> Work:
    return Work(
        f"decode {batch} x {key_len // 1024}k keys, {kv_heads * group} heads on {kv_heads}",
        query_len=1,
        key_len=key_len,
        batch=batch,
        query_heads=kv_heads * group,
        kv_heads=kv_heads,
        bound="reading",
    )


# 8 sequences of 128k keys would not fit beside the peers' copies of them: they have one kv head
WORKS = (
    decode(4096),
    decode(32768),
    decode(131072),
    decode(4096, batch=8),
    decode(32768, batch=8, kv_heads=2),
    decode(131072, batch=8, kv_heads=1),
    decode(32768, group=1),
    decode(32768, group=8),
)
FORMATS = ("float32", "bfloat16", "float16", "int8")


def compare_formats(work: Work, rounds: int = 9) -> list[Comparison]:
    """Ours, on caches of each format, turn by turn; times_ours is the seconds over those of float32."""
    threads = default_threads()
    works = [
        replace(work, name=f"{work.name}, {name}", number_format="float32", cache_format=name)
        if name == "int8"
        else replace(work, name=f"{work.name}, {name}", number_format=name)
        for name in FORMATS
    ]
    say(f"{work.name}: caches of {', '.join(FORMATS)}")
    workers = [Worker(OURS, each, threads) for each in works]
    limits: list[float] = []
    times: list[list[float]] = [[] for _ in works]
    for turn in range(rounds):
        limits.append(workers[0].ask("limits")["reading"])
        for place in range(len(works)):
            at = (turn + place) % len(works)
            times[at].append(workers[at].ask("time"))
    for worker in workers:
        worker.stop()
    say("")
    return [
        Comparison(
            each, threads, max(limits), [standing(each, worker.chosen, seconds, times[0], max(limits))], []
        )
        for each, worker, seconds in zip(works, workers, times, strict=True)
    ]


def rows() -> list[tuple[str, ...]]:
    """One row a library and work; then one a format, where the last column is over float32."""
    compared = [compare(work, (OURS, *PEERS), rounds=5) for work in WORKS]
    return report("decode", compared) + report("decode_formats", compare_formats(decode(32768)))


if __name__ == "__main__":
    run_alone(rows())
