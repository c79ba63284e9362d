"""Decoders of attention layers only: what their configs call things, and in which pattern their layers come.

Source
    Each architecture's configuration and modeling files in Transformers 5.23, and the model cards of published files.
    tests/sizing/test_against_transformers.py compares all of them with real caches.
"""

from dataclasses import replace

from attnscope.sizing.architectures.attention import Names, indexed, latent
from attnscope.sizing.architectures.family import (
    Family,
    all_of,
    chunked_where_rotated,
    every,
    listed,
    windowed,
    windowed_from_max_window_layers,
    windowed_if_used,
    windowed_where_asked,
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
    mpt_kv_heads,
    refuse_unused_windows,
    share_last_layers,
)
from attnscope.sizing.architectures.mlp import Mlp

PLAIN = Family()
DERIVED = Names(head_dim=())
OWN_KEYS = Names(kv_heads=(), head_dim=())
OF_GPT2 = replace(
    OWN_KEYS,
    layers=("n_layer", "num_hidden_layers"),
    hidden=("n_embd", "hidden_size"),
    query_heads=("n_head", "num_attention_heads"),
)
OF_MOSAIC = replace(
    OWN_KEYS,
    layers=("n_layers", "num_hidden_layers"),
    hidden=("d_model", "hidden_size"),
    query_heads=("n_heads", "num_attention_heads"),
)
TWO_MATRICES = Family(mlp=Mlp(matrices=2))
GPT2 = Family(
    names=OF_GPT2, mlp=Mlp(("n_inner", "intermediate_size", "ffn_dim"), matrices=2, factor=4), tied=True
)
BERT = replace(TWO_MATRICES, names=OWN_KEYS, decoder_flag=True, tied=True)
WINDOWED = Family(windowed)
ALTERNATING = listed(every(2, "full", "sliding", first=0))  # the first slides
QWEN = Family(listed(windowed_from_max_window_layers), finish=refuse_unused_windows)
QWEN_MOE = replace(QWEN, pattern=listed(windowed_where_asked), harmless=("sliding_window",))
GEMMA_DEFAULTS = {"head_dim": 256}
GEMMA3 = Family(
    listed(every(6, "sliding", "full", "sliding_window_pattern", "_sliding_window_pattern")),
    # gemma-3-4b-it and others give only what differs from these
    defaults={
        "head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4, "hidden_size": 2304,
        "num_hidden_layers": 26, "intermediate_size": 9216, "sliding_window": 4096, "vocab_size": 262208,
    },
    tied=True,
)  # fmt: skip
LATENT = Family(
    all_of("latent"), kinds={"latent": latent}, harmless=(".*head_dim", "num_key_value_heads", "q_lora_rank")
)
INDEXED = replace(
    LATENT,
    pattern=listed(all_of("indexed")),
    kinds={"indexed": indexed, "full": latent},
    finish=drop_shared_indexers,
)

DECODERS: dict[str, Family] = {
    **dict.fromkeys(
        (
            "apertus", "arcee", "aria_text", "bitnet", "diffllama", "ernie4_5", "ernie4_5_moe",
            "flex_olmo", "glm", "glm4", "glm4_moe", "granite", "granitemoe", "granitemoeshared", "helium",
            "hunyuan_v1_dense", "hunyuan_v1_moe", "hy_v3", "hyperclovax", "internlm3", "iquestcoder", "jais2", "llama",
            "minimax_m2", "nanochat", "nemotron", "olmo", "olmo2", "olmoe", "seed_oss", "solar_open",
        ),
        PLAIN,
    ),
    "phi": TWO_MATRICES,
    **dict.fromkeys(
        ("persimmon", "biogpt", "git", "gpt_neox_japanese"), replace(TWO_MATRICES, names=OWN_KEYS)
    ),
    **dict.fromkeys(
        ("bert", "bert-generation", "camembert", "data2vec-text", "electra", "ernie", "roberta",
         "roberta-prelayernorm", "roc_bert", "xlm-roberta", "xlm-roberta-xl"),
        BERT,
    ),
    "cohere": replace(PLAIN, tied=True),
    "stablelm": replace(PLAIN, names=DERIVED),
    "gpt2": GPT2,
    "gpt-sw3": GPT2,
    "gptj": replace(GPT2, tied=False),
    "codegen": replace(GPT2, tied=False),
    "ctrl": replace(GPT2, mlp=Mlp(("dff",), matrices=2)),
    "gpt_neox": replace(TWO_MATRICES, names=OWN_KEYS),
    "bloom": replace(GPT2, names=replace(OF_GPT2, hidden=("hidden_size", "n_embed"))),
    "opt": replace(GPT2, names=OWN_KEYS, mlp=Mlp(("ffn_dim",), matrices=2)),
    "gpt_neo": replace(
        GPT2,
        names=replace(
            OWN_KEYS,
            layers=("num_layers", "num_hidden_layers"),
            query_heads=("num_heads", "num_attention_heads"),
        ),
        harmless=("window_size", "attention_layers"),  # Transformers keeps all tokens, and masks
    ),
    "xglm": replace(
        GPT2,
        names=replace(
            OWN_KEYS,
            layers=("num_layers", "num_hidden_layers"),
            hidden=("d_model", "hidden_size"),
            query_heads=("attention_heads", "num_attention_heads"),
        ),
        mlp=Mlp(("ffn_dim",), matrices=2),
    ),
    "trocr": replace(
        GPT2,
        names=replace(
            OWN_KEYS,
            layers=("decoder_layers", "num_hidden_layers"),
            hidden=("d_model", "hidden_size"),
            query_heads=("decoder_attention_heads", "num_attention_heads"),
        ),
        mlp=Mlp(("decoder_ffn_dim",), matrices=2),
    ),
    "gpt_bigcode": replace(GPT2, kv_heads=bigcode_kv_heads),
    "mpt": replace(
        GPT2, names=OF_MOSAIC, kinds=MPT_KINDS, kv_heads=mpt_kv_heads, harmless=("attn_config",)
    ),
    "dbrx": Family(names=OF_MOSAIC, kv_heads=dbrx_kv_heads, mlp=None),
    "falcon": replace(
        GPT2, names=replace(DERIVED, hidden=("hidden_size", "n_embed")),
        kinds=FALCON_KINDS, kv_heads=falcon_kv_heads, mlp=Mlp(("ffn_hidden_size",), matrices=2, factor=4)
    ),
    # sliding in all layers, or in none
    "mistral": replace(WINDOWED, defaults={"sliding_window": 4096}),
    **dict.fromkeys(("mixtral", "ministral3", "phi3", "phimoe", "phi4_multimodal"), WINDOWED),
    "moshi": replace(WINDOWED, defaults={"sliding_window": 3000}),
    "doge": replace(WINDOWED, harmless=("keep_window_size",)),
    "starcoder2": replace(WINDOWED, mlp=Mlp(matrices=2)),
    "qwen3_moe": Family(windowed_if_used),
    # sliding in some
    **dict.fromkeys(("qwen2",), QWEN),
    **dict.fromkeys(("qwen2_vl_text", "qwen2_5_vl_text"), replace(QWEN, names=DERIVED)),
    "qwen3": replace(QWEN, defaults={"head_dim": 128}),
    "qwen2_moe": QWEN_MOE,
    "gemma": Family(defaults=GEMMA_DEFAULTS, tied=True),
    "gemma2": Family(
        ALTERNATING, defaults=GEMMA_DEFAULTS | {"sliding_window": 4096}, harmless=("sliding_window_size",), tied=True
    ),
    "vaultgemma": Family(ALTERNATING, defaults=GEMMA_DEFAULTS | {"sliding_window": 4096}, tied=True),
    "gemma3_text": GEMMA3,
    "gemma3n_text": Family(
        listed(every(5, "sliding", "full")), defaults=GEMMA_DEFAULTS | {"num_kv_shared_layers": 15}, finish=share_last_layers, mlp=None, tied=True
    ),
    **dict.fromkeys(
        ("gemma4_text", "gemma4_unified_text"),
        Family(
            listed(every(6, "sliding", "full")), kinds=GEMMA4_KINDS, defaults=GEMMA_DEFAULTS,
            finish=share_last_layers, mlp=None, tied=True,
        ),
    ),
    "cohere2": Family(
        listed(every(4, "sliding", "full", "sliding_window_pattern", "_sliding_window_pattern")),
        harmless=("layer_switch", "order_of_interleaved_layers"), tied=True,
    ),
    "cohere2_moe": Family(
        listed(every(4, "sliding", "full", "sliding_window_pattern")),
        harmless=("prefix_dense_sliding_window_pattern",), mlp=None, tied=True,
    ),
    "olmo3": Family(listed(every(4, "sliding", "full"))),
    "gpt_oss": Family(ALTERNATING, defaults={"head_dim": 64}),
    "exaone4": Family(listed(None), harmless=("sliding_window_pattern",)),
    "exaone_moe": Family(listed(None), harmless=("sliding_window_pattern",)),
    "granite_swa": Family(listed(every(4, "sliding", "full", first=0))),
    "granitemoe_swa": Family(listed(every(4, "sliding", "full", first=0))),
    "smollm3": Family(listed(windowed_where_asked), tied=True),
    "cwm": Family(listed(every(4, "sliding", "full", first=0))),
    "afmoe": Family(listed(every(4, "sliding", "full", "global_attn_every_n_layers"))),
    "beam": Family(listed(None)),
    "flint": Family(listed(None)),
    "kolibri1": Family(listed(every(5, "sliding", "full"))),
    "laguna": Family(listed(None), harmless=("num_attention_heads_per_layer", "sliding_window")),
    "mellum": Family(listed(None), harmless=("sliding_window",)),
    "modernbert-decoder": Family(listed(None), names=OWN_KEYS, tied=True),
    "mimo_v2_flash": Family(listed(None), kinds=MIMO_KINDS),
    "llama4_text": Family(
        listed(chunked_where_rotated),
        mlp=Mlp(("intermediate_size_mlp",), expert=("intermediate_size",), shared_experts=1),
    ),
    # latent attention
    **dict.fromkeys(
        ("deepseek_v2", "deepseek_v3", "axk1", "glm4_moe_lite", "minicpm3", "youtu"), LATENT
    ),
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa", "axk2"), INDEXED),
    "hy_v4": replace(INDEXED, required=("indexer_types",)),
}  # fmt: skip
