"""The front door: a config, and what its cache takes."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

from attnscope.arguments import whole_number
from attnscope.errors import ConfigError
from attnscope.problem import AttentionShape
from attnscope.sizing.architectures import read_model
from attnscope.sizing.config_file import read_config
from attnscope.sizing.engines import read_engine
from attnscope.sizing.layer_rows import Ask, growth, layer_rows
from attnscope.sizing.model import Layer, ModelDescription, Rows
from attnscope.sizing.number_formats import read_number_format
from attnscope.sizing.plan import CachePlan
from attnscope.sizing.weights import Weights, weights_of

FLOATS = ("float32", "bfloat16", "float16")


def size(
    config: Mapping[str, Any] | str | PathLike[str] | AttentionShape,
    *,
    context: int,
    batch: int = 1,
    kv_dtype: str = "bfloat16",
    engine: str = "hf",
    memory: int | None = None,
    encoder_context: int | None = None,
    assume: Mapping[str, Any] | None = None,
) -> CachePlan:
    """What a model's cache takes, layer by layer, with one engine.

    cache bytes = batch * sum over layers of (tokens held * heads * (key_dim + value_dim) * bytes of a number + states)

    config             a dict, the path of a config.json, of its folder or of a GGUF file, or an AttentionShape
    context            tokens in the cache, of each sequence: the prompt and all new tokens but the last
    kv_dtype           bfloat16, float16, float32, int8, fp8 or int4; states keep their own format, and the plan says so
    engine             hf, hf-static, vllm, llama.cpp or attnscope: each rounds in its own way, and says how
    memory             bytes that weights and cache have together, for max_sequences and max_context
    encoder_context    tokens of the encoder's output, where there is an encoder; `context` unless given
    assume             fields to take instead of the file's: {"sliding_window": 4096}; None for one that does not matter

    Errors
        ConfigError, a ValueError: an architecture that is not known, a field that is missing, impossible, or unread and
        could change the cache. It names the field as it stands in the file.

    >>> llama = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    ...          "num_key_value_heads": 8, "head_dim": 128}
    >>> size(llama, context=8192).bytes_per_token
    131072
    >>> size(llama, context=8192).cache_bytes / 2**30
    1.0
    """
    context = _whole(context, "context", 0)
    batch = _whole(batch, "batch", 1)
    kv_dtype = read_number_format(kv_dtype)
    chosen = read_engine(engine)
    if kv_dtype not in chosen.formats:
        raise ConfigError(f"kv_dtype={kv_dtype!r}: engine={engine!r} has {', '.join(chosen.formats)}.")
    memory = None if memory is None else _whole(memory, "memory", 0)
    model, weights = _read(config, assume)
    encoder_tokens = _encoder_tokens(model, context, encoder_context)
    ask = Ask(chosen, batch, kv_dtype, state_dtype(model, kv_dtype), encoder_tokens)
    return CachePlan(
        model=model,
        context=context,
        batch=batch,
        kv_dtype=kv_dtype,
        engine=chosen.name,
        layers=layer_rows(model, ask, context),
        bytes_per_token=growth(model, ask),
        weights=weights,
        memory=memory,
        notes=_notes(model, ask, context),
        rounding=f"{chosen.rounding} ({chosen.source})",
        rows_at=lambda tokens: layer_rows(
            model, replace(ask, encoder_tokens=_encoder_tokens(model, tokens, encoder_context)), tokens
        ),
    )


def describe_model(config: Any, assume: Mapping[str, Any] | None = None) -> ModelDescription:
    """The model that a config describes: its layers, sizes and parameters.

    Errors
        ConfigError.
    """
    return _read(config, assume)[0]


def _read(config: Any, assume: Mapping[str, Any] | None) -> tuple[ModelDescription, Weights]:
    if isinstance(config, AttentionShape):
        return _one_layer(config), Weights(None, False, "a shape has none")
    file = read_config(config)
    try:
        model = read_model(file.fields, assume)
    except RecursionError:
        raise ConfigError(
            "the config's values are nested too deep to be a model's. Check the file."
        ) from None
    if file.tensor_bytes is not None:
        return model, Weights(file.tensor_bytes, True, "counted in the GGUF file")
    return model, weights_of(model, file.folder)


def _one_layer(shape: AttentionShape) -> ModelDescription:
    layer = Layer(
        "full",
        (Rows("key", shape.kv_heads, shape.key_dim), Rows("value", shape.kv_heads, shape.value_dim)),
        query_heads=shape.query_heads,
        key_dim=shape.key_dim,
        value_dim=shape.value_dim,
    )
    return ModelDescription("AttentionShape", (layer,), weights_missing="a shape has none")


def _whole(given: Any, name: str, minimum: int) -> int:
    return whole_number(given, name, minimum=minimum, error=ConfigError)


def _encoder_tokens(model: ModelDescription, context: int, encoder_context: Any) -> int | None:
    if encoder_context is not None:
        given = _whole(encoder_context, "encoder_context", 0)
        if not model.has_encoder:
            raise ConfigError(f"encoder_context={given}: {model.model_type} has no encoder. Leave it out.")
        if model.encoder_tokens is not None and given != model.encoder_tokens:
            raise ConfigError(
                f"encoder_context={given}: {model.model_type}'s encoder always gives {model.encoder_tokens} "
                "tokens. Leave it out."
            )
        return given
    if not model.has_encoder:
        return None
    return context if model.encoder_tokens is None else model.encoder_tokens


def state_dtype(model: ModelDescription, kv_dtype: str) -> str:
    """What a state without a format of its own is kept in: what the model computes in."""
    if kv_dtype in FLOATS:
        return kv_dtype
    return model.number_format if model.number_format in FLOATS else "bfloat16"


def _notes(model: ModelDescription, ask: Ask, context: int) -> tuple[str, ...]:
    notes = [f"not in the file: {text}" for text in model.filled]
    notes += [f"assumed: {text}" for text in model.assumed]
    if model.model_type == "AttentionShape":
        notes.append("one layer: a shape does not say how many there are")
    states = {state.number_format or ask.state_dtype for layer in model.layers for state in layer.states}
    if states:
        notes.append(f"states are kept in {' and '.join(sorted(states))}, whatever kv_dtype says")
    if ask.engine.name == "hf" and ask.kv_dtype in ("int8", "int4"):
        notes.append(
            "the numbers only: Transformers' quantized caches add scales, and the last tokens unquantized"
        )
    if model.has_encoder:
        notes.append(f"the encoder's output is {ask.encoder_tokens:,} tokens")
    if model.max_positions is not None and context > model.max_positions:
        notes.append(f"{context:,} tokens are beyond max_position_embeddings={model.max_positions:,}")
    return tuple(notes)
