"""The bytes that all layers of one kind take in one engine's cache."""

from dataclasses import dataclass

from attnscope.errors import ConfigError
from attnscope.sizing.engines import Engine
from attnscope.sizing.model import Layer, ModelDescription, State
from attnscope.sizing.units import bytes_of


@dataclass(frozen=True)
class LayerRow:
    """The layers of one kind: one row of a plan's table.

    Parameters
    ----------
    kind : str
        full, sliding, chunked, latent, indexed latent, linear, cross, "sliding, shared", ...
    layers : int
        How many there are.
    tokens : int
        Tokens for which each layer holds memory; 0 if it caches none.
    bytes_per_token : int
        Bytes of one token in one layer.
    state_bytes : int
        Bytes of one sequence's states in one layer.
    cache_bytes : int
        Bytes of all layers and the whole batch.
    formula : str
        How cache_bytes is computed, in numbers.
    """

    kind: str
    layers: int
    tokens: int
    bytes_per_token: int
    state_bytes: int
    cache_bytes: int
    formula: str


@dataclass(frozen=True)
class CacheRequest:
    """What a cache is sized for: the engine, the number of sequences and the number formats."""

    engine: Engine
    batch: int
    kv_dtype: str
    state_dtype: str
    encoder_tokens: int | None


def layer_rows(model: ModelDescription, request: CacheRequest, context: int) -> tuple[LayerRow, ...]:
    """One row per kind of layer; raises ConfigError if the engine has no cache for a kind."""
    return tuple(
        _row(model.model_type, layer, number, request, context) for layer, number in model.kinds.items()
    )


def growth(model: ModelDescription, request: CacheRequest) -> int:
    """Bytes that one more token of one sequence adds in the layers that keep all tokens."""
    return sum(
        _bytes_per_token(layer, request)
        for layer in model.layers
        if layer.grows or (layer.window and not request.engine.has_window(model.model_type))
    )


def _bytes_per_token(layer: Layer, request: CacheRequest) -> int:
    engine = request.engine
    return sum(engine.row_bytes(rows, 1, request.kv_dtype) for rows in engine.rows(layer))


def _row(model_type: str, layer: Layer, number: int, request: CacheRequest, context: int) -> LayerRow:
    if layer.shared or not (layer.rows or layer.states):
        why = "reads an earlier layer's keys and values" if layer.shared else "caches nothing"
        return LayerRow(layer.kind, number, 0, 0, 0, 0, f"{number} layers: each {why} = 0 bytes")
    engine, terms = request.engine, []
    length = (request.encoder_tokens or 0) if layer.of_encoder else context
    tokens = engine.tokens_of(model_type, layer, length) if layer.rows else 0
    rows_bytes = sum(engine.row_bytes(rows, tokens, request.kv_dtype) for rows in engine.rows(layer))
    if layer.rows:
        numbers = " + ".join(
            f"{rows.heads} x {rows.dim} {rows.name}" if rows.heads > 1 else f"{rows.dim} {rows.name}"
            for rows in engine.rows(layer)
        )
        terms.append(f"{tokens:,} tokens x ({numbers}) in {request.kv_dtype} = {rows_bytes:,} bytes")
    state_bytes = 0
    for state in _states(layer, engine):
        number_format = state.number_format or request.state_dtype
        one_state = bytes_of(state.numbers, number_format)
        state_bytes += one_state
        shape = " x ".join(map(str, state.shape))
        terms.append(f"{state.name} state {shape} in {number_format} = {one_state:,} bytes")
    total = number * request.batch * (rows_bytes + state_bytes)
    sequences = f"{request.batch:,} sequences x " if request.batch > 1 else ""
    formula = f"{sequences}{number} layers x [{'; '.join(terms)}] = {total:,} bytes"
    return LayerRow(layer.kind, number, tokens, _bytes_per_token(layer, request), state_bytes, total, formula)


def _states(layer: Layer, engine: Engine) -> tuple[State, ...]:
    if layer.states and engine.states is None:
        raise ConfigError(
            f"engine={engine.name!r} cannot be sized for {layer.kind} layers, which keep a state: "
            f"{engine.no_states}. Use engine='hf', 'hf-static' or 'llama.cpp'."
        )
    return engine.states(layer) if engine.states else ()
