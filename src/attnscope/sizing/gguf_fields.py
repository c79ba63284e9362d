"""The names of GGUF's metadata, as a config.json would say them.

Source
    github.com/ggml-org/ggml, docs/gguf.md, and llama.cpp's gguf-py/gguf/constants.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnscope.arguments import brief
from attnscope.errors import ConfigError

ARCHITECTURE = "general.architecture"
# general.architecture -> model_type
MODEL_TYPES = {
    "llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe",
    "gemma": "gemma", "gemma2": "gemma2", "gemma3": "gemma3_text", "phi2": "phi", "phi3": "phi3",
    "starcoder2": "starcoder2", "command-r": "cohere", "cohere2": "cohere2", "gpt-oss": "gpt_oss",
    "deepseek2": "deepseek_v3", "olmo": "olmo", "olmo2": "olmo2", "gptneox": "gpt_neox", "gpt2": "gpt2",
    "bloom": "bloom", "granite": "granite", "stablelm": "stablelm", "glm4": "glm4",
}  # fmt: skip
# after the architecture's name -> a config's field
NAMES = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "expert_shared_count": "n_shared_experts",
    "leading_dense_block_count": "first_k_dense_replace",
    "attention.kv_lora_rank": "kv_lora_rank",
    "attention.q_lora_rank": "q_lora_rank",
}
# what could change a cache, and does not; the rest of an architecture's fields is refused if it sounds so
HARMLESS = (
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.causal", "attention.scale",
    "attention.value_length", "attention.key_length_mla", "attention.value_length_mla", "attention.group_norm_groups",
    "attention.group_norm_epsilon", "attention.max_alibi_bias", "attention.clamp_kqv", "attention.output_scale",
    "attention.temperature_length",
)  # fmt: skip
LATENT = {
    "rope.dimension_count": "qk_rope_head_dim",
    "attention.key_length_mla": "key_length_mla",
    "attention.value_length_mla": "v_head_dim",
}


def config_of_gguf(metadata: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A config with the fields that the metadata has.

    Errors
        ConfigError for an architecture that is not known, and for sizes that differ from layer to layer.
    """
    name = metadata.get(ARCHITECTURE)
    if not isinstance(name, str) or name not in MODEL_TYPES:
        raise ConfigError(
            f"{path}: {ARCHITECTURE}={brief(name)} is not known. Known are {', '.join(sorted(MODEL_TYPES))}. "
            "Size the model's config.json instead."
        )
    own = {
        key.removeprefix(f"{name}."): value for key, value in metadata.items() if key.startswith(f"{name}.")
    }
    config: dict[str, Any] = {"model_type": MODEL_TYPES[name]}
    for key, value in own.items():
        if key in NAMES:
            config[NAMES[key]] = _one(f"{name}.{key}", value, path)
        elif key.startswith("attention.") and key not in HARMLESS:
            config[f"{name}.{key.replace('attention', 'attention_head')}"] = value  # unread, and so refused
    if config["model_type"] == "deepseek_v3":
        config |= _latent(own, name, path)
    if "vocab_size" not in config and isinstance(tokens := metadata.get("tokenizer.ggml.tokens"), list):
        config["vocab_size"] = len(tokens) or None
    _check_equal_values(own, name, path)
    if config["model_type"] in ("qwen2", "qwen3") and config.get("sliding_window"):
        raise ConfigError(f"{path}: {name}.attention.sliding_window is set: which layers slide is not said.")
    return config


def _latent(own: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """DeepSeek: the heads as they are without compression; the cached row is kv_lora_rank and the rotary part."""
    sizes = {field: own.get(key) for key, field in LATENT.items()}
    key_length = sizes.pop("key_length_mla")
    if key_length is None or sizes["v_head_dim"] is None:
        key_length, sizes["v_head_dim"] = own.get("attention.key_length"), own.get("attention.value_length")
    rotary = sizes["qk_rope_head_dim"]
    if type(key_length) is not int or type(rotary) is not int or key_length <= rotary:
        raise ConfigError(
            f"{path}: {name}.attention.key_length_mla={brief(key_length)}: expected more than {brief(rotary)}."
        )
    return {**sizes, "qk_nope_head_dim": key_length - rotary, "head_dim": None}


def _one(key: str, value: Any, path: Path) -> Any:
    """One number for all layers, if a list says the same for each."""
    if not isinstance(value, list):
        return value
    if len({repr(each) for each in value}) != 1:
        raise ConfigError(
            f"{path}: {key}={brief(value)} differs from layer to layer. Size the config.json instead."
        )
    return value[0]


def _check_equal_values(own: Mapping[str, Any], name: str, path: Path) -> None:
    key, value = own.get("attention.key_length"), own.get("attention.value_length")
    if key is not None and value is not None and key != value and name != "deepseek2":
        raise ConfigError(
            f"{path}: {name}.attention.value_length={brief(value)} is unlike key_length={brief(key)}. "
            "Size the model's config.json instead."
        )
