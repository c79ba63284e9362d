"""observing() while a model generates, in every way that changes which rows and tokens a call has."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.audit.models.tiny import build
from tests.interop.judging import assert_near

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import observing  # noqa: E402

TOKENS, NEW = 11, 8
ASKED: dict[str, Any] = {"top_keys": 2, "received": True, "segments": {"first": (0, 3), "rest": (3, None)}}
GREEDY: dict[str, Any] = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None}
OF_ROWS = ("entropy", "max_weight", "first_mass", "mean_distance", "segment_mass")


def tokens(batch: int = 2) -> Any:
    return torch.randint(3, 61, (batch, TOKENS), generator=torch.Generator().manual_seed(1))


def whole(model: Any, **inputs: Any) -> Any:
    with observing(model, **ASKED) as seen, torch.inference_mode():
        model(use_cache=False, **inputs)
    return seen


def assert_same(layer: Any, expected: Any, received: bool = True) -> None:
    assert layer.key_len == expected.key_len
    for name in OF_ROWS:
        assert getattr(layer, name).shape == getattr(expected, name).shape, name
        assert_near(getattr(layer, name), getattr(expected, name), expected.key_len)
    np.testing.assert_array_equal(layer.visible_keys, expected.visible_keys)
    if received:
        assert_near(layer.received, expected.received, expected.query_len)
    else:
        assert layer.received is None


def t5() -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    model = transformers.T5ForConditionalGeneration(
        transformers.T5Config(**sizes, decoder_start_token_id=0, initializer_factor=3.0)
    )
    return model.eval()


@pytest.mark.parametrize("cache", ["dynamic", "static", "none"])
def test_an_encoder_and_a_decoder(cache: str) -> None:
    """The keys of cross-attention are the encoder's at every step."""
    model = t5()
    options: Any = {
        "dynamic": {},
        "static": {"cache_implementation": "static"},
        "none": {"use_cache": False},
    }[cache]
    with observing(model, **ASKED) as seen:
        written = model.generate(tokens(), **GREEDY, **options)
    once = whole(model, input_ids=tokens(), decoder_input_ids=written[:, :-1])
    assert [name.split(".")[0] for name in seen.names] == ["encoder"] * 2 + ["decoder"] * 4
    for name, layer, expected in zip(seen.names, seen, once, strict=True):
        if "EncDec" in name:  # the keys of another text are at no distance: see Seen
            layer, expected = (replace(each, mean_distance=each.entropy) for each in (layer, expected))
        assert_same(layer, expected)
    assert [layer.query_len for layer in seen] == [TOKENS] * 2 + [NEW] * 4


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "Gemma3ForCausalLM"])
def test_without_a_cache_the_last_run_has_read_the_whole_text(name: str) -> None:
    model = build(name)
    with observing(model, **ASKED) as seen:
        written = model.generate(tokens(), **GREEDY, use_cache=False)
    assert len(seen.calls(0)) == NEW
    for layer, expected in zip(seen, whole(model, input_ids=written[:, :-1]), strict=True):
        assert_same(layer, expected)


def test_a_longer_text_that_begins_otherwise_is_another_text() -> None:
    model = build("LlamaForCausalLM")
    with observing(model) as seen, torch.inference_mode():
        model(input_ids=tokens()[:, :5], use_cache=False)
        model(input_ids=tokens()[:, 1:], use_cache=False)
    with pytest.raises(ValueError, match="not chunks of one text"):
        seen[0]


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel"])
def test_assisted_decoding_leaves_out_what_was_not_accepted(name: str) -> None:
    model = build(name)
    text = tokens(1).repeat(1, 2)
    plain = model.generate(text, **GREEDY)
    with observing(model, **ASKED) as seen:
        written = model.generate(text, **GREEDY, prompt_lookup_num_tokens=3)
    assert torch.equal(plain, written)
    assert any(edit.rows is None for edit in seen.runs.edits)
    length = seen[0].query_len
    assert text.shape[1] < length < written.shape[1]
    once = whole(model, input_ids=written[:, :length])
    for layer, expected in zip(seen, once, strict=True):
        assert_same(layer, expected, received=False)


def test_a_cache_that_is_cropped_by_hand_and_continued() -> None:
    model = build("LlamaForCausalLM")
    cache, text = transformers.DynamicCache(config=model.config), tokens()
    with observing(model, **ASKED) as seen, torch.inference_mode():
        model(input_ids=text[:, :6], past_key_values=cache)
        model(input_ids=text[:, 6:8], past_key_values=cache)
        cache.crop(-4)  # tokens to remove, in all versions
        model(input_ids=text[:, 4:], past_key_values=cache)
    assert [call.query_len for call in seen.calls(0)] == [4, TOKENS - 4]
    for layer, expected in zip(seen, whole(model, input_ids=text), strict=True):
        assert_same(layer, expected, received=False)
