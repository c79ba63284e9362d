"""A tiny random model of any type of Transformers' configurations, shrunk by the names of its fields."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
import transformers
from transformers import PreTrainedConfig
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

LARGEST = 80_000_000  # parameters
FEWEST_LAYERS, MOST_LAYERS = 2, 8
NUMBER_OF_LAYERS = re.compile(r"(^|_)(layers|n_layer|layer|depth|layers_block|blocks)$")
NARROW_HEAD = 8
TOKEN_ID = re.compile(r"(token_id|token_index|_id|_index)$")
NARROW = {
    r"^(hidden_size|d_model|n_embd|dim|emb_dim|embed_dim|model_dim)$": 32,
    r"^(word_embed_proj_dim|d_embed|hidden_dim)$": 32,
    r"^(projection_dim|embedding_size|output_dim|out_hidden_size|d_cross|text_hidden_size|width)$": 32,
    r"(^|_)(num_attention_heads|n_head|n_heads|num_heads|attention_heads|num_decoder_attention_heads)$": 4,
    r"^(num_key_value_heads|num_kv_heads|multi_query_group_num|num_query_groups)$": 2,
    r"^(head_dim|d_kv|kv_channels|attention_head_dim|global_head_dim|swa_head_dim)$": 8,
    r"^(qk_nope_head_dim|qk_rope_head_dim|v_head_dim)$": 8,
    r"^(q_lora_rank|kv_lora_rank|o_lora_rank)$": 16,
    r"(intermediate_size|ffn_dim|d_ff|d_inner|n_inner|ffn_hidden_size|mlp_dim)(_mlp)?$": 48,
    r"^(n_routed_experts|num_experts|num_local_experts|moe_num_experts)$": 4,
    r"^(num_experts_per_tok|moe_k|moe_topk|top_k_experts|moe_num_active_experts)$": 2,
    r"^(n_group|topk_group|n_shared_experts)$": 1,
}
SMALL = {
    r"^(vocab_size|text_vocab_size|decoder_vocab_size|audio_vocab_size)$": 99,
    r"^(n_words|vocab_size_per_layer_input)$": 99,
    r"^(codebook_size|num_embeddings)$": 64,
    r"^(image_size|input_size)$": 64,
    r"^index_topk$": 4,
    r"^(sliding_window|attention_window_size|attention_chunk_size|local_attention)$": 6,
}


def types() -> list[str]:
    """Every type of configuration, in the order of Transformers' own list."""
    return list(CONFIG_MAPPING_NAMES)


def config_class(model_type: str) -> Any:
    """The class of a type's configuration."""
    return transformers.CONFIG_MAPPING[model_type]


def model_classes(model_type: str) -> list[Any]:
    """The model of a type, and the one that generates text; of a part, what its file builds of it."""
    mappings = ("MODEL", "MODEL_FOR_CAUSAL_LM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM", "MODEL_FOR_MULTIMODAL_LM")
    names: list[str] = []
    for mapping in mappings:
        named = getattr(modeling_auto, f"{mapping}_MAPPING_NAMES").get(model_type, ())
        names += [named] if isinstance(named, str) else list(named)[:1]
    found = [getattr(transformers, name, None) for name in dict.fromkeys(names)]
    return [each for each in found if isinstance(each, type)] or parts_of_file(config_class(model_type))[:1]


def parts_of_file(config: Any) -> list[Any]:
    """The models that are built of a configuration, in the file beside it."""
    name = config.__module__.replace("configuration_", "modeling_")
    try:
        file: dict[str, Any] = vars(import_module(name))
    except ImportError:
        return []
    models = [each for each in file.values() if isinstance(each, type) and each.__module__ == name]
    return [
        each
        for each in models
        if issubclass(each, transformers.PreTrainedModel)
        and getattr(each, "config_class", None) is config
        and not each.__name__.endswith("PreTrainedModel")
    ]


def configs(model_type: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Configurations to try, the smallest first."""
    kind = config_class(model_type)
    for level, rules in {"narrow": NARROW | SMALL, "few layers": SMALL, "few layers, as it is": {}}.items():
        yield level, partial(small_config, kind, rules)


def small_config(kind: Any, rules: dict[str, int]) -> Any:
    """A configuration whose sizes are at most those of the rules."""
    return kind(**smaller(kind(), rules))


def smaller(config: Any, rules: dict[str, int]) -> dict[str, Any]:
    """Values for the fields of a configuration that make it small, without those derived from others."""
    declared = {each.name: each for each in dataclasses.fields(config)}
    layers = layers_to_keep(config)
    small: dict[str, Any] = {}
    for name in declared:
        try:
            value = getattr(config, name, None)
        except Exception:  # noqa: BLE001  # it differs by layer
            continue
        if isinstance(value, PreTrainedConfig):
            small[name] = {"model_type": value.model_type, **smaller(value, rules)}
        elif name == "rope_parameters" and isinstance(value, dict) and rules.items() >= NARROW.items():
            small |= {name: {**value, "mrope_section": sections(value)}} if has_sections(config) else {}
        elif declared[name].default is not None and type(value) is int and value > 0:
            small[name] = smaller_number(name, value, layers, rules)
    heads, kv_heads = (small.get(name) for name in ("num_attention_heads", "num_key_value_heads"))
    if heads and kv_heads and config.num_attention_heads == config.num_key_value_heads:
        small["num_key_value_heads"] = heads
    return small


def smaller_number(name: str, value: int, layers: int, rules: dict[str, int]) -> int:
    """The value of a field by its name: token ids stay below the number of words."""
    if NUMBER_OF_LAYERS.search(name):
        return min(value, layers)
    words = size_of("vocab_size", rules)
    if TOKEN_ID.search(name) and words is not None and value >= words:
        return words - 1 - value % 10
    size = size_of(name, rules)
    return value if size is None else min(size, value)


def size_of(name: str, rules: dict[str, int]) -> int | None:
    return next((size for pattern, size in rules.items() if re.search(pattern, name)), None)


def has_sections(config: Any) -> bool:
    """Whether the models of a configuration rotate parts of a head by different positions."""
    file = import_module(type(config).__module__.replace("configuration_", "modeling_"))
    return "mrope_section" in inspect.getsource(file)


def sections(rope: dict[str, Any]) -> list[int]:
    """Three parts of the rotated half of a narrow head."""
    half = int(NARROW_HEAD * rope.get("partial_rotary_factor", 1.0)) // 2
    return [half - 2 * (half // 3), half // 3, half // 3]


def layers_to_keep(config: Any) -> int:
    """How many first layers have all kinds of layers."""
    kinds = getattr(config, "layer_types", None)
    if not isinstance(kinds, list) or not kinds:
        return FEWEST_LAYERS
    return min(MOST_LAYERS, max(FEWEST_LAYERS, 1 + max(kinds.index(kind) for kind in set(kinds))))


def built(kind: Any, config: Any) -> Any:
    """A model with weights so large that its attention matters.

    Raises
    ------
    ValueError
        If it has too many parameters.
    """
    try:
        with torch.device("meta"):
            count = sum(weight.numel() for weight in kind(config).parameters())
    except (RuntimeError, NotImplementedError):  # what is computed while it is built needs memory
        count = 0
    if count > LARGEST:
        raise ValueError(f"{count:,} parameters")
    torch.manual_seed(0)
    model = kind(config).float().eval().requires_grad_(requires_grad=False)
    draw_weights(model)
    return model


def draw_weights(model: Any) -> None:
    """Give every weight a size at which signals neither grow nor vanish."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            if weight.ndim >= 2:
                fan_in = 1 if isinstance(module, torch.nn.Embedding) else weight[0].numel()
                weight.copy_(torch.randn(weight.shape, generator=generator) * 1.5 / fan_in**0.5)
            elif weight.numel() and 0 < weight.abs().max() < 1e-3:  # scales of a layer, which begin near 0
                weight.fill_(1.0)
