"""What an architecture's own class takes where a config leaves out kv heads or the size of a head.

An architecture that is not here derives them: as many kv heads as query heads, hidden_size / query heads.

Source
    Each architecture's configuration file in Transformers 5.23; tests/sizing/test_against_transformers.py compares them.
"""

from typing import Any

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


def class_defaults(model_type: str) -> dict[str, Any]:
    """The fields that this architecture's class fills in by itself.

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
