"""From the fields of a config to a model: which architecture it is, and all its layers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from attnscope.arguments import brief, one_line
from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import Heads, check_divided, check_layers, read_heads
from attnscope.sizing.architectures.encoder_decoders import ENCODER_DECODERS, describe_encoder_decoder
from attnscope.sizing.architectures.family import Family
from attnscope.sizing.architectures.known import DIVIDED, FAMILIES, TEXT_MODELS
from attnscope.sizing.architectures.mlp import mlp_weights
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, ModelDescription
from attnscope.sizing.units import known_number_format

POSITIONS = [
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "max_target_positions",
    "model_max_length",
]
# beside a text_config: fields of an encoder of pictures or sound, and adapters of weights
OF_OTHER_PARTS = (
    ".*_config",
    "acoustic_.*",
    "semantic_.*",
    "has_lora_adapter",
    "head_dim",
    "downsample_.*",
    "window_size",
)


def read_model(config: Mapping[str, Any], assume: Mapping[str, Any] | None = None) -> ModelDescription:
    """The model that a config describes; `assume` replaces fields that the file lacks or has wrong.

    Raises ConfigError for an unknown model_type, a missing or impossible field, and an unread one that could
    change the cache.
    """
    assume = _checked_assumptions(assume)
    _check_names(config, "")
    outer_type = _model_type(config, assume)
    text = _text_config(config, outer_type)
    if text is None:
        return _describe({**config, **assume}, outer_type, "", assume)
    prefix, inner = text
    own = {name.removeprefix(prefix): value for name, value in assume.items()}
    outer = Fields({**config, **assume}, model_type=outer_type)
    outer.ignore("text_config", *assume, *(name for name in config if name in inner))
    outer.refuse_unread(OF_OTHER_PARTS)
    merged = {"tie_word_embeddings": config.get("tie_word_embeddings"), **inner, **own}
    merged.setdefault("quantization_config", config.get("quantization_config"))
    merged.setdefault("dtype", config.get("dtype", config.get("torch_dtype")))
    model_type = own.get("model_type") or inner.get("model_type") or TEXT_MODELS.get(outer_type)
    if type(model_type) is not str:
        raise ConfigError(f"{prefix}model_type={brief(model_type)}: expected the name of an architecture.")
    return _describe(merged, TEXT_MODELS.get(model_type) or model_type, prefix, assume)


def _checked_assumptions(assume: Any) -> dict[str, Any]:
    if assume is None:
        return {}
    if not isinstance(assume, Mapping) or not all(type(name) is str for name in assume):
        raise ConfigError(
            f"assume={brief(assume)}: expected a mapping of fields to values, or to None for a field that "
            "does not matter."
        )
    return dict(assume)


def _check_names(fields: Mapping[Any, Any], prefix: str) -> None:
    wrong = [name for name in fields if type(name) is not str]
    if wrong:
        raise ConfigError(
            f"{prefix}{brief(wrong[0])} is no name of a field. Give a mapping of names to values."
        )


def _model_type(config: Mapping[str, Any], assume: Mapping[str, Any]) -> str:
    model_type = assume.get("model_type", config.get("model_type"))
    if type(model_type) is not str or not model_type:
        raise ConfigError(
            f"model_type={brief(model_type)}: expected the name of an architecture, such as 'llama'. "
            "If this is a model's config, give the architecture: assume={'model_type': ...}."
        )
    return model_type


def _text_config(config: Mapping[str, Any], outer_type: str) -> tuple[str, Mapping[str, Any]] | None:
    """The part of a model of pictures or sound that describes its decoder, and its place in the file."""
    inner = config.get("text_config")
    if inner is None:
        return None
    if outer_type not in TEXT_MODELS:
        raise ConfigError(
            f"model_type={brief(outer_type)} with a text_config is not known. If its decoder is a known one, "
            "size config['text_config'] by itself."
        )
    if not isinstance(inner, Mapping):
        raise ConfigError(f"text_config={brief(inner)}: expected a mapping of fields.")
    _check_names(inner, "text_config.")
    return "text_config.", inner


def _describe(
    given: Mapping[str, Any], model_type: str, prefix: str, assume: Mapping[str, Any]
) -> ModelDescription:
    model_type = TEXT_MODELS.get(model_type) or model_type
    encoder_decoder = ENCODER_DECODERS.get(model_type)
    family = FAMILIES.get(model_type)
    fields = Fields(given, prefix=prefix, defaults=family.defaults if family else {}, model_type=model_type)
    quantized = fields.value("quantization_config") is not None
    if encoder_decoder is not None:
        model = describe_encoder_decoder(fields, encoder_decoder)
        harmless = encoder_decoder.harmless
    elif family is not None:
        model = _describe_decoder(fields, family)
        harmless = family.harmless
    else:
        raise ConfigError(
            f"{prefix}model_type={brief(model_type)} is not known, and its cache would be a guess. "
            "If it follows a known architecture, give that: assume={'model_type': 'llama'}."
        )
    model = replace(
        model, max_positions=fields.optional_integer(*POSITIONS), number_format=_number_format(fields)
    )
    fields.refuse_unread(harmless)
    given_names = {name.removeprefix(prefix) for name in assume}
    notes = [text for name, text in fields.notes.items() if name not in given_names]
    notes += [f"assumed: {one_line(name)}={brief(value)}" for name, value in assume.items()]
    return replace(model, notes=tuple(notes), quantized=quantized)


def _describe_decoder(fields: Fields, family: Family) -> ModelDescription:
    if family.decoder_flag and not fields.flag("is_decoder"):
        raise ConfigError(
            f"{fields.prefix}is_decoder is not true: {fields.model_type} is an encoder, which has no cache. "
            "If it is used as a decoder: assume={'is_decoder': True}."
        )
    number = family.layer_count(fields) if family.layer_count else fields.integer(*family.names.layers)
    check_layers(fields, family.names.layers[0], number)
    for name in family.required:
        fields.require(name)
    if family.heads:
        own = family.kv_heads(fields) if family.kv_heads else None
        heads = read_heads(fields, family.names, own)
        if fields.model_type in DIVIDED.split():
            check_divided(fields, family.names, heads.hidden_size, heads.query_heads)
    else:
        heads = Heads(fields.integer(*family.names.hidden), 0, 0, 0, 0)
    kinds = family.pattern(fields, number)
    built = {kind: _build(fields, family, kind, heads) for kind in dict.fromkeys(kinds)}
    layers = [built[kind] for kind in kinds]
    layers = family.finish(fields, layers) if family.finish else layers
    return _with_weights(fields, family, heads.hidden_size, layers)


def _build(fields: Fields, family: Family, kind: str, heads: Heads) -> Layer:
    if kind not in family.kinds:
        raise ConfigError(
            f"{fields.prefix}layer_types has {kind} layers, which {fields.model_type} is not known to have. "
            f"Known are {', '.join(sorted(family.kinds))}."
        )
    return family.kinds[kind](fields, heads)


def _with_weights(fields: Fields, family: Family, hidden: int, layers: list[Layer]) -> ModelDescription:
    vocabulary = fields.optional_integer("vocab_size")
    missing = None if vocabulary else f"{fields.prefix}vocab_size is missing"
    if family.mlp is not None:
        each = mlp_weights(fields, family.mlp, hidden, len(layers))
        if isinstance(each, str):
            missing = each
        else:
            layers = [replace(layer, **own._asdict()) for layer, own in zip(layers, each, strict=True)]
    elif family.heads:
        missing = f"the MLPs of {fields.model_type} are not counted"
    return ModelDescription(
        fields.model_type,
        tuple(layers),
        hidden_size=hidden,
        vocabulary=vocabulary,
        tied_embeddings=fields.flag("tie_word_embeddings", otherwise=family.tied),
        weights_missing=missing,
    )


def _number_format(fields: Fields) -> str | None:
    """The format of the weights, if the file names a known one."""
    return known_number_format(fields.value("dtype", "torch_dtype"))
