"""Decoders with layers that keep a state, such as Mamba, Jamba and Qwen3-Next.

Sources: each architecture's configuration and modeling files in Transformers 5.23, and the model cards of
published files.
"""

from dataclasses import replace

from attnscope.arguments import brief
from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import KINDS, Names, full, latent, none
from attnscope.sizing.architectures.family import Family, Pattern, all_of, every, listed
from attnscope.sizing.architectures.mlp import Mlp
from attnscope.sizing.architectures.recurrent import (
    MAMBA2_NEMOTRON,
    MAMBA2_PLAIN,
    MAMBA2_PREFIXED,
    MAMBA2_ZAMBA,
    beside,
    delta_of_equal_heads,
    gated_delta,
    lightning,
    mamba,
    mamba2,
    short_convolution,
)
from attnscope.sizing.fields import Fields

OF_NEMOTRON = {"M": "linear_attention", "*": "full_attention", "-": "mlp", "E": "moe"}
CHUNKS = ("chunk_size", "mamba_chunk_size")  # how prefill is computed, not what is cached


def attention_by_period(fields: Fields, layers: int) -> list[str]:
    """Jamba: attention if layer % attn_layer_period == attn_layer_offset."""
    period = fields.integer("attn_layer_period")
    offset = fields.integer("attn_layer_offset", minimum=0)
    return ["full" if i % period == offset else "linear" for i in range(layers)]


def attention_if_listed(fields: Fields, layers: int) -> list[str]:
    """Bamba: attention in the layers of attn_layer_indices."""
    chosen = set(fields.integers("attn_layer_indices") or [])
    return ["full" if i in chosen else "linear" for i in range(layers)]


def attention_if_indexed(fields: Fields, layers: int) -> list[str]:
    """LFM2: attention in the layers of full_attn_idxs, or in all layers if it is missing."""
    chosen = fields.integers("full_attn_idxs")
    return ["full" if chosen is None or i in chosen else "convolution" for i in range(layers)]


def _nemotron_words(fields: Fields) -> list[str]:
    """Nemotron-H: a list, or one letter per layer."""
    words = fields.strings("layer_types", "layers_block_type")
    letters = fields.value("hybrid_override_pattern")
    if words is not None:
        return words
    if not isinstance(letters, str) or not letters or set(letters) - set(OF_NEMOTRON):
        raise ConfigError(
            f"{fields.prefix}hybrid_override_pattern={brief(letters)}: expected letters of "
            f"{''.join(OF_NEMOTRON)}, or layers_block_type, a list."
        )
    return [OF_NEMOTRON[letter] for letter in letters]


def nemotron_layers(fields: Fields) -> int:
    """The number of layers in the pattern; num_hidden_layers is only checked against it."""
    words = _nemotron_words(fields)
    number = fields.optional_integer("num_hidden_layers")
    if number is not None and number != len(words):
        raise ConfigError(
            f"{fields.prefix}num_hidden_layers={number}, and the pattern has {len(words)} layers. "
            "Correct the file."
        )
    return len(words)


def nemotron(fields: Fields, layers: int) -> list[str]:
    inner = Fields(
        {"layer_types": _nemotron_words(fields)}, prefix=fields.prefix, model_type=fields.model_type
    )
    return listed(all_of("full"))(inner, layers)


def _block_types(otherwise: Pattern | None = None) -> Pattern:
    return listed(otherwise, "layer_types", "layers_block_type")


MAMBA_1 = mamba()
MAMBA_2 = mamba2(MAMBA2_PREFIXED)
OF_ZAMBA = Names(head_dim=("attention_head_dim",), factor=2)  # its attention reads two streams side by side

BESIDE = "attention and state space"
LINEAR = all_of("linear")
ZAMBA_MAMBA = mamba("mamba_", head_name="n_mamba_heads")
ZAMBA_MAMBA_2 = mamba2(MAMBA2_ZAMBA)
WITH_DELTA = KINDS | {"linear": gated_delta}
WITH_CONVOLUTION = KINDS | {"convolution": short_convolution}

OF_MAMBA = Family(LINEAR, {"linear": MAMBA_1}, defaults={"expand": 2}, heads=False, mlp=None, tied=True)

HYBRIDS: dict[str, Family] = {
    "mamba": replace(OF_MAMBA, harmless=("n_layer",)),
    "falcon_mamba": OF_MAMBA,
    "mamba2": Family(LINEAR, {"linear": mamba2(MAMBA2_PLAIN)}, heads=False, mlp=None, harmless=CHUNKS),
    "jamba": Family(
        attention_by_period,
        KINDS | {"linear": mamba("mamba_")},
        harmless=("layers_block_type", "layers_num_experts"),
    ),
    "bamba": Family(_block_types(attention_if_listed), KINDS | {"linear": MAMBA_2}, harmless=CHUNKS),
    "granitemoehybrid": Family(
        _block_types(LINEAR),
        KINDS | {"linear": MAMBA_2},
        harmless=CHUNKS,
        mlp=Mlp(("shared_intermediate_size",), expert=("intermediate_size",)),
        tied=True,
    ),
    "falcon_h1": Family(
        all_of("hybrid"),
        {"hybrid": beside(full, MAMBA_2, BESIDE)},
        harmless=(*CHUNKS, "layer_types", "layers_block_type"),
    ),
    "nemotron_h": Family(
        nemotron,
        {"linear": mamba2(MAMBA2_NEMOTRON), "full": full, "none": none},
        layer_count=nemotron_layers,
        harmless=(*CHUNKS, "hybrid_override_pattern"),
        mlp=None,
    ),
    "zamba": Family(
        _block_types(),
        {"linear": ZAMBA_MAMBA, "hybrid": beside(full, ZAMBA_MAMBA, BESIDE)},
        names=OF_ZAMBA,
        harmless=("attn_layer_.*", "attention_hidden_size"),
        mlp=None,
        tied=True,
    ),
    "zamba2": Family(
        _block_types(),
        {"linear": ZAMBA_MAMBA_2, "hybrid": beside(full, ZAMBA_MAMBA_2, BESIDE)},
        names=OF_ZAMBA,
        harmless=(
            *CHUNKS,
            *["hybrid_layer_ids", "kv_channels", "attention_hidden_size", "num_mem_blocks", ".*lora.*"],
        ),
        mlp=None,
        tied=True,
    ),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"),
        Family(
            listed(every(4, "linear", "full", "full_attention_interval")),
            WITH_DELTA,
            defaults={"head_dim": 256},
        ),
    ),
    "minimax": Family(
        listed(every(2, "full", "linear")), KINDS | {"linear": lightning}, harmless=("block_size",)
    ),
    "olmo_hybrid": Family(listed(every(4, "linear", "full")), WITH_DELTA),
    **dict.fromkeys(
        ("kimi_linear", "bailing_hybrid"),
        Family(
            listed(None),
            {"linear": delta_of_equal_heads, "full": latent},
            harmless=(".*head_dim", "num_key_value_heads", "q_lora_rank", "layer_group_size"),
        ),
    ),
    "lfm2": Family(
        listed(attention_if_indexed), WITH_CONVOLUTION, harmless=("num_heads",), mlp=None, tied=True
    ),
    "lfm2_moe": Family(listed(None), WITH_CONVOLUTION, mlp=None, tied=True),
    "lfm3": Family(listed(None), WITH_CONVOLUTION, mlp=None, tied=True),
}
