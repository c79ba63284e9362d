"""Claim: training is 2 x as fast as with torch, and the backward pass reaches 0.55 of the FMA limit.

That is for 8 heads of 2,048 tokens and 128 dims, causal, in float32, through torch's autograd; 1.8 x for 64
dims. With a window of 512 tokens among 16,384, it is 20 x torch with a mask. The relative error of bfloat16
keys' and values' gradients is at most 0.0025; float32's largest error is at most 0.000005 of the largest
entry. Beyond inputs and gradients, 16,384 tokens take at most 64 MiB.

Both libraries run in one process, in turn; torch's window is a bool mask, which it can only read as a matrix.
How far ahead of torch a machine can be depends on torch's share of that machine's FMA limit.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import attnscope as at
from benchmarks.claim import Claim, Floor, Results, Row, at_least, at_most, duration, largest, least, one
from benchmarks.compare import default_threads, progress
from benchmarks.memory import forget_peak, memory_bytes
from benchmarks.peers.attnscope_calls import mask_of
from benchmarks.peers.call import OURS
from benchmarks.report import run
from benchmarks.work import Inputs, Work
from benchmarks.worker import limit_threads, measure_limits, sent_by

TRAINED = Work("8 x 2,048 x 128", 2048, 2048, causal=True)
SHORT = Work(
    "16 x 1,024 x 64", 1024, 1024, causal=True, query_heads=16, kv_heads=16, key_dim=64, value_dim=64
)
LONG = Work("8 x 4,096 x 64", 4096, 4096, causal=True, key_dim=64, value_dim=64)
WINDOW = Work(
    "window 512 of 16,384", 16384, 16384, window=512, query_heads=2, kv_heads=2, key_dim=64, value_dim=64
)
EXACT = Work("2 x 1,024 x 64", 1024, 1024, causal=True, query_heads=2, kv_heads=2, key_dim=64, value_dim=64)
NARROW = replace(
    EXACT, name="2 x 4,096 x 64, bfloat16", query_len=4096, key_len=4096, number_format="bfloat16"
)
MEMORY = replace(LONG, name="8 x 16,384 x 64", query_len=16384, key_len=16384)
ROUNDS = {TRAINED: 9, SHORT: 9, LONG: 7, WINDOW: 3}
BACKWARD = "attention_gradients()"


def incoming(work: Work) -> Inputs:
    """Random arrays, of which the query has the shape of the output: the incoming gradient."""
    return replace(work, key_dim=work.value_dim).inputs(1)


def tensors_of(work: Work) -> list[Any]:
    """query, key, value, which require gradients, and the incoming gradient."""
    from benchmarks.peers.torch_calls import tensors

    return [*(each.requires_grad_() for each in tensors(work.inputs())), tensors(incoming(work))[0]]


def functions(work: Work) -> dict[str, Callable[..., Any]]:
    """Attention by each library, of three tensors."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    from attnscope.interop.torch import attention

    mask = torch.from_numpy(work.visible()) if work.window is not None else None
    own = mask_of(work)
    return {
        OURS: lambda *three: attention(*three, mask=own),
        "torch": lambda *three: scaled_dot_product_attention(*three, attn_mask=mask, is_causal=mask is None),
    }


def gradients_by(function: Callable[..., Any], tensors: list[Any]) -> list[Any]:
    """One forward and one backward pass."""
    import torch

    return list(torch.autograd.grad(function(*tensors[:3]), tensors[:3], tensors[3]))


def serve_times(connection: Connection, work: Work) -> None:
    """Send the seconds of each round of both libraries and of our backward pass alone, and the limits."""
    import torch

    limit_threads(default_threads())
    torch.set_num_threads(default_threads())
    tensors, calls = tensors_of(work), functions(work)
    ways: dict[str, Callable[[], Any]] = {
        name: partial(gradients_by, call, tensors) for name, call in calls.items()
    }
    ways[BACKWARD] = backward_alone(work)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    limits = []
    for turn in range(ROUNDS[work] + 1):
        limits.append(measure_limits(default_threads())["compute"])
        for name, way in ways.items():
            started = perf_counter()
            way()
            if turn > 0:  # the first round loads code and wakes threads
                seconds[name].append(perf_counter() - started)
    connection.send((seconds, limits))


def backward_alone(work: Work) -> Callable[[], Any]:
    """attention_gradients() with the results of the forward pass."""
    inputs, mask = work.inputs(), mask_of(work)
    query, key, value = inputs.query, inputs.key, inputs.value
    grad = incoming(work).query
    part = at.partial_attention(query, key, value, mask=mask)
    output = part.output.astype(query.dtype)
    threads = default_threads()
    return lambda: at.attention_gradients(
        query, key, value, grad, mask=mask, output=output, logsumexp=part.logsumexp, threads=threads
    )


def serve_errors(connection: Connection, work: Work) -> None:
    """Send each library's errors by float64: maximum over the largest entry, and norm over norm."""
    tensors = tensors_of(work)
    inputs = work.inputs()
    query, key, value = (np.asarray(each, np.float64) for each in (inputs.query, inputs.key, inputs.value))
    grad = np.asarray(incoming(work).query, np.float64)
    exact = at.attention_gradients(query, key, value, grad, mask=mask_of(work))
    found = {}
    for library, function in functions(work).items():
        for name, gradient in zip(("query", "key", "value"), gradients_by(function, tensors), strict=True):
            right = getattr(exact, name)
            wrong = gradient.double().numpy() - right
            most = float(np.abs(wrong).max() / np.abs(right).max())
            relative = float(np.linalg.norm(wrong) / np.linalg.norm(right))
            found[library, name] = (most, relative)
    connection.send(found)


def serve_memory(connection: Connection, work: Work) -> None:
    """Send the peak of our backward pass beyond inputs and gradients."""
    limit_threads(default_threads())
    backward_alone(replace(work, query_len=64, key_len=64))()
    call = backward_alone(work)
    before = forget_peak()
    call()
    gradients = work.query_heads * work.query_len * (2 * work.key_dim + work.value_dim) * work.item_bytes
    connection.send(memory_bytes("VmHWM") - before - gradients)


def measure() -> Results:
    """Time, errors and memory, each in a new process."""
    results: Results = []
    for work in ROUNDS:
        progress(f"{work.name}: {OURS} and torch")
        seconds, limits = sent_by(serve_times, work)
        limit = max(limits)
        for name, own in seconds.items():
            known: dict[str, Any] = {"work": work.name, "call": name, "seconds": median(own), "rounds": own}
            if name == BACKWARD:
                flops = work.flops * 5 / 2
                results.append(known | {"limit": limit, "share": flops / median(own) / limit})
                continue
            ratio = median(each / ours for each, ours in zip(own, seconds[OURS], strict=True))
            results.append(known | {"times_ours": ratio})
    for work in (EXACT, NARROW):
        progress(f"{work.name}: errors")
        for (library, name), (most, relative) in sent_by(serve_errors, work).items():
            entry = {"work": work.name, "call": library, "gradient": name}
            results.append(entry | {"largest": most, "relative": relative})
    progress(f"{MEMORY.name}: memory")
    peak_bytes = sent_by(serve_memory, MEMORY)
    results.append({"work": MEMORY.name, "call": BACKWARD, "peak_bytes": peak_bytes})
    progress("")
    return results


def row(each: dict[str, Any]) -> Row:
    """One measurement."""
    if "seconds" in each:
        share = f"{each['share']:.0%}" if "share" in each else ""
        ratio = f"{each['times_ours']:.2f}" if "times_ours" in each else ""
        return (each["work"], each["call"], duration(each["seconds"]), share, ratio)
    if "gradient" in each:
        name = f"{each['call']}, error of d{each['gradient']}"
        return (each["work"], name, f"{each['largest']:.2e}", f"{each['relative']:.2e}", "")
    return (each["work"], each["call"], f"{each['peak_bytes'] / 2**20:,.1f} MiB", "", "")


def errors(results: Results, work: Work, library: str, kind: str, names: tuple[str, ...]) -> float | None:
    """The largest error over some gradients."""
    found = [one(results, work=work.name, call=library, gradient=name).get(kind) for name in names]
    return largest(found)


def floors(results: Results) -> list[Floor]:
    """The ratios to torch, the share of the limit, the errors and the memory."""

    def torch_over_ours(work: Work) -> float | None:
        found: float | None = one(results, work=work.name, call="torch").get("times_ours")
        return found

    share = one(results, work=TRAINED.name, call=BACKWARD).get("share")
    every, of_keys = ("query", "key", "value"), ("key", "value")
    peak = one(results, work=MEMORY.name, call=BACKWARD).get("peak_bytes")
    return [
        at_least(f"{TRAINED.name}: torch's time over ours", torch_over_ours(TRAINED), 2.0),
        at_least(
            f"{SHORT.name}, {LONG.name}: torch's over ours", least(map(torch_over_ours, (SHORT, LONG))), 1.8
        ),
        at_least(f"{TRAINED.name}: backward pass, share of the FMA limit", share, 0.55),
        at_least(f"{WINDOW.name}: torch's over ours", torch_over_ours(WINDOW), 20.0),
        at_most(
            "bfloat16: relative error of dkey and dvalue",
            errors(results, NARROW, OURS, "relative", of_keys),
            2.5e-3,
        ),
        at_most(
            "float32: largest error over the largest entry",
            errors(results, EXACT, OURS, "largest", every),
            5e-6,
        ),
        at_most(f"{MEMORY.name}: MiB beyond inputs and gradients", peak and peak / 2**20, 64),
    ]


HEADER: Row = ("work", "call", "measured", "of the limit, or relative", "/ ours")
CLAIM = Claim("gradients", measure, lambda results: [row(each) for each in results], floors, HEADER)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
