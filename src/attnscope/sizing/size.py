"""The front door: from a config to the size of its cache, with one engine or with all."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

from attnscope.arguments import brief, kind_of, whole_number
from attnscope.errors import ConfigError
from attnscope.problem import AttentionShape
from attnscope.sizing.architectures import read_model
from attnscope.sizing.config_file import read_config
from attnscope.sizing.engines import ENGINES, read_engine
from attnscope.sizing.model import Layer, ModelDescription, Rows
from attnscope.sizing.plan import CachePlan, CacheRequest, EngineCache, growth, layer_rows
from attnscope.sizing.units import FLOATS, read_number_format
from attnscope.sizing.weights import Weights, weights_of

LARGEST_MEMORY = 2**60  # bytes


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
    """Size the cache of a model, layer by layer, with one engine.

    cache bytes = batch * sum over layers of
        (tokens held * heads * (key_dim + value_dim) * bytes per number + bytes of states)

    Parameters
    ----------
    config : mapping, path or AttentionShape
        A dict, the path of a config.json, of its folder or of a GGUF file, or the shape of one layer.
    context : int
        Tokens in the cache of each sequence: the prompt and all new tokens but the last.
    batch : int
        Sequences.
    kv_dtype : str
        bfloat16, float16, float32, int8, fp8 or int4. States keep their own format, which the plan names.
    engine : str
        hf, hf-static, vllm, llama.cpp or attnscope. Each rounds in its own way, which the plan explains.
    memory : int or None
        Bytes for weights and cache together, for `max_sequences` and `max_context`.
    encoder_context : int or None
        Tokens of the encoder's output, if there is an encoder; `context` unless given.
    assume : mapping or None
        Fields to use instead of the file's, such as {"sliding_window": 4096}; None for one that does not
        matter.

    Returns
    -------
    CachePlan
        The layers by kind, their bytes, and what fits into the memory; it prints as a table.

    Raises
    ------
    ConfigError
        If the architecture is not known, or a field is missing, impossible, or unread although it could
        change the cache. The message names the field as it stands in the file.

    Examples
    --------
    >>> llama = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "head_dim": 128,
    ...          "num_attention_heads": 32, "num_key_value_heads": 8}
    >>> size(llama, context=8192).bytes_per_token  # 32 layers * 8 heads * (128 + 128) numbers * 2 bytes
    131072
    >>> size(llama, context=8192).cache_bytes / 2**30
    1.0
    """
    context = whole_number(context, "context", minimum=0, error=ConfigError)
    batch = whole_number(batch, "batch", minimum=1, error=ConfigError)
    kv_dtype = read_number_format(kv_dtype)
    chosen = read_engine(engine)
    if kv_dtype not in chosen.formats:
        raise ConfigError(
            f"kv_dtype={kv_dtype!r}: engine={engine!r} has {', '.join(chosen.formats)}. Choose one of them."
        )
    memory = None if memory is None else _read_memory(memory)
    model, weights = _read(config, assume)
    encoder_tokens = _encoder_tokens(model, context, encoder_context)
    request = CacheRequest(chosen, batch, kv_dtype, state_dtype(model, kv_dtype), encoder_tokens)
    return CachePlan(
        model=model,
        context=context,
        batch=batch,
        kv_dtype=kv_dtype,
        engine=chosen.name,
        layers=layer_rows(model, request, context),
        bytes_per_token=growth(model, request),
        weights=weights,
        memory=memory,
        notes=_notes(model, request, context),
        rounding=f"{chosen.rounding} ({chosen.source})",
        rows_at=lambda tokens: layer_rows(
            model, replace(request, encoder_tokens=_encoder_tokens(model, tokens, encoder_context)), tokens
        ),
    )


def compare_engines(config: Any, arguments: Mapping[str, Any]) -> tuple[EngineCache, ...]:
    """Size a model with every engine.

    Parameters
    ----------
    config : mapping, path or AttentionShape
        As in `size`.
    arguments : mapping
        Keyword arguments of `size`, without `engine`.

    Returns
    -------
    tuple of EngineCache
        One per engine; an engine that cannot hold this cache has a reason instead of a plan.
    """
    return tuple(_with_engine(config, engine, arguments) for engine in ENGINES)


def _with_engine(config: Any, engine: str, arguments: Mapping[str, Any]) -> EngineCache:
    try:
        return EngineCache(engine, size(config, **(dict(arguments) | {"engine": engine})))
    except ConfigError as error:
        return EngineCache(engine, None, str(error))


def describe_model(config: Any, assume: Mapping[str, Any] | None = None) -> ModelDescription:
    """Read a config into a model: its layers, sizes and parameters.

    Parameters
    ----------
    config, assume
        As in `size`.

    Returns
    -------
    ModelDescription
        The model as data.

    Raises
    ------
    ConfigError
        As in `size`.
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
            "the config's values are nested too deep to be a model's. Correct the file."
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


def _read_memory(given: Any) -> int:
    """Bytes of memory: more than any array's length, so whole_number() does not apply."""
    if type(given) is not int:
        raise ConfigError(f"memory={brief(given)}: expected an integer, got {kind_of(given)}.")
    if not 0 <= given <= LARGEST_MEMORY:
        raise ConfigError(f"memory={brief(given)}: expected 0 or more, and at most 2**60 bytes.")
    return given


def _encoder_tokens(model: ModelDescription, context: int, encoder_context: Any) -> int | None:
    if encoder_context is not None:
        given = whole_number(encoder_context, "encoder_context", minimum=0, error=ConfigError)
        if not model.has_encoder:
            raise ConfigError(f"encoder_context={given}: {model.model_type} has no encoder. Leave it out.")
        if model.encoder_tokens is not None and given != model.encoder_tokens:
            raise ConfigError(
                f"encoder_context={given}: {model.model_type}'s encoder always returns "
                f"{model.encoder_tokens} tokens. Leave it out."
            )
        return given
    if not model.has_encoder:
        return None
    return context if model.encoder_tokens is None else model.encoder_tokens


def state_dtype(model: ModelDescription, kv_dtype: str) -> str:
    """The format of a state that has none of its own: that of the model's activations."""
    if kv_dtype in FLOATS:
        return kv_dtype
    return model.number_format if model.number_format in FLOATS else "bfloat16"


def _notes(model: ModelDescription, request: CacheRequest, context: int) -> tuple[str, ...]:
    notes = list(model.notes)
    if model.model_type == "AttentionShape":
        notes.append("one layer: a shape does not include the number of layers")
    states = {state.number_format or request.state_dtype for layer in model.layers for state in layer.states}
    if states:
        notes.append(f"states are kept in {' and '.join(sorted(states))}, whatever kv_dtype is")
    if request.engine.name == "hf" and request.kv_dtype in ("int8", "int4"):
        notes.append(
            "the numbers only: Transformers' quantized caches add scales, and the last tokens unquantized"
        )
    if model.has_encoder:
        notes.append(f"the encoder's output is {request.encoder_tokens:,} tokens")
    if model.max_positions is not None and context > model.max_positions:
        notes.append(f"{context:,} tokens are beyond max_position_embeddings={model.max_positions:,}")
    return tuple(notes)
