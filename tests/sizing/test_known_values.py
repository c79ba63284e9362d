"""Sizes that are known: by hand, or published."""

import pytest

import attnscope as at
from tests.sizing.published import LLAMA, SLIDING, config


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("llama-3-8b", 131_072),  # 32 layers x 8 heads x (128 + 128) x 2 bytes
        ("llama-3-70b", 327_680),
        ("mixtral-8x7b", 131_072),
        ("deepseek-v3", 70_272),  # 61 layers x (512 + 64) x 2 bytes, for all heads, and not twice
        ("deepseek-v3.2", 85_888),  # 61 x (512 + 64 + 128) x 2
        ("gpt-oss-120b", 36_864),  # its 18 full layers x 8 x (64 + 64) x 2
        ("qwen3-next-80b-a3b", 24_576),  # 12 full layers x 2 x (256 + 256) x 2
        ("mamba-2.8b", 0),
        ("gpt2", 36_864),  # 12 x 12 x (64 + 64) x 2
    ],
)
def test_bytes_per_token(name: str, bytes_per_token: int) -> None:
    assert at.size(config(name), context=10).bytes_per_token == bytes_per_token


def test_what_a_context_takes() -> None:
    assert at.size(config("llama-3-70b"), context=131_072).cache_bytes == 40 * 2**30
    assert at.size(config("llama-3-8b"), context=8_192, batch=3).cache_bytes == 3 * 2**30
    assert at.size(config("llama-3-8b"), context=0).cache_bytes == 0


def test_layers_that_slide_add_a_constant() -> None:
    grown = [at.size(config("gpt-oss-120b"), context=tokens).cache_bytes for tokens in (1_000, 1_001)]
    assert grown[1] - grown[0] == 36_864
    assert grown[0] == 1_000 * 36_864 + 127 * 36_864  # 18 sliding layers as large as the full ones


def test_states_do_not_grow_and_keep_their_format() -> None:
    """Mamba 2.8B: 64 layers x 5,120 channels x (4 inputs of the convolution, and 16 states in float32)."""
    half, whole = (
        at.size(config("mamba-2.8b"), context=9, kv_dtype=dtype) for dtype in ("bfloat16", "float32")
    )
    assert half.cache_bytes == 64 * 5_120 * (4 * 2 + 16 * 4)
    assert whole.cache_bytes == 64 * 5_120 * (4 * 4 + 16 * 4)
    assert half.cache_bytes == at.size(config("mamba-2.8b"), context=10**6).cache_bytes
    assert "states are kept in bfloat16 and float32, whatever kv_dtype is" in half.notes


def test_int8_leaves_states_as_they_are() -> None:
    plan = at.size(config("jamba-v0.1"), context=100, kv_dtype="int8")
    attention, states = (
        next(row for row in plan.layers if row.kind == kind) for kind in ("full", "state space")
    )
    assert attention.cache_bytes == 4 * 100 * 8 * 256
    assert states.cache_bytes == 28 * 8_192 * (4 * 2 + 16 * 4)


def test_an_encoder_s_keys_are_counted_once_more() -> None:
    """T5 base: 12 layers x 12 heads x 128 numbers, over the decoder's tokens and over the encoder's."""
    token = 12 * 12 * 128 * 2
    assert at.size(config("t5-base"), context=100).cache_bytes == 200 * token
    plan = at.size(config("t5-base"), context=100, encoder_context=30)
    assert plan.cache_bytes == 130 * token
    assert plan.bytes_per_token == token


def test_whisper_s_encoder_is_always_as_long() -> None:
    plan = at.size(config("whisper-large-v3"), context=100)
    assert plan.cache_bytes == 32 * 20 * 128 * 2 * (100 + 1_500)
    with pytest.raises(at.ConfigError, match=r"encoder_context=7: whisper's encoder always returns 1500"):
        at.size(config("whisper-large-v3"), context=100, encoder_context=7)


def test_a_shape_is_one_layer() -> None:
    plan = at.size(at.AttentionShape(1, 8, 2, 1, 50, 64, 32), context=50)
    assert plan.cache_bytes == 50 * 2 * (64 + 32) * 2
    assert "one layer" in repr(plan)
    assert plan.weight_bytes is None


def test_how_much_fits() -> None:
    """Weights are estimated; what they leave of the memory is for the cache."""
    fields = LLAMA | {"intermediate_size": 128, "vocab_size": 1_000}
    plan = at.size(fields, context=100, memory=1_000_000)
    attention, mlp = 64 * (64 + 2 * 32 + 64), 3 * 64 * 128
    assert plan.weight_bytes == 2 * (2 * (attention + mlp) + 2 * 64 * 1_000)
    assert not plan.weights.exact
    assert "estimated" in repr(plan)
    room = 1_000_000 - plan.weight_bytes
    assert plan.max_sequences == room // (100 * 256)
    assert plan.max_context == room // 256
    assert at.size(fields, context=100, memory=0).max_sequences == 0


def test_a_memory_of_a_tebibyte_is_no_more_special_than_a_gibibyte() -> None:
    plan = at.size(config("llama-3-8b"), context=131_072, memory=2**40)
    assert plan.weight_bytes is not None
    assert plan.max_sequences == (2**40 - plan.weight_bytes) // (16 * 2**30) == 63


def test_the_longest_context_is_the_last_that_fits() -> None:
    fields = SLIDING | {"num_hidden_layers": 1, "intermediate_size": 128, "vocab_size": 1_000}
    plan = at.size(config("gemma-3-1b"), context=1, memory=4 * 2**30, engine="vllm")
    assert plan.max_context is not None
    room = plan.memory_for_cache
    assert room is not None
    sizes = [
        at.size(config("gemma-3-1b"), context=plan.max_context + more, engine="vllm").cache_bytes
        for more in (0, 1)
    ]
    assert sizes[0] <= room < sizes[1]
    assert at.size(fields, context=1, memory=2**30).max_context is None  # it never grows beyond its window


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-3-8b", 8.03),
        ("llama-3-70b", 70.6),
        ("mixtral-8x7b", 46.7),
        ("qwen3-0.6b", 0.596),
        ("qwen3-30b-a3b", 30.5),
        ("deepseek-v3", 671),
        ("gpt-oss-20b", 20.9),
        ("mistral-7b-v0.1", 7.24),
        ("phi-2", 2.78),
        ("gpt2", 0.124),
        ("falcon-7b", 6.92),
        ("whisper-large-v3", 1.54),
    ],
)
def test_estimated_weights_are_near_the_published_number(name: str, billions: float) -> None:
    weights = at.size(config(name), context=1).model.weights
    assert weights is not None
    assert abs(weights / 1e9 - billions) < 0.01 * billions
