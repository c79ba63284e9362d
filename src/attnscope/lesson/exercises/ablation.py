"""Project B: find the induction head of the trained model, and take it out."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, causal, softmax
from attnscope.lesson.exercises.induction import score
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Misconception, Task
from attnscope.models import trained_transformer
from attnscope.positions import apply_rotary

Model = dict[str, Any]
# Of float32's 24 bits: two layers of sums over up to 80 numbers, and e^score of scores up to 30
CLOSE = 2.0**-14


def parameters() -> Model:
    """The trained weights by name, as the notebook loads them."""
    model, _ = trained_transformer()
    found: Model = {"embedding": model.embedding, "unembedding": model.unembedding}
    for depth, layer in enumerate(model.layers):
        found |= {f"{name}{depth}": getattr(layer, name) for name in ("w_q", "w_k", "w_v", "w_o")}
    return found


def twice(rng: np.random.Generator, size: Any) -> Arguments:
    """Words in random order, read twice."""
    model = parameters()
    words = rng.permutation(len(model["embedding"]))[: size.words]
    return {"model": model, "tokens": np.concatenate([words, words])}


def with_a_head(rng: np.random.Generator, size: Any) -> Arguments:
    made = twice(rng, size)
    layers, heads = 2, len(made["model"]["w_q0"])
    return {**made, "layer": int(rng.integers(layers)), "head": int(rng.integers(heads))}


def run(
    model: Model,
    tokens: Array,
    *,
    without: tuple[int, int] | None = None,
    turned: bool = True,
    masked: bool = True,
) -> tuple[Array, Array]:
    """Logits and attention maps: (tokens, words), (layers, heads, tokens, tokens)."""
    residual = model["embedding"][tokens].astype(np.float64)
    positions, maps = np.arange(len(tokens)), []
    for depth in range(sum(name.startswith("w_q") for name in model)):
        query, key, value = (
            residual @ model[f"{name}{depth}"].astype(np.float64) for name in ("w_q", "w_k", "w_v")
        )
        if turned:
            query, key = apply_rotary(query, positions), apply_rotary(key, positions)
        scores = query @ key.swapaxes(-1, -2)
        weights = softmax(np.where(causal(len(tokens), len(tokens)), scores, -np.inf) if masked else scores)
        added = weights @ value @ model[f"w_o{depth}"].astype(np.float64)
        residual = residual + sum(each for head, each in enumerate(added) if (depth, head) != without)
        maps.append(weights)
    return residual @ model["unembedding"].astype(np.float64), np.array(maps)


def near(right: Array) -> Expected:
    return Expected(right, CLOSE * (1 + np.abs(right).max()))


MAPS = Task(
    name="attention_maps",
    parameters=("model", "tokens"),
    results=("maps",),
    draws=(Draw("words twice", twice, {"words": 12}, {"words": 2}, round=False, seeds=2),),
    expected=lambda model, tokens: (near(run(model, tokens)[1]),),
    misconceptions=(
        Misconception(
            "the rotary positions are missing: queries and keys are turned before the dot product.",
            lambda model, tokens: run(model, tokens, turned=False)[1],
        ),
        Misconception(
            "the causal mask is missing.", lambda model, tokens: run(model, tokens, masked=False)[1]
        ),
        Misconception(
            "all layers read the embedding: a layer's input is the residual stream after the one before.",
            lambda model, tokens: np.concatenate([
                run(without_layer(model, d), tokens)[1][-1:] for d in (0, 1)
            ]),
        ),
    ),
)


def without_layer(model: Model, depth: int) -> Model:
    """A model of one layer alone."""
    kept = {name: each for name, each in model.items() if not name[-1].isdigit()}
    return kept | {f"{name}0": model[f"{name}{depth}"] for name in ("w_q", "w_k", "w_v", "w_o")}


def maps_and_tokens(rng: np.random.Generator, size: Any) -> Arguments:
    """The heads of each layer are in another order each time, so that the answer is not always the same."""
    made = twice(rng, size)
    maps = run(made["model"], made["tokens"])[1]
    return {"maps": np.array([rng.permutation(layer) for layer in maps]), "tokens": made["tokens"]}


def best_head(maps: Array, tokens: Array, **options: Any) -> Array:
    """(layer, head) with the largest induction score."""
    scores = np.array([score(layer, tokens, **options) for layer in maps])
    return np.array(np.unravel_index(scores.argmax(), scores.shape), dtype=float)


HEAD = Task(
    name="induction_head",
    parameters=("maps", "tokens"),
    results=("layer_and_head",),
    draws=(Draw("words twice", maps_and_tokens, {"words": 16}, {"words": 4}, round=False, seeds=2),),
    expected=lambda maps, tokens: (Expected(best_head(maps, tokens), 0.0),),
    misconceptions=(
        Misconception(
            "this is the previous-token head: an induction head reads the word after the last occurrence.",
            lambda maps, tokens: np.array(
                np.unravel_index(np.diagonal(maps, -1, axis1=-2, axis2=-1).mean(-1).argmax(), maps.shape[:2]),
                dtype=float,
            ),
        ),
        Misconception(
            "this is the head that reads the earlier word itself; expected the one that reads the next word.",
            lambda maps, tokens: best_head(maps, tokens, after=0),
        ),
        Misconception(
            "layer and head are exchanged: expected (layer, head).",
            lambda maps, tokens: best_head(maps, tokens)[::-1],
        ),
    ),
)

ABLATED = Task(
    name="logits_without",
    parameters=("model", "tokens", "layer", "head"),
    results=("logits",),
    draws=(Draw("a head", with_a_head, {"words": 10}, {"words": 2}, round=False, seeds=4),),
    expected=lambda model, tokens, layer, head: (near(run(model, tokens, without=(layer, head))[0]),),
    misconceptions=(
        Misconception("no head is taken out.", lambda model, tokens, layer, head: run(model, tokens)[0]),
        Misconception(
            "the head is taken out of both layers.",
            lambda model, tokens, layer, head: run(silenced(silenced(model, 0, head), 1, head), tokens)[0],
        ),
        Misconception(
            "the whole layer is taken out.",
            lambda model, tokens, layer, head: run(
                {**model, f"w_o{layer}": np.zeros_like(model[f"w_o{layer}"])}, tokens
            )[0],
        ),
    ),
)


def silenced(model: Model, layer: int, head: int) -> Model:
    """The model with a head that writes nothing."""
    w_o = model[f"w_o{layer}"].copy()
    w_o[head] = 0
    return {**model, f"w_o{layer}": w_o}


EXERCISE = Exercise(
    "B",
    "find and ablate an induction head",
    (MAPS, HEAD, ABLATED),
    difficulty=3,
    minutes=90,
    after=(5, 6, 10),
)
