"""Which architectures are known, by model_type, and what their classes fill in.

Sources: each architecture's configuration file in Transformers 5.23, including its sub_configs_defaults.
tests/sizing/test_against_transformers.py compares them.
"""

from dataclasses import replace
from typing import Any

from attnscope.sizing.architectures.decoders import DECODERS
from attnscope.sizing.architectures.encoder_decoders import ENCODER_DECODERS
from attnscope.sizing.architectures.family import Family
from attnscope.sizing.architectures.hybrids import HYBRIDS

# The kv heads and head sizes of classes that do not derive them. Any other architecture has as many kv heads
# as query heads, of hidden_size / query heads.
KV_HEADS: dict[int, str] = {
    2: "ernie4_5 gemma3n_text glm glm4 internlm3 qwen3_5_moe_text qwen3_next starcoder2",
    4: (
        "ernie4_5_moe flint gemma2 gemma3_text gemma4_text gemma4_unified_text granite_swa kolibri1 lfm3 "
        "mellum mimo_v2_flash qwen3_5_text qwen3_moe smollm3 vaultgemma"
    ),
    5: "bitnet",
    8: (
        "bamba beam cwm falcon_h1 glm4_moe gpt_oss hy_v3 iquestcoder jamba laguna lfm2 lfm2_moe "
        "llama4_text minimax minimax_m2 ministral3 mistral mixtral nemotron_h phi4_multimodal phimoe "
        "qwen2_5_vl_text qwen2_vl_text seed_oss solar_open"
    ),
    16: "gemma qwen2_moe qwen3_vl_moe_text zamba",
    20: "helium",
    32: "exaone4 exaone_moe qwen2 qwen3 qwen3_vl_text stablelm",
}
HEAD_DIM: dict[int, str] = {
    64: "gpt_oss",
    128: (
        "afmoe beam cohere2_moe cwm ernie4_5 flint glm glm4 helium hy_v3 internlm3 iquestcoder kolibri1 "
        "laguna lfm3 llama4_text mellum minimax_m2 ministral3 nemotron_h qwen3 qwen3_vl_text seed_oss "
        "solar_open"
    ),
    192: "mimo_v2_flash",
    256: (
        "gemma gemma2 gemma3_text gemma3n_text gemma4_text gemma4_unified_text qwen3_5_moe_text "
        "qwen3_5_text qwen3_next vaultgemma"
    ),
}
# classes that refuse a width that is not a multiple of the query heads, even if the file has a head_dim
DIVIDED = (
    "arcee aria_text bert bert-generation biogpt bloom camembert codegen cwm data2vec-text deepseek_v2 "
    "ernie falcon gemma2 gemma3_text gemma3n_text git gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox gptj "
    "hyperclovax internlm3 iquestcoder jais2 llama minicpm3 modernbert-decoder moshi opt persimmon "
    "qwen2_5_vl_text qwen2_vl_text roberta roberta-prelayernorm roc_bert stablelm trocr vaultgemma xglm "
    "xlm-roberta xlm-roberta-xl"
)


def class_defaults(model_type: str) -> dict[str, Any]:
    """The fields that this architecture's class fills in.

    >>> class_defaults("mistral")
    {'num_key_value_heads': 8}
    """
    tables = {"num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM}
    return {
        name: value
        for name, table in tables.items()
        for value, model_types in table.items()
        if model_type in model_types.split()
    }


FAMILIES: dict[str, Family] = {
    name: replace(family, defaults=class_defaults(name) | dict(family.defaults))
    for name, family in (DECODERS | HYBRIDS).items()
}

# Models of pictures and sound around a decoder -> the architecture of their text_config, which may omit it.
# What surrounds the decoder has no cache.
_AROUND = {
    "llama": (
        "deepseek_vl glmasr idefics3 janus llava llava_next llava_next_video perception_lm smolvlm "
        "video_llava vipllava voxtral"
    ),
    "qwen2": (
        "audioflamingo3 fast_vlm got_ocr2 internvl llava_onevision musicflamingo ovis2 qwen2_audio vibevoice "
        "vibevoice_asr"
    ),
    "qwen3": "fun_asr_nano lighton_ocr moss_transcribe_diarize qwen3_asr",
    "cohere2": "aya_vision cohere2_vision",
    "gemma3_text": "gemma3 shieldgemma2",
    "granite": "granite_speech granite_speech_plus",
    "mistral": "idefics2 mistral3",
    "aria_text": "aria",
    "exaone4": "exaone4_5",
    "persimmon": "fuyu",
    "gemma3n_text": "gemma3n",
    "gemma4_text": "gemma4",
    "gemma4_unified_text": "gemma4_unified",
    "deepseek_v3": "kimi_k25",
    "lfm2": "lfm2_vl",
    "lfm3": "lfm3_vl",
    "llama4_text": "llama4",
    "gemma": "paligemma",
    "qwen2_5_vl_text": "qwen2_5_vl",
    "qwen2_vl_text": "qwen2_vl",
    "qwen3_5_text": "qwen3_5",
    "qwen3_5_moe_text": "qwen3_5_moe",
}
# the same architecture under another name, and those around it
_OTHER_NAMES = {
    "kimi_k2": "deepseek_v3",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
}
TEXT_MODELS: dict[str, str] = _OTHER_NAMES | {
    outer: inner for inner, outers in _AROUND.items() for outer in outers.split()
}


def known_model_types() -> list[str]:
    """Every model_type that can be sized."""
    return sorted({*FAMILIES, *ENCODER_DECODERS, *TEXT_MODELS})
