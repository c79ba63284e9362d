"""How each engine rounds, by hand: one model with two layers of 128 bytes per token, a window of 100."""

import numpy as np
import pytest

import attnscope as at
from attnscope.cache import KVCache
from tests.sizing.published import LLAMA, SLIDING, config

READ_BY_LLAMA_CPP = SLIDING | {"model_type": "olmo3", "layer_types": ["sliding_attention"] * 2}
TOKEN = 256  # 2 layers x 2 heads x 32 numbers x 2 bytes


@pytest.mark.parametrize(
    ("engine", "context", "tokens"),
    [
        ("hf", 70, 70),
        ("hf-static", 70, 70),
        ("vllm", 70, 80),
        ("llama.cpp", 70, 256),
        ("llama.cpp", 257, 512),
        ("attnscope", 70, 128),
        ("attnscope", 64, 64),
    ],
)
def test_a_full_layer_is_rounded_up(engine: str, context: int, tokens: int) -> None:
    assert at.size(LLAMA, context=context, engine=engine).cache_bytes == tokens * TOKEN


@pytest.mark.parametrize(
    ("engine", "context", "tokens"),
    [
        ("hf", 98, 98),
        ("hf", 99, 99),
        ("hf", 5_000, 99),
        ("hf-static", 99, 99),
        ("hf-static", 5_000, 100),
        ("vllm", 99, 112),
        ("vllm", 200, 208 - 96),  # the last token sees 100: six blocks of 16 are out of sight
        ("llama.cpp", 300, 512),
        ("llama.cpp", 5_000, 768),  # 100 + 512, up to the next 256
        ("attnscope", 99, 128),
        ("attnscope", 163, 192),  # 63 tokens are out of sight: no whole page
        ("attnscope", 164, 192 - 64),
    ],
)
def test_a_sliding_layer_drops_tokens(engine: str, context: int, tokens: int) -> None:
    fields = READ_BY_LLAMA_CPP if engine == "llama.cpp" else SLIDING
    assert at.size(fields, context=context, engine=engine).cache_bytes == tokens * TOKEN


@pytest.mark.parametrize("model_type", ["mistral", "mixtral", "starcoder2", "phi3"])
def test_llama_cpp_keeps_all_tokens_of_windows_that_it_does_not_read(model_type: str) -> None:
    plan = at.size(SLIDING | {"model_type": model_type}, context=5_000, engine="llama.cpp")
    assert plan.cache_bytes == 5_120 * TOKEN
    assert plan.bytes_per_token == TOKEN


def test_a_window_that_llama_cpp_may_read_or_not_is_refused() -> None:
    fields = READ_BY_LLAMA_CPP | {"model_type": "afmoe"}
    with pytest.raises(
        at.ConfigError, match=r"llama.cpp.*behind a window of afmoe is not known.*Use one of 'hf'"
    ):
        at.size(fields, context=50, engine="llama.cpp")


@pytest.mark.parametrize(
    ("engine", "context", "tokens"),
    [("vllm", 96, 96), ("vllm", 97, 16), ("vllm", 200, 16), ("hf", 200, 95), ("hf-static", 200, 96)],
)
def test_a_chunked_layer_drops_tokens(engine: str, context: int, tokens: int) -> None:
    """Chunks of 96 tokens: vLLM gives a chunk back as a whole once it is over."""
    fields = LLAMA | {"model_type": "llama4_text", "attention_chunk_size": 96, "no_rope_layers": [1, 1]}
    assert at.size(fields, context=context, engine=engine).cache_bytes == tokens * TOKEN


def test_a_window_of_one_keeps_all_in_transformers() -> None:
    """Its slice [-1 + 1:] is the whole."""
    assert at.size(SLIDING | {"sliding_window": 1}, context=50).cache_bytes == 50 * TOKEN


@pytest.mark.parametrize(
    ("engine", "kv_dtype", "token_bytes"),
    [
        ("hf", "float32", 512),
        ("hf", "int4", 64),
        ("vllm", "fp8", 128),
        ("llama.cpp", "int8", 128 * 34 // 32),
        ("llama.cpp", "int4", 128 * 18 // 32),
        ("attnscope", "int8", 128 + 2 * 2 * 2 * 4),  # 2 layers x 2 heads x key and value x a float32
    ],
)
def test_number_formats(engine: str, kv_dtype: str, token_bytes: int) -> None:
    assert at.size(LLAMA, context=256, engine=engine, kv_dtype=kv_dtype).cache_bytes == 256 * token_bytes


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 162, 163, 164, 300])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_attnscope_is_its_own_cache(tokens: int, dtype: str) -> None:
    """The pages that a KVCache really holds after so many tokens, one by one."""
    cache = KVCache(
        layers=1, kv_heads=2, key_dim=16, value_dim=16, dtype=dtype, window=at.Window(left=99, right=0)
    )
    sequence = cache.new_sequence()
    row = np.ones((2, 1, 16), np.float32)
    for _ in range(tokens):
        cache.append(sequence, 0, row, row)
    one = SLIDING | {"num_hidden_layers": 1}
    assert at.size(one, context=tokens, engine="attnscope", kv_dtype=dtype).cache_bytes == cache.bytes_used


def test_falcon_s_heads_are_repeated_by_transformers_alone() -> None:
    assert at.size(config("falcon-40b"), context=16).bytes_per_token == 60 * 128 * 128 * 2
    assert at.size(config("falcon-40b"), context=16, engine="vllm").bytes_per_token == 60 * 8 * 128 * 2


def test_vllm_keeps_an_indexer_s_keys_in_fp8_with_a_scale() -> None:
    plan = at.size(config("deepseek-v3.2"), context=16, engine="vllm")
    assert plan.bytes_per_token == 61 * (576 * 2 + 128 + 4)


def test_llama_cpp_keeps_states_in_float32_and_one_column_less() -> None:
    plan = at.size(config("mamba-2.8b"), context=16, engine="llama.cpp")
    assert plan.cache_bytes == 64 * 5_120 * (3 + 16) * 4


def test_attnscope_holds_a_latent_as_key_and_as_value() -> None:
    plan = at.size(config("deepseek-v3"), context=64, engine="attnscope")
    assert plan.bytes_per_token == 61 * (576 + 512) * 2


@pytest.mark.parametrize("engine", ["vllm", "attnscope"])
def test_an_engine_without_such_a_cache_is_refused(engine: str) -> None:
    with pytest.raises(at.ConfigError, match=rf"engine='{engine}' cannot be sized for .* which keep a state"):
        at.size(config("jamba-v0.1"), context=16, engine=engine)


def test_attnscope_has_no_place_for_an_indexer() -> None:
    with pytest.raises(at.ConfigError, match=r"engine='attnscope' has no cache for an indexer's keys\. Use"):
        at.size(config("deepseek-v3.2"), context=16, engine="attnscope")


def test_each_engine_explains_its_rounding_and_names_its_source() -> None:
    explained = [
        at.size(LLAMA, context=9, engine=e).explain()
        for e in ("hf", "hf-static", "vllm", "llama.cpp", "attnscope")
    ]
    assert all(".py" in text or ".cpp" in text for text in explained)
    assert len(set(explained)) == 5
