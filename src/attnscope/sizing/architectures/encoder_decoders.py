"""Encoder-decoders: the decoder's own keys, and those of the encoder's output, which are written once.

Sources: each architecture's configuration and modeling files in Transformers 5.23, and the model cards of
published files.
"""

from dataclasses import dataclass, replace

from attnscope.sizing.architectures.attention import Heads, Names, check_divided, check_layers, full
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import ModelDescription


@dataclass(frozen=True)
class EncoderDecoder:
    """The names of an architecture's sizes; head_dim is d_model / heads unless it has a name.

    `encoder_tokens` is the field with the length of the encoder's output; None: as long as its input.
    """

    hidden: tuple[str, ...] = ("d_model", "hidden_size")
    layers: tuple[str, ...] = ("decoder_layers",)
    heads: tuple[str, ...] = ("decoder_attention_heads",)
    inner: tuple[str, ...] = ("decoder_ffn_dim",)
    head_dim: tuple[str, ...] = ()
    encoder_layers: tuple[str, ...] = ("encoder_layers",)
    encoder_heads: tuple[str, ...] = ("encoder_attention_heads",)
    encoder_inner: tuple[str, ...] = ("encoder_ffn_dim",)
    encoder_tokens: str | None = None
    harmless: tuple[str, ...] = ("num_hidden_layers", "num_attention_heads", "encoder_.*")


BART = EncoderDecoder()
T5 = EncoderDecoder(
    layers=("num_decoder_layers",),
    heads=("num_heads", "num_attention_heads"),
    inner=("d_ff",),
    head_dim=("d_kv", "head_dim"),
    encoder_layers=("num_layers", "num_hidden_layers"),
    encoder_heads=("num_heads",),
    encoder_inner=("d_ff",),
    harmless=("encoder_layers", "num_sparse_.*"),
)
ENCODER_DECODERS: dict[str, EncoderDecoder] = {
    **dict.fromkeys(
        [
            "bart",
            "blenderbot",
            "blenderbot-small",
            "fsmt",
            "m2m_100",
            "marian",
            "mbart",
            "mvp",
            "pegasus",
            "plbart",
            "nllb-moe",
        ],
        BART,
    ),
    "bigbird_pegasus": replace(BART, harmless=(*BART.harmless, "block_.*")),
    "pegasus_x": replace(BART, harmless=(*BART.harmless, "stagger_.*")),
    "led": replace(BART, harmless=(*BART.harmless, "attention_window", "max_.*_position_embeddings")),
    "whisper": replace(BART, encoder_tokens="max_source_positions"),
    "speech_to_text": replace(BART, harmless=(*BART.harmless, "num_conv_layers")),
    **dict.fromkeys(["t5", "mt5", "umt5", "longt5", "pop2piano", "switch_transformers"], T5),
}


def describe_encoder_decoder(fields: Fields, names: EncoderDecoder) -> ModelDescription:
    """The model of a config; each decoder layer becomes two: over its own tokens, and over the encoder's."""
    layers = _layer_count(fields, names)
    check_layers(fields, names.layers[0], layers)
    heads = _heads(fields, names)
    own = full(fields, heads)
    inner = fields.optional_integer(*names.inner)
    matrices = 3 if _is_gated(fields) else 2
    mlp = matrices * heads.hidden_size * (inner or 0)
    cross = replace(own, kind="cross", of_encoder=True)
    own = replace(own, mlp_weights=mlp, active_mlp_weights=mlp)
    encoder_tokens = fields.integer(names.encoder_tokens) if names.encoder_tokens else None
    encoder_weights = _encoder_weights(fields, names, own.attention_weights, heads.hidden_size * matrices)
    vocabulary = fields.optional_integer("vocab_size", "tgt_vocab_size")
    missing = None
    if inner is None or encoder_weights is None or vocabulary is None:
        missing = "sizes of the MLP, the encoder or the vocabulary are missing"
    return ModelDescription(
        fields.model_type,
        (own,) * layers + (cross,) * layers,
        hidden_size=heads.hidden_size,
        vocabulary=vocabulary,
        tied_embeddings=fields.flag("tie_word_embeddings", otherwise=True),
        encoder_tokens=encoder_tokens,
        encoder_weights=encoder_weights or 0,
        weights_missing=missing,
    )


def _layer_count(fields: Fields, names: EncoderDecoder) -> int:
    number = fields.optional_integer(*names.layers)
    if number is None and names.layers != BART.layers:
        number = fields.integer(*names.encoder_layers)
        fields.fill(names.layers[0], number, f"as {names.encoder_layers[0]}")
    return number if number is not None else fields.integer(*names.layers)


def _heads(fields: Fields, names: EncoderDecoder) -> Heads:
    hidden = fields.integer(*names.hidden)
    number = fields.integer(*names.heads)
    if names.head_dim:
        dim = fields.integer(*names.head_dim)
    else:
        check_divided(fields, Names(hidden=names.hidden, query_heads=names.heads), hidden, number)
        dim = hidden // number
    return Heads(hidden, number, number, dim, dim)


def _is_gated(fields: Fields) -> bool:
    activation = fields.value("feed_forward_proj")
    return isinstance(activation, str) and activation.startswith("gated")


def _encoder_weights(fields: Fields, names: EncoderDecoder, attention: int, inner_weights: int) -> int | None:
    layers, inner = (
        fields.optional_integer(*names.encoder_layers),
        fields.optional_integer(*names.encoder_inner),
    )
    return None if layers is None or inner is None else layers * (attention + inner_weights * inner)
