"""What published calculators get wrong: each trap of a config, with its size by hand."""

import pytest

import attnscope as at
from tests.sizing.published import LLAMA, SLIDING, config


def per_token(fields: dict[str, object]) -> int:
    return at.size(fields, context=10).bytes_per_token


def test_a_head_is_not_always_hidden_size_by_heads() -> None:
    """Qwen3 0.6B: 28 layers x 8 heads x (128 + 128) x 2, though 1,024 / 16 is 64."""
    assert per_token(config("qwen3-0.6b")) == 28 * 8 * 256 * 2


def test_without_kv_heads_each_query_head_has_its_own_and_the_plan_notes_it() -> None:
    plan = at.size(LLAMA | {"num_key_value_heads": None}, context=10)
    assert plan.bytes_per_token == 512
    for text in (repr(plan), plan.explain(), str(plan)):
        assert "not in the file: num_key_value_heads=4 (as many as num_attention_heads)" in text


def test_a_missing_head_dim_is_named() -> None:
    plan = at.size({key: value for key, value in LLAMA.items() if key != "head_dim"}, context=10)
    assert plan.bytes_per_token == 256
    assert "not in the file: head_dim=16 (hidden_size / num_attention_heads)" in plan.notes


def test_a_default_of_the_architecture_is_named() -> None:
    """Gemma 3 4B's file lacks heads and head_dim: 34 layers, 4 kv heads of 256, 5 of 6 layers slide."""
    plan = at.size(config("gemma-3-4b"), context=10)
    assert plan.bytes_per_token == 5 * 4 * 512 * 2
    assert "not in the file: text_config.num_key_value_heads=4 (the default of gemma3_text)" in plan.notes


def test_mistral_slides_unless_the_file_has_null() -> None:
    fields = {key: value for key, value in SLIDING.items() if key != "sliding_window"}
    assert [row.kind for row in at.size(fields, context=9).layers] == ["sliding"]
    assert "sliding_window=4096" in repr(at.size(fields, context=9))
    assert [row.kind for row in at.size(SLIDING | {"sliding_window": None}, context=9).layers] == ["full"]


def test_a_window_that_is_not_used_is_none() -> None:
    assert config("qwen2-7b")["sliding_window"]
    assert [row.kind for row in at.size(config("qwen2-7b"), context=9).layers] == ["full"]
    used = at.size(config("qwen2-7b", use_sliding_window=True, max_window_layers=20), context=9)
    assert [(row.kind, row.layers) for row in used.layers] == [("full", 20), ("sliding", 8)]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("gemma-2-9b", [("sliding", 21), ("full", 21)]),
        ("gemma-3-27b", [("sliding", 52), ("full", 10)]),
        ("gemma-3n-e4b", [("sliding", 16), ("full", 4), ("sliding, shared", 12), ("full, shared", 3)]),
        ("command-r7b-12-2024", [("sliding", 24), ("full", 8)]),
        ("llama-4-scout-17b-16e", [("chunked", 36), ("full", 12)]),
        ("olmo-3-7b", [("sliding", 24), ("full", 8)]),
        ("jamba-v0.1", [("state space", 28), ("full", 4)]),
        ("granite-4.0-h-small", [("state space", 36), ("full", 4)]),
        ("qwen3-next-80b-a3b", [("linear", 36), ("full", 12)]),
        ("lfm2-1.2b", [("convolution", 10), ("full", 6)]),
        ("falcon-h1-1.5b", [("attention and state space", 24)]),
        ("bart-large-cnn", [("full", 12), ("cross", 12)]),
        ("deepseek-v3.2", [("indexed latent", 61)]),
    ],
)
def test_which_layers_there_are(name: str, kinds: list[tuple[str, int]]) -> None:
    assert [(row.kind, row.layers) for row in at.size(config(name), context=9).layers] == kinds


def test_layers_that_share_hold_nothing() -> None:
    """Gemma 3n E4B: 4 of 7 full layers hold 2 heads x (256 + 256) x 2 bytes."""
    assert per_token(config("gemma-3n-e4b")) == 4 * 2 * 512 * 2
    rows = at.size(config("gemma-3n-e4b"), context=9).layers
    assert [row.cache_bytes for row in rows if "shared" in row.kind] == [0, 0]


def test_one_key_head_for_all() -> None:
    assert per_token(config("starcoder")) == 40 * 2 * 128 * 2
    assert per_token(config("falcon-7b")) == 32 * 2 * 64 * 2
    assert per_token(config("falcon-7b", multi_query=False)) == 32 * 71 * 2 * 64 * 2
    assert per_token(config("mpt-7b")) == 32 * 32 * 256 * 2
    grouped = config("mpt-7b")["attn_config"] | {"attn_type": "grouped_query_attention", "kv_n_heads": 4}
    assert (
        at.size(config("mpt-7b", attn_config=grouped), context=16, engine="vllm").bytes_per_token
        == 32 * 4 * 256 * 2
    )
    assert (
        per_token(config("mpt-7b", attn_config=grouped)) == 32 * 32 * 256 * 2
    )  # Transformers' MPT has no groups


def test_values_may_be_smaller_than_keys() -> None:
    fields = LLAMA | {
        "model_type": "mimo_v2_flash",
        "v_head_dim": 8,
        "sliding_window": 5,
        "layer_types": ["full_attention", "sliding_attention"],
    }
    plan = at.size(fields, context=10)
    assert plan.bytes_per_token == 2 * (16 + 8) * 2
    assert (
        plan.cache_bytes == 10 * 96 + 4 * 2 * 96
    )  # the sliding layer has twice the heads, and keeps 4 tokens
    assert "swa_num_key_value_heads=4 (twice num_key_value_heads)" in repr(plan)


def test_a_layer_without_attention_keeps_nothing() -> None:
    fields = {
        "model_type": "nemotron_h",
        "hybrid_override_pattern": "M-*E",
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "mamba_num_heads": 8,
        "mamba_head_dim": 4,
        "n_groups": 2,
        "ssm_state_size": 3,
        "conv_kernel": 4,
    }
    plan = at.size(fields, context=10)
    assert [(row.kind, row.layers) for row in plan.layers] == [
        ("state space", 1),
        ("no attention", 2),
        ("full", 1),
    ]
    assert plan.layers[0].cache_bytes == (8 * 4 + 2 * 2 * 3) * 4 * 2 + 8 * 4 * 3 * 4


def test_a_shared_indexer_keeps_no_keys() -> None:
    fields = config("deepseek-v3.2", model_type="glm_moe_dsa", indexer_types=["full"] + ["shared"] * 60)
    assert per_token(fields) == 61 * 576 * 2 + 128 * 2


def test_an_assumption_is_named() -> None:
    plan = at.size(LLAMA, context=10, assume={"head_dim": 32, "kv_thing": None})
    assert plan.bytes_per_token == 512
    assert "assumed: head_dim=32" in repr(plan)
    assert "assumed: head_dim=32" in plan.explain()


def test_an_assumption_is_about_the_decoder_s_fields() -> None:
    for name in ("num_key_value_heads", "text_config.num_key_value_heads"):
        plan = at.size(config("gemma-3-4b"), context=10, assume={name: 2})
        assert plan.bytes_per_token == 5 * 2 * 512 * 2
        assert f"assumed: {name}=2" in plan.notes
        assert "num_key_value_heads=4" not in repr(plan)


def test_the_same_question_has_the_same_plan() -> None:
    assert at.size(LLAMA, context=10) == at.size(LLAMA, context=10)
    assert at.size(LLAMA, context=10) != at.size(LLAMA, context=11)


def test_a_context_beyond_the_model_s_is_allowed_and_noted() -> None:
    plan = at.size(config("llama-2-7b"), context=5_000)
    assert "5,000 tokens are beyond max_position_embeddings=4,096" in plan.notes


@pytest.mark.parametrize(
    ("model_type", "kv_heads"), [("mistral", 8), ("gpt_oss", 8), ("starcoder2", 2), ("llama", 64)]
)
def test_kv_heads_that_a_file_leaves_out_are_the_architectures_own(model_type: str, kv_heads: int) -> None:
    """Llama has as many as query heads; the others' classes have a number, and the plan names it."""
    fields = {
        "model_type": model_type,
        "num_hidden_layers": 1,
        "hidden_size": 4096,
        "num_attention_heads": 64,
        "head_dim": 64,
    }
    if model_type == "gpt_oss":
        fields |= {"layer_types": ["full_attention"]}
    plan = at.size(fields, context=10)
    assert plan.cache_bytes == 10 * kv_heads * 2 * 64 * 2
    assert any(f"num_key_value_heads={kv_heads}" in note for note in plan.notes)


def test_zamba_s_heads_span_two_streams() -> None:
    fields = config("zamba2-1.2b")
    given = at.size(fields, context=100).cache_bytes
    assert at.size(config("zamba2-1.2b", attention_head_dim=...), context=100).cache_bytes == given


def test_falcon_reads_null_as_false() -> None:
    fields = config("falcon-7b", multi_query=None)
    assert (
        at.size(fields, context=10).cache_bytes == 71 * at.size(config("falcon-7b"), context=10).cache_bytes
    )


@pytest.mark.parametrize("model_type", ["mamba", "falcon_mamba"])
def test_a_mamba_is_as_wide_as_its_intermediate_size_and_else_as_expand_makes_it(model_type: str) -> None:
    """Transformers takes intermediate_size if it differs from expand * hidden_size, here 2 * 2,560."""
    fields = config("mamba-2.8b", model_type=model_type, n_layer=...)
    given = at.size(fields | {"intermediate_size": 777}, context=9)
    assert given.cache_bytes == 64 * 777 * (4 * 2 + 16 * 4)
    assert "not used: expand=2 (intermediate_size=777 decides, not 5120)" in given.notes
    expanded = at.size({**fields, "intermediate_size": None}, context=9)
    assert expanded.cache_bytes == 64 * 5_120 * (4 * 2 + 16 * 4)
    assert not any("not used" in note for note in expanded.notes)


def test_mimo_without_layer_types_sees_all_tokens_in_the_first_and_in_every_sixth_layer() -> None:
    fields = LLAMA | {"model_type": "mimo_v2_flash", "num_hidden_layers": 13, "sliding_window": 5}
    plan = at.size(fields, context=100)
    assert [(row.kind, row.layers) for row in plan.layers] == [("full", 3), ("sliding", 10)]
    assert plan.bytes_per_token == 3 * 2 * (16 + 128) * 2
    assert "not in the file: v_head_dim=128 (the default of mimo_v2_flash)" in plan.notes
    neighbours = at.size(fields | {"sliding_window_size": 5}, context=100)
    assert [row.tokens for row in neighbours.layers] == [
        100,
        5,
    ]  # a window of 6 keeps 5 tokens for the next one


def test_minicpm3_without_v_head_dim_has_values_of_hidden_size_by_heads() -> None:
    fields = {
        "model_type": "minicpm3",
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "kv_lora_rank": 32,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16,
    }
    plan = at.size(fields, context=10)
    assert plan.bytes_per_token == 2 * (32 + 8) * 2
    assert plan.model.layers[0].value_dim == 16
    assert "not in the file: v_head_dim=16 (hidden_size / num_attention_heads)" in plan.notes
