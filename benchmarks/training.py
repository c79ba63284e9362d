"""Claim: a fine-tuning step of Gemma 3 270M at 8,192 tokens is faster than with `sdpa`, and learns the same.

LoRA on a text, as in examples/finetune_gemma.py: at 2,048 tokens beside `sdpa` and `eager`, at 8,192 with
activation checkpointing beside `sdpa`. There, `eager` keeps several matrices of 4 heads x 8,192 x 8,192, 1
GiB each, and is left out. Each implementation has its own process, and they take their steps in turn. A peak
is what the operating system recorded as VmHWM. Needs `pip install 'attnscope[models]' peft`:

    python -m benchmarks.training            all; --steps 8 for a longer curve
"""

import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks.claim import Claim, Floor, Results, Row, at_least, at_most, duration, one
from benchmarks.compare import default_threads, progress
from benchmarks.memory import forget_peak, memory_bytes
from benchmarks.peers.call import OURS
from benchmarks.report import run
from benchmarks.worker import CONTEXT, sent_by


class Case(NamedTuple):
    """A number of tokens, and the implementations of attention that train on as many."""

    name: str
    tokens: int
    checkpointing: bool
    implementations: tuple[str, ...]


SHORT = Case("Gemma 3 270M, LoRA, 2,048 tokens", 2048, False, (OURS, "sdpa", "eager"))
LONG = Case("Gemma 3 270M, LoRA, 8,192 tokens, checkpointing", 8192, True, (OURS, "sdpa"))
STEPS = int(sys.argv[sys.argv.index("--steps") + 1]) if "--steps" in sys.argv else 4


class Trainer:
    """A process that trains with one implementation, a step at a time."""

    def __init__(self, case: Case, implementation: str, folder: Path) -> None:
        self._connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=serve, args=(theirs, case, implementation, folder), daemon=True
        )
        self._process.start()
        theirs.close()
        self._connection.recv()

    def step(self) -> tuple[float, float]:
        """Take a step; return its seconds, and the loss before it."""
        self._connection.send("step")
        taken: tuple[float, float] = self._connection.recv()
        return taken

    def stop(self) -> int:
        """Return the peak beyond the model in bytes."""
        self._connection.send("stop")
        peak: int = self._connection.recv()
        self._process.join()
        return peak


def serve(connection: Connection, case: Case, implementation: str, folder: Path) -> None:
    """Load the model, then take steps until "stop" comes."""
    import torch

    from attnscope.interop.transformers import register
    from examples.finetune_gemma import load_model, optimizer_of, step, stretches

    torch.set_num_threads(default_threads())
    register()
    model, tokenizer = load_model(folder)
    if case.checkpointing:
        model.enable_input_require_grads()
        model.base_model.model.activation_checkpointing_enable()
    model.base_model.model.set_attn_implementation(implementation)
    optimizer, texts = optimizer_of(model), stretches(tokenizer, case.tokens)
    before = forget_peak()
    connection.send("ready")
    while connection.recv() == "step":
        ids = next(texts)
        started = perf_counter()
        loss = step(model, optimizer, ids)
        connection.send((perf_counter() - started, loss))
    connection.send(memory_bytes("VmHWM") - before)


def serve_conversion(connection: Connection, folder: Path) -> None:
    """Convert the model, in a process whose memory ends with it."""
    from examples.finetune_gemma import convert

    convert(folder)
    connection.send(True)


def measure() -> Results:
    """Train on both lengths."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(sys.argv[sys.argv.index("--model") + 1]) if "--model" in sys.argv else Path(folder)
        if not (made / "config.json").exists():
            progress("converting Gemma")
            sent_by(serve_conversion, made)
        return [result for case in (SHORT, LONG) for result in train(case, made)]


def train(case: Case, folder: Path) -> Results:
    """Steps in turn; the first one loads code and is no part of the times."""
    trainers = {name: Trainer(case, name, folder) for name in case.implementations}
    steps: dict[str, list[tuple[float, float]]] = {name: [] for name in trainers}
    for number in range(STEPS):
        for name, trainer in trainers.items():
            progress(f"{case.name}: step {number + 1} of {STEPS}, {name}")
            steps[name].append(trainer.step())
    progress("")
    ours = [seconds for seconds, _ in steps[OURS][1:]]
    return [
        {
            "work": case.name,
            "call": name,
            "seconds": median(seconds for seconds, _ in taken[1:]),
            "rounds": [seconds for seconds, _ in taken],
            "losses": [loss for _, loss in taken],
            "times_ours": median(each[0] / own for each, own in zip(taken[1:], ours, strict=True)),
            "peak_bytes": trainers[name].stop(),
        }
        for name, taken in steps.items()
    ]


def rows(results: Results) -> list[Row]:
    """One row per implementation: seconds per step, peak beyond the model, the losses."""
    return [
        (
            each["work"],
            each["call"],
            duration(each["seconds"]),
            f"{each['peak_bytes'] / 2**30:.2f} GiB",
            " ".join(f"{loss:.3f}" for loss in each["losses"]),
            f"{each['times_ours']:.2f}",
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """`sdpa`'s time over ours, and how far the losses are apart."""
    found = []
    for case in (SHORT, LONG):
        ours, theirs = (one(results, work=case.name, call=name) for name in (OURS, "sdpa"))
        apart = [abs(a - b) for a, b in zip(ours.get("losses", []), theirs.get("losses", []), strict=False)]
        found.append(at_most(f"{case.name}: losses apart from sdpa's", max(apart, default=None), 0.01))
    ratio = one(results, work=LONG.name, call="sdpa").get("times_ours")
    return [*found, at_least(f"{LONG.name}: sdpa's time over ours", ratio, 1.2)]


HEADER: Row = ("work", "attention", "a step", "beyond the model", "loss before each step", "/ ours")
CLAIM = Claim("training", measure, rows, floors, HEADER)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
