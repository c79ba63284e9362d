"""Decoders with layers that keep a state: Mamba, Jamba, Qwen3-Next and their like.

Source
    Each architecture's configuration and modeling files in Transformers 5.23, and the model cards of published files.
"""

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
CHUNKS = ("chunk_size", "mamba_chunk_size")  # how prefill is computed, not what is kept


def attention_by_period(fields: Fields, layers: int) -> list[str]:
    """Jamba: attention where layer % attn_layer_period == attn_layer_offset."""
    period = fields.integer("attn_layer_period")
    offset = fields.integer("attn_layer_offset", minimum=0)
    return ["full" if i % period == offset else "linear" for i in range(layers)]


def attention_where_listed(fields: Fields, layers: int) -> list[str]:
    """Bamba: attention in the layers of attn_layer_indices."""
    chosen = set(fields.integers("attn_layer_indices") or [])
    return ["full" if i in chosen else "linear" for i in range(layers)]


def attention_where_indexed(fields: Fields, layers: int) -> list[str]:
    """LFM2: attention in the layers of full_attn_idxs, or everywhere where they are not given."""
    chosen = fields.integers("full_attn_idxs")
    return ["full" if chosen is None or i in chosen else "convolution" for i in range(layers)]


def _nemotron_words(fields: Fields) -> list[str]:
    """Nemotron-H: a list, or a letter a layer."""
    words = fields.strings("layer_types", "layers_block_type")
    letters = fields.value("hybrid_override_pattern")
    if words is not None:
        return words
    if not isinstance(letters, str) or not letters or set(letters) - set(OF_NEMOTRON):
        raise ConfigError(
            f"{fields.where}hybrid_override_pattern={letters!r}: expected letters of {''.join(OF_NEMOTRON)}, "
            "or layers_block_type, a list."
        )
    return [OF_NEMOTRON[letter] for letter in letters]


def nemotron_layers(fields: Fields) -> int:
    """As many layers as the pattern has; num_hidden_layers is only checked."""
    words = _nemotron_words(fields)
    told = fields.optional_integer("num_hidden_layers")
    if told is not None and told != len(words):
        raise ConfigError(
            f"{fields.where}num_hidden_layers={told}, and the pattern has {len(words)} layers. Correct the file."
        )
    return len(words)


def nemotron(fields: Fields, layers: int) -> list[str]:
    inner = Fields({"layer_types": _nemotron_words(fields)}, where=fields.where, model_type=fields.model_type)
    return listed(all_of("full"))(inner, layers)


def _block_types(otherwise: Pattern | None = None) -> Pattern:
    return listed(otherwise, "layer_types", "layers_block_type")


MAMBA_1 = mamba()
MAMBA_2 = mamba2(MAMBA2_PREFIXED)
OF_ZAMBA = Names(head_dim=("attention_head_dim",), factor=2)  # it attends to two streams side by side

HYBRIDS: dict[str, Family] = {
    "mamba": Family(all_of("linear"), {"linear": MAMBA_1}, heads=False, mlp=None, harmless=("n_layer",), tied=True),
    "falcon_mamba": Family(all_of("linear"), {"linear": MAMBA_1}, heads=False, mlp=None, tied=True),
    "mamba2": Family(all_of("linear"), {"linear": mamba2(MAMBA2_PLAIN)}, heads=False, mlp=None, harmless=CHUNKS),
    "jamba": Family(
        attention_by_period,
        KINDS | {"linear": mamba("mamba", inner=())},
        harmless=("layers_block_type", "layers_num_experts"),
    ),
    "bamba": Family(
        listed(attention_where_listed, "layer_types", "layers_block_type"), KINDS | {"linear": MAMBA_2}, harmless=CHUNKS
    ),
    "granitemoehybrid": Family(
        _block_types(all_of("linear")), KINDS | {"linear": MAMBA_2}, harmless=CHUNKS, mlp=Mlp(("shared_intermediate_size",), expert=("intermediate_size",)), tied=True,
    ),
    "falcon_h1": Family(
        all_of("hybrid"),
        {"hybrid": beside(full, MAMBA_2, "attention and state space")},
        harmless=(*CHUNKS, "layer_types", "layers_block_type"),
    ),
    "nemotron_h": Family(
        nemotron,
        {"linear": mamba2(MAMBA2_NEMOTRON), "full": full, "none": none},
        layer_count=nemotron_layers, harmless=(*CHUNKS, "hybrid_override_pattern"), mlp=None,
    ),
    "zamba": Family(
        _block_types(),
        {
            "linear": mamba("mamba", inner=(), head_name="n_mamba_heads"),
            "hybrid": beside(full, mamba("mamba", inner=(), head_name="n_mamba_heads"), "attention and state space"),
        },
        names=OF_ZAMBA, harmless=("attn_layer_.*", "attention_hidden_size"), mlp=None, tied=True,
    ),
    "zamba2": Family(
        _block_types(),
        {
            "linear": mamba2(MAMBA2_ZAMBA),
            "hybrid": beside(full, mamba2(MAMBA2_ZAMBA), "attention and state space"),
        },
        names=OF_ZAMBA, mlp=None, tied=True,
        harmless=(*CHUNKS, "hybrid_layer_ids", "kv_channels", "attention_hidden_size", "num_mem_blocks", ".*lora.*"),
    ),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"),
        Family(
            listed(every(4, "linear", "full", "full_attention_interval")),
            KINDS | {"linear": gated_delta}, defaults={"head_dim": 256},
        ),
    ),
    "minimax": Family(listed(every(2, "full", "linear")), KINDS | {"linear": lightning}, harmless=("block_size",)),
    "olmo_hybrid": Family(listed(every(4, "linear", "full")), KINDS | {"linear": gated_delta}),
    **dict.fromkeys(
        ("kimi_linear", "bailing_hybrid"),
        Family(
            listed(None), {"linear": delta_of_equal_heads, "full": latent},
            harmless=(".*head_dim", "num_key_value_heads", "q_lora_rank", "layer_group_size"),
        ),
    ),
    "lfm2": Family(
        listed(attention_where_indexed), KINDS | {"convolution": short_convolution},
        harmless=("num_heads",), mlp=None, tied=True,
    ),
    "lfm2_moe": Family(listed(None), KINDS | {"convolution": short_convolution}, mlp=None, tied=True),
    "lfm3": Family(listed(None), KINDS | {"convolution": short_convolution}, mlp=None, tied=True),
}  # fmt: skip
