"""What each figure may state in a state, by attnscope: the numbers by name."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import attnscope as at
import attnscope.models.trained
from tests.conventions.source_tree import ROOT

Numbers = dict[str, float]
State = dict[str, Any]
Data = dict[str, Any]
Array = NDArray[np.float64]


def named(name: str, values: Any) -> Numbers:
    """Numbers with their places: "weight 0", "weight 1", ..."""
    return {f"{name} {place}": float(value) for place, value in enumerate(np.ravel(values))}


def effective_keys(scores: Array) -> float:
    seen = at.observe(
        np.ones((1, 1), np.float32),
        scores[:, None].astype(np.float32),
        np.zeros((len(scores), 1), np.float32),
        scale=1.0,
    )
    return float(np.exp(seen.entropy[0]))


def of_scores(scores: Array, mask: Any = None) -> Array:
    """The weights of scores, which are a bias on zeros."""
    rows = np.atleast_2d(scores)
    query, key = np.zeros((rows.shape[0], 1)), np.zeros((rows.shape[1], 1))
    return at.reference.weights(query, key, bias=rows, mask=mask)


def retrieval(state: State, data: Data) -> Numbers:
    query, key, value = (np.array(each, float) for each in ([state["query"]], data["keys"], data["values"]))
    query = state["beta"] * query
    weights = at.reference.weights(query, key, scale=1.0)[0]
    return {
        **named("weight", weights),
        **named("score", at.reference.scores(query, key, scale=1.0)),
        **named("output", at.reference.attention(query, key, value, scale=1.0)),
        "best": weights.max(),
    }


def scale(state: State, data: Data) -> Numbers:
    d, place = state["d"], int(np.log2(state["d"]))
    factor = {"plain": 1.0, "root": d**-0.5, "width": 1 / d}[state["scaled"]]
    dots = np.array(data["dots"][place])
    weights = at.reference.weights(np.ones((1, 1)), dots[:, None], scale=factor)[0]
    return {
        "spread": float(np.std(factor * dots)),
        "largest": weights.max(),
        "best": weights.max(),
        "steepest": float((weights * (1 - weights)).max()),
        "effective keys": effective_keys(factor * dots),
        "median": data["slopes"][state["scaled"]][place],
    }


def masks(state: State, data: Data) -> Numbers:
    scores, values, cells = np.array(data["scores"]), np.array(data["values"]), np.array(state["cells"])

    def weights(scores: Array) -> Array:
        return of_scores(scores) * cells if state["late"] else of_scores(scores, at.Dense(cells))

    rows = weights(scores)
    moved = np.linalg.norm((weights(scores + ~cells) - rows) @ values, axis=-1)
    row = state["row"]
    return {
        **named("sum", rows.sum(axis=-1)),
        "sum": rows[row].sum(),
        "moved": moved[row],
        "leak": moved[row],
    }


def weights(state: State, data: Data) -> Numbers:
    row = data["rows"][state["row"]]
    scores, values = np.array(row["scores"]) / state["temperature"], np.array(row["values"])
    query, key = np.zeros((1, 1)), np.zeros((len(scores), 1))
    found = at.observation.influence(query, key, values, bias=scores[None])
    left = np.arange(len(scores)) != state["removed"]
    entropy = np.log(effective_keys(scores))
    removed = -1 if state["removed"] is None else state["removed"]
    return {
        **named("weight", of_scores(scores, at.Dense(left[None]))),
        **named("influence", found.change),
        "entropy": entropy,
        "effective keys": float(np.exp(entropy)),
        "keys": len(scores),
        "most": float(np.log(len(scores))),
        "removed weight": found.weight[0, removed],
        "removed influence": found.change[0, removed],
    }


def heads(state: State, data: Data) -> Numbers:
    tokens, width, query_heads, dim, kv = 13, 32, 4, 8, state["kv"]
    rng = np.random.default_rng(0)
    w_q, w_o = rng.standard_normal((2, width, width))
    w_k, w_v = rng.standard_normal((2, width, kv * dim))
    layer = at.MultiHeadAttention(w_q, w_k, w_v, w_o, heads=query_heads, kv_heads=kv)
    trace = layer.trace(rng.standard_normal((tokens, width)))
    names = (
        "x",
        "queries",
        "keys",
        "values",
        "query",
        "key",
        "value",
        "weights",
        "mixed",
        "joined",
        "output",
    )
    return {
        **{f"{name} {axis}": size for name in names for axis, size in enumerate(getattr(trace, name).shape)},
        "layer weights": sum(each.size for each in (w_q, w_k, w_v, w_o)),
        "cached": (trace.key.size + trace.value.size) / tokens,
    }


def positions(state: State, data: Data) -> Numbers:
    query, key, table = (np.array(data[name]) for name in ("query", "key", "table"))
    dim, slope = len(query), at.alibi_slopes(8)[state["head"]]
    places = np.arange(16)[:, None] / 10_000 ** (np.arange(0, dim, 2) / dim)
    waves = np.stack([np.sin(places), np.cos(places)], axis=-1).reshape(16, dim)

    def score(p: int, j: int) -> float:
        q, k = query[None], key[None]
        bias = 0.0
        if state["scheme"] == "rotary":
            q, k = at.apply_rotary(q, [p]), at.apply_rotary(k, [j])
        elif state["scheme"] == "alibi":
            bias = -float(slope) * abs(p - j)
        elif state["scheme"] != "none":
            added = waves if state["scheme"] == "sinusoids" else table
            q, k = q + added[p], k + added[j]
        return float(at.reference.scores(q, k)[0, 0]) + bias

    far = state["query"] - state["key"]
    diagonal = [score(p, p - far) for p in range(16) if 0 <= p - far < 16]
    return {
        "score": score(state["query"], state["key"]),
        "distance": far,
        "apart": max(diagonal) - min(diagonal),
        "slope": slope,
        "factor": float(np.exp(-slope * abs(far))),
        **named("rate", 10_000.0 ** (-np.arange(2) / (dim / 2))),
    }


LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "vocab_size": 128256,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 14336,
}


def cache(state: State, data: Data) -> Numbers:
    batch, context, kept = state["batch"], state["context"], data["prompt"] + state["step"]
    line = at.roofline(LLAMA, prompt=context - 1, new_tokens=1, hardware="h100", batch=batch)
    prefill = at.roofline(LLAMA, prompt=context, new_tokens=1, hardware="h100", batch=batch).prefill
    attention, *of_weights, _ = line.decode.parts
    moved = sum(part.moved_bytes for part in of_weights)
    return {
        "cached tokens": kept,
        "cached bytes": at.size(LLAMA, context=kept).cache_bytes,
        "read": at.Causal().visible(13, 13)[: data["prompt"]].sum() if state["step"] == 0 else kept,
        "context": context,
        "batch": batch,
        "ridge": line.hardware.ridge,
        "GiB": at.size(LLAMA, context=context, batch=batch).cache_bytes / 2**30,
        "ms": line.decode.seconds * 1e3,
        "tokens per second": batch / line.decode.seconds,
        "intensity attention, decode": attention.flops / attention.moved_bytes,
        "intensity weights, decode": sum(part.flops for part in of_weights) / moved,
        "intensity decode step": line.decode.intensity,
        "intensity prefill": prefill.intensity,
        "ms decode step": line.decode.seconds * 1e3,
        "ms prefill": prefill.seconds * 1e3,
    }


def flash(state: State, data: Data) -> Numbers:
    query, key, value = (np.array(data[name]) for name in ("query", "key", "value"))
    (n, d), block, row = query.shape, state["block"], state["row"]
    edges = [*range(0, n, block), n]
    blocks = len(edges) - 1
    step = min(state["step"], blocks**2)
    seen = min(blocks, max(0, step - row // block * blocks))
    # Numbers moved: queries in and outputs out once per block of queries, keys and values per tile
    moved, taken = 0, 0
    for first, end in pairwise(edges):
        for tile, (start, stop) in enumerate(pairwise(edges)):
            if taken == step:
                break
            moved += ((end - first) * d if tile == 0 else 0) + 2 * (stop - start) * d
            moved += (end - first) * d if tile == blocks - 1 else 0
            taken += 1
    numbers = {
        "z": 0.0,
        "seen": seen,
        "blocks": blocks,
        "moved tiles": moved,
        "moved written out": 4 * n * d + 4 * n * n,
        "held tiles": block * block + 2 * block,
        "held written out": n * n,
        "logsumexp": at.reference.partial_attention(query, key, value).logsumexp[row],
    }
    if seen:
        tops = [
            at.reference.scores(query[row : row + 1], key[: edges[many]]).max() for many in range(1, seen + 1)
        ]
        part = at.reference.partial_attention(query, key[: edges[seen]], value[: edges[seen]])
        numbers["m"] = tops[-1]
        numbers["shrink"] = float(np.exp(tops[-2] - tops[-1])) if seen > 1 else 0.0
        numbers["z"] = float(np.exp(part.logsumexp[row] - tops[-1]))
        numbers |= named("output", part.output[row])
    return numbers


def leaks(state: State, data: Data) -> Numbers:
    query, key, value = (np.array(data[name]) for name in ("query", "key", "value"))
    n, padded, bug = len(query), data["padded"], state["bug"]
    real = {"none": np.ones(n, bool), "right": np.arange(n) < n - padded, "left": np.arange(n) >= padded}[
        state["padding"]
    ]
    allowed = np.tri(n, dtype=bool) & real
    visible = {
        "honest": allowed,
        "late": allowed,
        "ahead": np.tri(n, k=1, dtype=bool) & real,
        "padding": np.tri(n, dtype=bool),
        "forgets": np.tri(n, dtype=bool) if state["padding"] == "none" else np.broadcast_to(real, (n, n)),
    }[bug]

    def run(key: Array, value: Array) -> Array:
        if bug == "late":
            return np.asarray((at.reference.weights(query, key) * visible) @ value)
        return at.reference.attention(query, key, value, mask=at.Dense(visible))

    before, moved = run(key, value), np.zeros((n, n))
    for j in range(n):
        change = (np.arange(n) == j)[:, None] * 1.0
        moved[:, j] = np.linalg.norm(run(key + change, value + change) - before, axis=-1)
    return {
        **named("moved", moved[:, state["token"]]),
        "leaks": int(((moved > 1e-9) & ~allowed & real[:, None]).sum()),
    }


def chances(model: at.models.Transformer, tokens: bytes, ablate: list[tuple[int, int]]) -> Array:
    """The softmax of the last row's logits."""
    logits = model.logits(tokens, ablate=ablate)[-1].astype(float)
    return np.asarray(at.reference.weights(np.ones((1, 1)), logits[:, None], scale=1.0)[0])


def induction(state: State, data: Data) -> Numbers:
    """The stored numbers are the model's: maps, chances, and the losses that test_still.py computes again."""
    model, vocabulary = at.models.trained_transformer()
    tokens = vocabulary.encode(" ".join(data["words"]))
    reading = model.read(tokens)
    maps = [
        at.reference.weights(query, key, mask=at.Causal(), scale=1.0)
        for query, key in zip(reading.query, reading.key, strict=True)
    ]
    previous = int(maps[0][:, data["b"], data["a"]].argmax())
    head = int(maps[1][:, data["last"], data["b"]].argmax())
    row = maps[0][previous, data["b"]] if state["step"] == 1 else maps[1][head, data["last"]]
    ablate = {
        "none": [],
        "previous word": [(0, previous)],
        "one induction head": [(1, head)],
        "all induction heads": [(1, each) for each in data["inductionHeads"]],
        "another head": [(0, next(each for each in range(5) if each != previous))],
    }[state["ablate"]]
    found = chances(model, tokens, ablate)
    return {
        **named("weight", row),
        **{f"chance {word}": found[token] for token, word in enumerate(vocabulary.words)},
        **{f"loss {name}": loss for name, loss in data["losses"].items()},
        "without": found[vocabulary.words.index(data["words"][data["b"]])],
        "texts": 100,
    }


def training(state: State, data: Data) -> Numbers:
    stored = at.models.trained.stored_arrays()["history"][state["place"]]
    names = ("step", "loss", "first", "second", "induction", "previous")
    return {**dict(zip(names, stored.tolist(), strict=True)), "second reading": stored[3]}


def segments(state: State, data: Data) -> Numbers:
    """What docs/figures/observe.py stored; test_gemma.py computes it again."""
    observed = json.loads((ROOT / "docs" / "figures" / "gemma.json").read_text(encoding="utf-8"))["prompt"]
    names, answer = ["<bos>", *(name for name, _ in observed["segments"])], observed["answers"][state["out"]]
    return {
        **{f"mass {name}": mass for name, mass in zip(names, observed["mass"][state["layer"]], strict=True)},
        "chance right": answer["right"],
        "chance planted": answer["planted"],
        "now right": answer["right"],
    }


EXPECTED: dict[str, Callable[[State, Data], Numbers]] = {
    "retrieval": retrieval,
    "scale": scale,
    "masks": masks,
    "weights": weights,
    "heads": heads,
    "positions": positions,
    "cache": cache,
    "flash": flash,
    "leaks": leaks,
    "induction": induction,
    "training": training,
    "segments": segments,
}
