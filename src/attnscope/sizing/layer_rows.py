"""The rows of a plan: what all layers of one kind take together."""

from dataclasses import dataclass

from attnscope.errors import ConfigError
from attnscope.sizing.engines import Engine
from attnscope.sizing.model import Layer, ModelDescription, State
from attnscope.sizing.number_formats import bytes_of


@dataclass(frozen=True)
class LayerRow:
    """What the layers of one kind take.

    kind               full, sliding, chunked, latent, indexed latent, linear, cross, "sliding, shared", ...
    layers             how many there are
    tokens             for how many tokens each holds memory; 0 where it keeps none
    bytes_per_token    what one token takes in one layer
    state_bytes        what a sequence's states take in one layer
    cache_bytes        all layers, the whole batch
    formula            how that comes about, in numbers
    """

    kind: str
    layers: int
    tokens: int
    bytes_per_token: int
    state_bytes: int
    cache_bytes: int
    formula: str


@dataclass(frozen=True)
class Ask:
    """What a plan is for: so many sequences of a number format, and the formats of what is no key or value."""

    engine: Engine
    batch: int
    kv_dtype: str
    state_dtype: str
    encoder_tokens: int | None


def layer_rows(model: ModelDescription, ask: Ask, context: int) -> tuple[LayerRow, ...]:
    """A row for each kind of layer, in the order in which they first come.

    Errors
        ConfigError for a layer that the engine has no cache for.
    """
    return tuple(_row(model.model_type, layer, number, ask, context) for layer, number in model.kinds.items())


def growth(model: ModelDescription, ask: Ask) -> int:
    """Bytes that one more token of one sequence adds in the layers that keep all tokens."""
    return sum(
        _bytes_per_token(layer, ask)
        for layer in model.layers
        if layer.grows or (layer.window and not ask.engine.has_window(model.model_type))
    )


def _bytes_per_token(layer: Layer, ask: Ask) -> int:
    return sum(ask.engine.row_bytes(rows, 1, ask.kv_dtype) for rows in ask.engine.rows(layer))


def _row(model_type: str, layer: Layer, number: int, ask: Ask, context: int) -> LayerRow:
    if layer.shared or not (layer.rows or layer.states):
        why = "reads an earlier layer's keys and values" if layer.shared else "keeps nothing"
        return LayerRow(layer.kind, number, 0, 0, 0, 0, f"{number} layers: each {why} = 0 bytes")
    engine, terms = ask.engine, []
    came = (ask.encoder_tokens or 0) if layer.of_encoder else context
    tokens = engine.tokens_of(model_type, layer, came) if layer.rows else 0
    rows_bytes = 0
    for rows in engine.rows(layer):
        rows_bytes += engine.row_bytes(rows, tokens, ask.kv_dtype)
    if layer.rows:
        numbers = " + ".join(
            f"{rows.heads} x {rows.dim} {rows.name}" if rows.heads > 1 else f"{rows.dim} {rows.name}"
            for rows in engine.rows(layer)
        )
        terms.append(f"{tokens:,} tokens x ({numbers}) in {ask.kv_dtype} = {rows_bytes:,} bytes")
    state_bytes = 0
    for state in _states(layer, engine):
        number_format = state.number_format or ask.state_dtype
        taken = bytes_of(state.numbers, number_format)
        state_bytes += taken
        shape = " x ".join(map(str, state.shape))
        terms.append(f"{state.name} state {shape} in {number_format} = {taken:,} bytes")
    total = number * ask.batch * (rows_bytes + state_bytes)
    sequences = f"{ask.batch:,} sequences x " if ask.batch > 1 else ""
    formula = f"{sequences}{number} layers x [{'; '.join(terms)}] = {total:,} bytes"
    return LayerRow(layer.kind, number, tokens, _bytes_per_token(layer, ask), state_bytes, total, formula)


def _states(layer: Layer, engine: Engine) -> tuple[State, ...]:
    if layer.states and engine.states is None:
        raise ConfigError(
            f"engine={engine.name!r} cannot be sized for {layer.kind} layers, which keep a state: {engine.no_states}. "
            "Use engine='hf', 'hf-static' or 'llama.cpp'."
        )
    return engine.states(layer) if engine.states else ()
