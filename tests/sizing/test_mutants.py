"""Mistakes that real calculators made, planted one by one: the known sizes must catch each."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

import attnscope as at
from attnscope.sizing import engines, plan
from attnscope.sizing.architectures import read
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, ModelDescription, Rows
from tests.sizing.published import config

# what real caches hold: tests/sizing/test_against_transformers.py compares the same files
CONTEXT = 2_000
KNOWN = {
    "llama-3-8b": 2 * 32 * 8 * 256 * 2_000,
    "qwen3-0.6b": 2 * 28 * 8 * 256 * 2_000,
    "gemma-3-27b": 2 * 16 * 256 * (10 * 2_000 + 52 * 1_023),
    "gemma-3n-e4b": 2 * 2 * 512 * (4 * 2_000 + 16 * 511),
    "deepseek-v3": 2 * 61 * 576 * 2_000,
    "gpt-oss-20b": 2 * 8 * 128 * (12 * 2_000 + 12 * 127),
    "jamba-v0.1": 2 * 4 * 8 * 256 * 2_000 + 28 * 8_192 * (4 * 2 + 16 * 4),
    "t5-base": 2 * 12 * 12 * 128 * (2_000 + 2_000),
    "falcon-40b": 2 * 60 * 128 * 128 * 2_000,
}


def check() -> None:
    sizes = {name: at.size(config(name), context=CONTEXT).cache_bytes for name in KNOWN}
    assert sizes == KNOWN


def every_layer(change: Callable[[Layer], Layer]) -> Callable[[Any], Any]:
    """The same models, with each layer changed."""
    sound = read.read_model

    def spoiled(*given: Any) -> ModelDescription:
        model = sound(*given)
        return replace(model, layers=tuple(map(change, model.layers)))

    front_door = import_module("attnscope.sizing.size")  # the room's own `size` is the function
    return lambda patch: patch.setattr(front_door, "read_model", spoiled)


def every_row(change: Callable[[Rows], Rows]) -> Callable[[Any], Any]:
    return every_layer(lambda layer: replace(layer, rows=tuple(map(change, layer.rows))))


def engine(**changes: Any) -> Callable[[Any], Any]:
    return lambda patch: patch.setitem(engines.ENGINES, "hf", replace(engines.ENGINES["hf"], **changes))


def without_head_dim(patch: Any) -> None:
    sound = Fields.optional_integer

    def spoiled(self: Fields, *names: str, **more: Any) -> int | None:
        number = sound(self, *names, **more)
        return None if names == ("head_dim",) else number

    patch.setattr(Fields, "optional_integer", spoiled)


def without_states(patch: Any) -> None:
    patch.setattr(plan, "_states", lambda layer, engine: ())


MUTANTS: dict[str, Callable[[Any], Any]] = {
    "a window keeps its whole width": engine(held=engines.ENGINES["hf-static"].held),
    "a window is one too narrow": every_layer(
        lambda layer: replace(layer, window=layer.window - 1) if layer.window else layer
    ),
    "windows are ignored": every_layer(lambda layer: replace(layer, window=None)),
    "a head is hidden_size / heads": without_head_dim,
    "every query head has its own keys": every_layer(
        lambda layer: replace(
            layer, rows=tuple(replace(rows, heads=layer.query_heads) for rows in layer.rows)
        )
    ),
    "a latent is counted for keys and for values": every_row(
        lambda rows: replace(rows, dim=2 * rows.dim) if rows.name in ("latent", "rotary key") else rows
    ),
    "a latent has no rotary part": every_layer(
        lambda layer: replace(layer, rows=tuple(rows for rows in layer.rows if rows.name != "rotary key"))
    ),
    "shared layers are counted": every_layer(lambda layer: replace(layer, shared=False)),
    "states are forgotten": without_states,
    "states are kept in the cache's format": every_layer(
        lambda layer: replace(
            layer, states=tuple(replace(state, number_format=None) for state in layer.states)
        )
    ),
    "the encoder's keys are forgotten": every_layer(
        lambda layer: replace(layer, shared=layer.shared or layer.of_encoder)
    ),
    "Falcon's heads are not repeated": engine(rows=lambda layer: layer.rows),
    "values are forgotten": every_layer(lambda layer: replace(layer, rows=layer.rows[:1])),
}


def test_the_sound_sizes_pass() -> None:
    check()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_known_sizes_catch(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[mutant](monkeypatch)
    with pytest.raises(AssertionError):
        check()
