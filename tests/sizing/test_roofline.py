"""Operations, bytes and seconds of prefill and decode, by hand and on real models."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.sizing.roofline_result import Phase
from tests.sizing.made_up import DENSE, EXPERTS

CONFIGS = Path(__file__).parent / "configs"
LLAMA = CONFIGS / "llama-3-8b.json"
EVEN = at.Hardware("even", flops_per_second=1000.0, bytes_per_second=1000.0)


def line(config: Any = DENSE, **changes: Any) -> at.Roofline:
    asked: dict[str, Any] = {"prompt": 3, "new_tokens": 2, "batch": 2, "hardware": EVEN}
    return at.roofline(config, **(asked | changes))


def parts(phase: Phase) -> dict[str, tuple[float, float]]:
    return {part.name: (part.flops, part.moved_bytes) for part in phase.parts}


def test_a_dense_prefill_by_hand() -> None:
    """2 sequences of 3 tokens: 6 pairs of 2 * 4 * (2 + 2) operations; rows of (2 * 2 + 2 * 2) * 2 bytes."""
    assert parts(line().prefill) == {
        "attention": (2 * 2 * 6 * 32, 2 * 2 * 3 * 16),
        "projections": (2 * 6 * 2 * 192, 2 * 192 * 2),
        "MLP": (2 * 6 * 2 * 384, 2 * 384 * 2),
        "unembedding": (2 * 2 * 256, 256 * 2),
        "cache": (0, 2 * 2 * 3 * 16),
    }


def test_a_dense_step_by_hand() -> None:
    """The last step has 3 + 2 tokens."""
    assert parts(line().decode) == {
        "attention": (2 * 2 * 5 * 32, 2 * 2 * 5 * 16),
        "projections": (2 * 2 * 2 * 192, 2 * 192 * 2),
        "MLP": (2 * 2 * 2 * 384, 2 * 384 * 2),
        "unembedding": (2 * 2 * 256, 256 * 2),
        "cache": (0, 2 * 2 * 16),
    }


def test_the_seconds_of_a_dense_model_by_hand() -> None:
    """Steps at 4 and 5 tokens: 6,144 and 6,272 operations, 3,136 and 3,200 bytes."""
    found = line()
    assert found.prefill.seconds == pytest.approx(15.616)
    assert found.decode.seconds == pytest.approx(6.272)
    assert found.decode_seconds == pytest.approx(6.144 + 6.272)
    assert found.total_seconds == pytest.approx(15.616 + 6.144 + 6.272)
    assert found.tokens_per_second == pytest.approx(2 * 2 / (6.144 + 6.272))
    assert found.decode.intensity == pytest.approx(6272 / 3200)
    assert (found.prefill.bound, found.bound) == ("compute", "compute")


def test_a_batch_reads_the_experts_that_it_activates() -> None:
    """Of 4 experts 2 tokens activate 4 * (1 - (3/4)^2) = 1.75; each token uses 1 of them, and the router."""
    flops, moved = parts(line(EXPERTS).decode)["experts"]
    assert flops == 2 * 2 * 2 * (384 + 32)
    assert moved == 2 * (1.75 * 384 + 32) * 2
    one_flops, one_moved = parts(line(EXPERTS, batch=1).decode)["experts"]
    assert (one_flops, one_moved) == (2 * 2 * (384 + 32), 2 * (384 + 32) * 2)


def test_a_large_batch_activates_all_experts() -> None:
    assert parts(line(EXPERTS, batch=10_000).decode)["experts"][1] == pytest.approx(2 * (4 * 384 + 32) * 2)


def test_a_sliding_layer_reads_its_window() -> None:
    """Of 6 tokens a window of 4 sees 1 + 2 + 3 + 4 + 4 + 4 = 18 pairs, and of 8 the last step sees 4."""
    found = line(DENSE | {"model_type": "mistral", "sliding_window": 4}, prompt=6, batch=1)
    assert parts(found.prefill)["attention"] == (2 * 18 * 32, 2 * 6 * 16)
    assert parts(found.decode)["attention"] == (2 * 4 * 32, 2 * 4 * 16)


def test_a_latent_layer_decodes_against_its_latents() -> None:
    """DeepSeek V3: prefill has keys of 192 and values of 128; decode 512 + 64 and 512, read once for both."""
    found = line(CONFIGS / "deepseek-v3.json", prompt=3, new_tokens=1, batch=1, weight_dtype="fp8")
    assert parts(found.prefill)["attention"] == (61 * 6 * 2 * 128 * (192 + 128), 61 * 3 * 576 * 2)
    assert parts(found.decode)["attention"] == (61 * 4 * 2 * 128 * (512 + 64 + 512), 61 * 4 * 576 * 2)


def test_an_indexer_scores_all_tokens_and_leaves_2048() -> None:
    found = line(CONFIGS / "deepseek-v3.2.json", prompt=4999, new_tokens=1, batch=1)
    attended, indexed = 2048 * 2 * 128 * (512 + 64 + 512), 5000 * 2 * 64 * 128
    assert parts(found.decode)["attention"] == (
        61 * (attended + indexed),
        61 * (2048 * 576 * 2 + 5000 * 128 * 2),
    )


def test_states_are_read_and_written_whatever_the_context() -> None:
    mamba = CONFIGS / "mamba-2.8b.json"
    short, long = (line(mamba, prompt=tokens, batch=1).decode for tokens in (1, 100_000))
    assert parts(short) == parts(long)
    assert parts(short)["attention"][1] == parts(short)["cache"][1] == at.size(mamba, context=1).cache_bytes


def test_a_shape_is_one_layer_of_attention_alone() -> None:
    found = line(at.AttentionShape(1, 4, 2, 1, 9, 2, 2))
    assert parts(found.decode)["attention"] == (2 * 5 * 32, 2 * 5 * 16)
    assert "one attention layer alone: a shape has no projections and no MLP" in str(found)


def test_a_narrow_cache_moves_fewer_bytes_and_computes_as_much() -> None:
    wide, narrow = line(), line(kv_dtype="fp8", weight_dtype="int4")
    assert narrow.decode.flops == wide.decode.flops
    assert parts(narrow.decode)["attention"][1] == parts(wide.decode)["attention"][1] / 2
    assert parts(narrow.decode)["MLP"][1] == parts(wide.decode)["MLP"][1] / 4


@pytest.mark.parametrize("name", at.Hardware.known())
def test_llama_3_8b_is_memory_bound_in_decode_and_compute_bound_in_prefill(name: str) -> None:
    found = at.roofline(LLAMA, prompt=8000, new_tokens=192, hardware=name)
    assert (found.prefill.bound, found.decode.bound) == ("compute", "memory")


def test_llama_3_8b_on_an_h100_is_near_what_its_weights_allow() -> None:
    """15 GB of matrices at 3.35 TB/s are 4.5 ms: some 220 tokens a second."""
    found = at.roofline(LLAMA, prompt=1, new_tokens=1, hardware="h100")
    matrices = 2 * (8_029_995_008 - 128_256 * 4096)  # the input's embedding is looked up, not multiplied
    assert found.decode.moved_bytes == pytest.approx(matrices, rel=1e-4)
    assert found.tokens_per_second == pytest.approx(3.35e12 / matrices, rel=1e-4)


def test_what_does_not_fit_is_reported() -> None:
    found = at.roofline(CONFIGS / "llama-3.1-405b.json", prompt=1000, new_tokens=1, hardware="h100")
    assert "does not fit: weights and cache take" in str(found)
    assert "does not fit" not in str(at.roofline(LLAMA, prompt=1000, new_tokens=1, hardware="h100"))


def test_the_explanation_has_the_formulas_with_their_numbers() -> None:
    text = line().explain()
    assert (
        "decode step, MLP: 2 x 2 tokens x 768 parameters = 3,072 FLOP; 768 parameters in bfloat16 = 1,536 "
        "bytes" in text
    )
    assert (
        "decode step, attention: 2 x 2 full layers x 5 tokens x 32 = 640 FLOP; 2 x 2 full layers x 5 tokens "
        "x 16 = 320 bytes" in text
    )
    assert (
        "decode step: max(6,272 FLOP / 1,000 FLOP/s, 3,200 bytes / 1,000 bytes/s) = 6.27 s, compute-bound"
        in text
    )
    assert "even: given by the caller" in text


def test_the_table_is_what_a_roofline_prints_as() -> None:
    text = str(line())
    assert text == repr(line())
    assert "llama: weights bfloat16, cache bfloat16, batch 2, 3 + 2 tokens\neven: " in text
    assert "decode step  sum" in text
    assert "then 2 steps in 12.42 s" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": 0}, r"prompt=0: expected 1 or more"),
        ({"new_tokens": -1}, r"new_tokens=-1: expected 1 or more"),
        ({"batch": 0}, r"batch=0: expected 1 or more"),
        ({"batch": True}, r"batch=True: expected an integer, got bool"),
        ({"prompt": float("nan")}, r"prompt=nan: expected an integer, got float"),
        ({"kv_dtype": "fp7"}, r"kv_dtype='fp7': expected one of float32"),
        ({"weight_dtype": "fp7"}, r"weight_dtype='fp7': expected one of float32"),
        (
            {"hardware": "abacus"},
            r"hardware='abacus' is not known. Use one of b200, h200, h100, .*Hardware.measure\(\)",
        ),
        ({"hardware": 7}, r"hardware=7: expected a name or a Hardware, got int. Names: b200"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(at.ConfigError, match=message):
        line(**changes)


def test_an_encoder_decoder_is_refused() -> None:
    with pytest.raises(
        at.ConfigError, match=r"t5 has an encoder, and the roofline counts decoders only. Use size\(\)"
    ):
        line(CONFIGS / "t5-base.json")


def test_weights_that_the_config_does_not_determine_are_refused() -> None:
    with pytest.raises(
        at.ConfigError, match=r"roofline of llama needs all of its weights, and vocab_size is missing"
    ):
        line({name: value for name, value in DENSE.items() if name != "vocab_size"})


@given(
    tokens=st.integers(1, 300),
    batch=st.integers(1, 300),
    config=st.sampled_from([DENSE, EXPERTS, DENSE | {"model_type": "mistral", "sliding_window": 7}]),
    more=st.sampled_from(["prompt", "batch", "new_tokens"]),
)
def test_more_to_do_never_takes_less(tokens: int, batch: int, config: dict[str, Any], more: str) -> None:
    asked: dict[str, Any] = {"prompt": tokens, "new_tokens": 5, "batch": batch}
    less, greater = line(config, **asked), line(config, **(asked | {more: asked[more] + 1}))
    for phase in ("prefill", "decode"):
        before, after = getattr(less, phase), getattr(greater, phase)
        assert after.flops >= before.flops
        assert after.moved_bytes >= before.moved_bytes
        assert after.seconds >= before.seconds
    assert greater.decode_seconds >= less.decode_seconds
