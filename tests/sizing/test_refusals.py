"""What is refused, in words that name the field and the way out: never a guess, and never a bare KeyError."""

from typing import Any

import pytest

import attnscope as at
from tests.sizing.published import LLAMA, SLIDING, config


def refused(fields: Any, match: str, **ask: Any) -> None:
    with pytest.raises(at.ConfigError, match=match):
        at.size(fields, **{"context": 10} | ask)


def test_a_refusal_is_a_value_error_of_ours() -> None:
    assert issubclass(at.ConfigError, at.AttentionError)
    assert issubclass(at.ConfigError, ValueError)


@pytest.mark.parametrize("model_type", ["llama9000", "", "LLAMA", 7, None, ["llama"], True])
def test_an_unknown_architecture(model_type: Any) -> None:
    refused(LLAMA | {"model_type": model_type}, r"model_type=.*assume=\{'model_type': ")


def test_an_unknown_architecture_can_be_assumed_to_follow_a_known_one() -> None:
    plan = at.size(LLAMA | {"model_type": "mine"}, context=10, assume={"model_type": "llama"})
    assert plan.bytes_per_token == 256
    assert "assumed: model_type='llama'" in plan.notes


@pytest.mark.parametrize(
    "field",
    [
        "attention_window",
        "kv_compression",
        "extra_head",
        "cross_layer_sharing",
        "ssm_state",
        "q_lora",
        "index_dim",
        "compress_ratio",
        "chunk_length",
        "sliding_window",
        "layer_types",
    ],
)
def test_an_unread_field_that_could_change_the_cache(field: str) -> None:
    refused(
        LLAMA | {field: 4},
        rf"^{field}=4: llama is not known to have this field.*assume=\{{'{field}': None\}}",
    )
    assert at.size(LLAMA | {field: 4}, context=10, assume={field: None}).bytes_per_token == 256
    nothing: list[Any] = [None, False, [], {}]
    for off in nothing:
        assert at.size(LLAMA | {field: off}, context=10).bytes_per_token == 256


@pytest.mark.parametrize("field", ["num_hidden_layers", "hidden_size", "num_attention_heads"])
def test_a_missing_field_without_a_default(field: str) -> None:
    fields = {key: value for key, value in LLAMA.items() if key != field}
    refused(
        fields,
        rf"^{field} is missing, and llama has no default\. Give it: assume=\{{'{field}': \.\.\.\}}",
    )
    assert at.size(fields, context=10, assume={field: LLAMA[field]}).bytes_per_token == 256


@pytest.mark.parametrize("field", ["num_hidden_layers", "hidden_size", "num_key_value_heads", "head_dim"])
@pytest.mark.parametrize(
    "value", [True, False, "8", 1.5, float("nan"), float("inf"), -1, 0, 2**31, 10**400, [8], {"a": 1}]
)
def test_a_size_that_is_none(field: str, value: Any) -> None:
    refused(LLAMA | {field: value}, rf"^{field}=.*: expected")


def test_booleans_are_not_numbers_and_numbers_not_booleans() -> None:
    refused(SLIDING | {"sliding_window": True}, r"^sliding_window=True: expected an integer")
    refused(config("falcon-7b", multi_query=1), r"^multi_query=1: expected true or false")
    refused(config("qwen2-7b", use_sliding_window="no"), r"^use_sliding_window='no': expected true or false")


def test_aliases_that_disagree() -> None:
    fields = config("gpt2", num_attention_heads=8)
    refused(fields, r"n_head=12 and num_attention_heads=8 are names of one size and disagree")
    assert at.size(config("gpt2", num_attention_heads=12), context=10).bytes_per_token == 36_864
    refused(LLAMA | {"n_head": 4}, r"^n_head=4: llama is not known to have this field")


def test_heads_that_cannot_be_shared() -> None:
    refused(LLAMA | {"num_key_value_heads": 3}, r"num_attention_heads=4 cannot share num_key_value_heads=3")
    refused(LLAMA | {"hidden_size": 2, "head_dim": None}, r"hidden_size=2 is less than num_attention_heads=4")


@pytest.mark.parametrize("more", [{}, {"head_dim": 8}, {"head_dim": None}])
def test_a_width_that_the_heads_do_not_divide(more: dict[str, Any]) -> None:
    """Transformers does not build such a Llama, whatever head_dim is; a Mistral it does, of floor(66 / 4)."""
    refused(
        LLAMA | {"hidden_size": 66} | more,
        r"hidden_size=66 is not a multiple of num_attention_heads=4: llama",
    )
    mistral = LLAMA | {"model_type": "mistral", "sliding_window": None, "hidden_size": 66, "head_dim": None}
    assert at.size(mistral, context=10).bytes_per_token == 256


def test_a_width_that_the_heads_do_not_divide_under_other_names() -> None:
    refused(
        config("gpt2", n_embd=770), r"^n_embd=770 is not a multiple of n_head=12: gpt2 cannot be built so"
    )
    refused(
        config("bart-large-cnn", d_model=1023),
        r"^d_model=1023 is not a multiple of decoder_attention_heads=16",
    )
    assert at.size(config("t5-base", d_model=770), context=10).bytes_per_token == 12 * 12 * 128 * 2


def test_a_field_that_the_architecture_does_not_follow() -> None:
    refused(
        config("gpt2", head_dim=32),
        r"^head_dim=32: gpt2 has no such field, it is always n_embd / n_head|head_dim=32.*= 64",
    )
    refused(
        config("pythia-6.9b", num_key_value_heads=8),
        r"^num_key_value_heads=8: gpt_neox has no such field.* = 32",
    )
    assert at.size(config("gpt2", head_dim=64), context=10).bytes_per_token == 36_864


def test_layer_types_that_do_not_fit() -> None:
    refused(config("gpt-oss-20b", num_hidden_layers=23), r"layer_types has 24 entries for 23 layers")
    refused(config("gpt-oss-20b", layer_types="full"), r"layer_types='full': expected a list of names")
    refused(config("gpt-oss-20b", layer_types=[1] * 24), r"layer_types=\[1.*: expected a list of names")
    refused(
        config("gpt-oss-20b", layer_types=["odd"] * 24), r"layer_types has 'odd', a layer that is not known"
    )
    refused(
        config("gpt-oss-20b", layer_types=["mamba"] * 24),
        r"layer_types has linear layers, which gpt_oss is not known",
    )
    refused(config("llama-3-8b", num_hidden_layers=5_000), r"num_hidden_layers=5000: expected at most 4096")


def test_a_window_that_is_missing() -> None:
    refused(config("gpt-oss-20b", sliding_window=...), r"^sliding_window is missing")


def test_a_size_that_is_given_twice_and_differs() -> None:
    refused(
        config("zamba2-1.2b", mamba_headdim=32),
        r"mamba_expand \* hidden_size=4096, and n_mamba_heads \* mamba_headdim is 2048",
    )
    refused(
        config("falcon-h1-1.5b", mamba_d_ssm=8), r"mamba_d_ssm=8, and mamba_n_heads \* mamba_d_head is 3072"
    )


def test_layers_that_slide_without_a_window() -> None:
    fields = config("qwen2-7b", layer_types=["sliding_attention"] * 28)
    refused(fields, r"layer_types has sliding layers, and use_sliding_window is not true")
    assert at.size(fields, context=9, assume={"use_sliding_window": True}).bytes_per_token == 0


def test_a_model_that_embeds() -> None:
    refused(
        config("gemma-3-1b", use_bidirectional_attention=True),
        r"use_bidirectional_attention: such a model embeds text",
    )


def test_which_layers_slide_must_be_given() -> None:
    refused(
        config("qwen1.5-moe-a2.7b", use_sliding_window=True), r"use_sliding_window=True without layer_types"
    )


def test_an_encoder_has_no_cache() -> None:
    refused(
        LLAMA | {"model_type": "bert"},
        r"is_decoder is not true: bert is an encoder.*assume=\{'is_decoder': True\}",
    )


def test_a_decoder_within_an_unknown_model() -> None:
    refused({"model_type": "odd", "text_config": LLAMA}, r"model_type='odd' with a text_config is not known")
    refused({"model_type": "llava", "text_config": 5}, r"text_config=5: expected a mapping")
    refused(
        {"model_type": "llava", "text_config": LLAMA | {"kv_fold": 2}},
        r"^text_config\.kv_fold=2: llama is not known",
    )
    fields = {"model_type": "llava", "text_config": LLAMA | {"kv_fold": 2}}
    for name in ("kv_fold", "text_config.kv_fold"):
        assert at.size(fields, context=10, assume={name: None}).bytes_per_token == 256


def test_too_many_shared_layers() -> None:
    fields = config("gemma-3n-e4b")
    fields["text_config"]["num_kv_shared_layers"] = 35
    refused(fields, r"num_kv_shared_layers=35: expected less than the 35 layers")


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        ({"context": -1}, r"context=-1: expected 0 or more"),
        ({"context": True}, r"context=True: expected an integer, got bool"),
        ({"context": 1.5}, r"context=1\.5: expected an integer"),
        ({"context": 2**40}, r"context=1099511627776: expected less than 2\*\*40"),
        ({"context": "128k"}, r"context='128k': expected an integer"),
        ({"batch": 0}, r"batch=0: expected 1 or more"),
        ({"memory": -5}, r"memory=-5: expected 0 or more"),
        ({"memory": 2**60 + 1}, r"memory=1152921504606846977: expected 0 or more, and at most 2\*\*60"),
        ({"memory": 1e12}, r"memory=1000000000000\.0: expected an integer, got float"),
        ({"kv_dtype": "float7"}, r"kv_dtype='float7': expected one of float32, bfloat16"),
        ({"kv_dtype": None}, r"kv_dtype=None: expected one of"),
        (
            {"kv_dtype": "int4", "engine": "vllm"},
            r"kv_dtype='int4': engine='vllm' has float32, bfloat16, float16, fp8",
        ),
        (
            {"engine": "ollama"},
            r"engine='ollama': expected one of hf, hf-static, vllm, llama\.cpp, attnscope",
        ),
        ({"engine": ["hf"]}, r"engine=\['hf'\]: expected one of"),
        ({"encoder_context": 5}, r"encoder_context=5: llama has no encoder"),
        ({"assume": 5}, r"assume=5: expected a mapping"),
        ({"assume": {3: 5}}, r"assume=\{3: 5\}: expected a mapping"),
    ],
)
def test_a_wish_that_makes_no_sense(ask: dict[str, Any], match: str) -> None:
    refused(LLAMA, match, **ask)


@pytest.mark.parametrize("given", [5, None, [LLAMA], True, b"config.json", object()])
def test_a_config_that_is_none(given: Any) -> None:
    refused(given, r"config=.*: expected a dict, the path of a config\.json")


def test_an_encoder_decoder_has_no_more_layers_than_a_decoder() -> None:
    with pytest.raises(at.ConfigError, match="decoder_layers=2147483647: expected at most 4096 layers"):
        at.size(config("bart-large-cnn", decoder_layers=2**31 - 1), context=10)


@pytest.mark.parametrize(
    "fields", [LLAMA | {7: 1}, {"model_type": "gemma3", "text_config": LLAMA | {None: 1}}]
)
def test_names_that_are_no_strings(fields: dict[Any, Any]) -> None:
    with pytest.raises(at.ConfigError, match="is no name of a field"):
        at.size(fields, context=10)


def test_values_nested_without_end() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(at.ConfigError, match=r"nested too deep|n_layer"):
        at.size({"model_type": "gpt2", "n_layer": nested, "num_hidden_layers": 2}, context=10)


def test_a_default_that_differs_from_layer_to_layer_must_be_given() -> None:
    with pytest.raises(at.ConfigError, match="indexer_types is missing, and the default of hy_v4 differs"):
        at.size(config("deepseek-v3.2") | {"model_type": "hy_v4"}, context=10)
