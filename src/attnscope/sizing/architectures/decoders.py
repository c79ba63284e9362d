"""Decoders with attention layers only: the names in their configs, and the patterns of their layers.

Sources: each architecture's configuration and modeling files in Transformers 5.23, and the model cards of
published files. tests/sizing/test_against_transformers.py compares all of them with real caches.
"""

from dataclasses import replace

from attnscope.sizing.architectures.attention import Names, indexed, latent
from attnscope.sizing.architectures.family import (
    Family,
    all_of,
    chunked_if_rotated,
    every,
    listed,
    windowed,
    windowed_from_max_window_layers,
    windowed_if_listed,
    windowed_if_used,
)
from attnscope.sizing.architectures.irregular import (
    FALCON_KINDS,
    GEMMA4_KINDS,
    MIMO_KINDS,
    MPT_KINDS,
    bigcode_kv_heads,
    dbrx_kv_heads,
    drop_shared_indexers,
    falcon_kv_heads,
    latent_of_minicpm3,
    mimo_layers,
    mpt_kv_heads,
    refuse_unused_windows,
    share_last_layers,
)
from attnscope.sizing.architectures.mlp import Mlp


def own_keys(layers: str, hidden: str, heads: str) -> Names:
    """The names of an architecture in which every query head has its own keys, of hidden_size / heads."""
    return Names(
        layers=(layers, "num_hidden_layers"),
        hidden=(hidden, "hidden_size"),
        query_heads=(heads, "num_attention_heads"),
        kv_heads=(),
        head_dim=(),
    )


def each_of(model_types: str, family: Family) -> dict[str, Family]:
    """The same family under several names."""
    return dict.fromkeys(model_types.split(), family)


PLAIN = Family()
DERIVED = Names(head_dim=())
OWN_KEYS = Names(kv_heads=(), head_dim=())
OF_GPT2 = own_keys("n_layer", "n_embd", "n_head")
OF_MOSAIC = own_keys("n_layers", "d_model", "n_heads")
TWO_MATRICES = Family(mlp=Mlp(matrices=2))
GPT2 = Family(
    names=OF_GPT2, mlp=Mlp(("n_inner", "intermediate_size", "ffn_dim"), matrices=2, factor=4), tied=True
)
BERT = replace(TWO_MATRICES, names=OWN_KEYS, decoder_flag=True, tied=True)
WINDOWED = Family(windowed)
ALTERNATING = listed(every(2, "full", "sliding", first=0))  # the first slides
LAST_OF_FOUR = listed(every(4, "sliding", "full"))
FIRST_OF_FOUR = Family(listed(every(4, "sliding", "full", first=0)))
QWEN = Family(listed(windowed_from_max_window_layers), finish=refuse_unused_windows)
GEMMA_DEFAULTS = {"head_dim": 256}
GEMMA2_DEFAULTS = GEMMA_DEFAULTS | {"sliding_window": 4096}
GEMMA3 = Family(
    listed(every(6, "sliding", "full", "sliding_window_pattern", "_sliding_window_pattern")),
    defaults={  # gemma-3-4b-it and others have only what differs from these
        "head_dim": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "hidden_size": 2304,
        "num_hidden_layers": 26,
        "intermediate_size": 9216,
        "sliding_window": 4096,
        "vocab_size": 262208,
    },
    tied=True,
)
GEMMA3N = Family(
    listed(every(5, "sliding", "full")),
    defaults=GEMMA_DEFAULTS | {"num_kv_shared_layers": 15},
    finish=share_last_layers,
    mlp=None,
    tied=True,
)
GEMMA4 = Family(
    listed(every(6, "sliding", "full")),
    kinds=GEMMA4_KINDS,
    defaults=GEMMA_DEFAULTS,
    finish=share_last_layers,
    mlp=None,
    tied=True,
)
LATENT = Family(
    all_of("latent"), kinds={"latent": latent}, harmless=(".*head_dim", "num_key_value_heads", "q_lora_rank")
)
INDEXED = replace(
    LATENT,
    pattern=listed(all_of("indexed")),
    kinds={"indexed": indexed, "full": latent},
    finish=drop_shared_indexers,
)

WITHOUT_WINDOWS: dict[str, Family] = {
    **each_of(
        "apertus arcee aria_text bitnet diffllama ernie4_5 ernie4_5_moe flex_olmo glm glm4 glm4_moe granite "
        "granitemoe granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe hy_v3 hyperclovax internlm3 "
        "iquestcoder jais2 llama minimax_m2 nanochat nemotron olmo olmo2 olmoe seed_oss solar_open",
        PLAIN,
    ),
    "phi": TWO_MATRICES,
    **each_of("persimmon biogpt git gpt_neox gpt_neox_japanese", replace(TWO_MATRICES, names=OWN_KEYS)),
    **each_of(
        "bert bert-generation camembert data2vec-text electra ernie roberta roberta-prelayernorm roc_bert "
        "xlm-roberta xlm-roberta-xl",
        BERT,
    ),
    "cohere": replace(PLAIN, tied=True),
    "stablelm": replace(PLAIN, names=DERIVED),
    **each_of("gpt2 gpt-sw3", GPT2),
    **each_of("gptj codegen", replace(GPT2, tied=False)),
    "ctrl": replace(GPT2, mlp=Mlp(("dff",), matrices=2)),
    "bloom": replace(GPT2, names=replace(OF_GPT2, hidden=("hidden_size", "n_embed"))),
    "opt": replace(GPT2, names=OWN_KEYS, mlp=Mlp(("ffn_dim",), matrices=2)),
    "gpt_neo": replace(
        GPT2,
        names=own_keys("num_layers", "hidden_size", "num_heads"),
        harmless=("window_size", "attention_layers"),  # Transformers caches all tokens, and masks
    ),
    "xglm": replace(
        GPT2, names=own_keys("num_layers", "d_model", "attention_heads"), mlp=Mlp(("ffn_dim",), matrices=2)
    ),
    "trocr": replace(
        GPT2,
        names=own_keys("decoder_layers", "d_model", "decoder_attention_heads"),
        mlp=Mlp(("decoder_ffn_dim",), matrices=2),
    ),
    "gpt_bigcode": replace(GPT2, kv_heads=bigcode_kv_heads),
    "mpt": replace(GPT2, names=OF_MOSAIC, kinds=MPT_KINDS, kv_heads=mpt_kv_heads, harmless=("attn_config",)),
    "dbrx": Family(names=OF_MOSAIC, kv_heads=dbrx_kv_heads, mlp=None),
    "falcon": replace(
        GPT2,
        names=replace(DERIVED, hidden=("hidden_size", "n_embed")),
        kinds=FALCON_KINDS,
        kv_heads=falcon_kv_heads,
        mlp=Mlp(("ffn_hidden_size",), matrices=2, factor=4),
    ),
    "gemma": Family(defaults=GEMMA_DEFAULTS, tied=True),
}
WINDOWS_IN_ALL_LAYERS_OR_NONE: dict[str, Family] = {
    "mistral": replace(WINDOWED, defaults={"sliding_window": 4096}),
    **each_of("mixtral ministral3 phi3 phimoe phi4_multimodal", WINDOWED),
    "moshi": replace(WINDOWED, defaults={"sliding_window": 3000}),
    "doge": replace(WINDOWED, harmless=("keep_window_size",)),
    "starcoder2": replace(WINDOWED, mlp=Mlp(matrices=2)),
    "qwen3_moe": Family(windowed_if_used),
}
WINDOWS_IN_SOME_LAYERS: dict[str, Family] = {
    "qwen2": QWEN,
    **each_of("qwen2_vl_text qwen2_5_vl_text", replace(QWEN, names=DERIVED)),
    "qwen3": replace(QWEN, defaults={"head_dim": 128}),
    "qwen2_moe": replace(QWEN, pattern=listed(windowed_if_listed), harmless=("sliding_window",)),
    "gemma2": Family(ALTERNATING, defaults=GEMMA2_DEFAULTS, harmless=("sliding_window_size",), tied=True),
    "vaultgemma": Family(ALTERNATING, defaults=GEMMA2_DEFAULTS, tied=True),
    "gemma3_text": GEMMA3,
    "gemma3n_text": GEMMA3N,
    **each_of("gemma4_text gemma4_unified_text", GEMMA4),
    "cohere2": Family(
        listed(every(4, "sliding", "full", "sliding_window_pattern", "_sliding_window_pattern")),
        harmless=("layer_switch", "order_of_interleaved_layers"),
        tied=True,
    ),
    "cohere2_moe": Family(
        listed(every(4, "sliding", "full", "sliding_window_pattern")),
        harmless=("prefix_dense_sliding_window_pattern",),
        mlp=None,
        tied=True,
    ),
    "olmo3": Family(LAST_OF_FOUR),
    "gpt_oss": Family(ALTERNATING, defaults={"head_dim": 64}),
    **each_of("exaone4 exaone_moe", Family(listed(None), harmless=("sliding_window_pattern",))),
    **each_of("granite_swa granitemoe_swa cwm", FIRST_OF_FOUR),
    "smollm3": Family(listed(windowed_if_listed), tied=True),
    "afmoe": Family(listed(every(4, "sliding", "full", "global_attn_every_n_layers"))),
    **each_of("beam flint", Family(listed(None))),
    "kolibri1": Family(listed(every(5, "sliding", "full"))),
    "laguna": Family(listed(None), harmless=("num_attention_heads_per_layer", "sliding_window")),
    "mellum": Family(listed(None), harmless=("sliding_window",)),
    "modernbert-decoder": Family(listed(None), names=OWN_KEYS, tied=True),
    "mimo_v2_flash": Family(
        listed(mimo_layers), kinds=MIMO_KINDS, defaults={"v_head_dim": 128, "sliding_window": 129}
    ),
    "llama4_text": Family(
        listed(chunked_if_rotated),
        mlp=Mlp(("intermediate_size_mlp",), expert=("intermediate_size",), shared_experts=1),
    ),
}
WITH_LATENTS: dict[str, Family] = {
    **each_of("deepseek_v2 deepseek_v3 axk1 glm4_moe_lite youtu", LATENT),
    "minicpm3": replace(LATENT, kinds={"latent": latent_of_minicpm3}),
    **each_of("deepseek_v32 glm_moe_dsa axk2", INDEXED),
    "hy_v4": replace(INDEXED, required=("indexer_types",)),
}
DECODERS = WITHOUT_WINDOWS | WINDOWS_IN_ALL_LAYERS_OR_NONE | WINDOWS_IN_SOME_LAYERS | WITH_LATENTS
