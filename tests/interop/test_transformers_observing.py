"""observing(): each layer's observation equals the statistics of eager's weights, whole or beside a cache."""

import copy
from mmap import mmap
from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.audit.models.tiny import build
from tests.interop.judging import UNIT, assert_near, logits
from tests.interop.texts import cache_of

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import observing  # noqa: E402

TOKENS = 23
CAUSAL = ["LlamaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "GptOssForCausalLM"]
NAMES = [*CAUSAL, "BertModel", "ModernBertForMaskedLM"]
SEGMENTS = {"system": (0, 9), "document": (9, 20), "answer": (20, None)}
ASKED: dict[str, Any] = {"segments": SEGMENTS, "top_keys": 3, "received": True}
OF_ROWS = ("entropy", "max_weight", "max_key", "first_mass", "mean_distance", "segment_mass", "top_keys")


def tokens(batch: int = 2) -> Any:
    return torch.randint(3, 61, (batch, TOKENS), generator=torch.Generator().manual_seed(1))


def run(model: Any, **inputs: Any) -> Any:
    with torch.inference_mode():
        return model(**inputs)


def weights_of(model: Any, **inputs: Any) -> list[Any]:
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    weights = run(model, output_attentions=True, **inputs).attentions
    model.set_attn_implementation(before)
    return [layer.double().numpy() for layer in weights]


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_s_observation_is_what_eager_s_weights_say(name: str) -> None:
    model = build(name)
    with observing(model, **ASKED, block_map_size=8) as seen:
        run(model, input_ids=tokens())
    weights = weights_of(model, input_ids=tokens())
    assert len(seen) == len(weights) == 2
    for layer, w in zip(seen, weights, strict=True):
        w = w[..., :TOKENS]
        w = w / w.sum(-1, keepdims=True)  # GPT-OSS has sinks: statistics are of the visible keys alone
        assert layer.segment_mass is not None
        assert layer.block_map is not None
        assert layer.top_weights is not None
        assert_near(layer.entropy, -(w * np.log(np.where(w > 0, w, 1.0))).sum(-1), np.log(TOKENS))
        assert_near(layer.max_weight, w.max(-1), 1)
        assert_near(layer.first_mass, w[..., :4].sum(-1), 1)
        assert_near(layer.received, w.sum(-2), TOKENS)
        assert_near(layer.segment_mass[..., 1], w[..., 9:20].sum(-1), 1)
        assert_near(layer.top_weights, -np.sort(-w, axis=-1)[..., :3], 1)
        assert layer.segment_names == ("system", "document", "answer")
        assert layer.block_map.shape == (2, 4, 8, 8)
        assert (layer.key_len, layer.query_len) == (TOKENS, TOKENS)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_beside_a_cache_keys_are_counted_from_the_start_of_the_text(name: str, kind: str) -> None:
    """Gemma's and GPT-OSS's windows of 6 have let go of most keys by then."""
    model = build(name)
    with observing(model, **ASKED) as whole:
        run(model, input_ids=tokens())
    with observing(model, **ASKED) as stepwise:
        cache, start = cache_of(kind, model, TOKENS), 0
        for length in (9, 4, *[1] * 10):
            run(model, input_ids=tokens()[:, start : start + length], past_key_values=cache, use_cache=True)
            start += length
    assert [len(stepwise.calls(layer)) for layer in (0, 1)] == [12, 12]
    for once, joined in zip(whole, stepwise, strict=True):
        for field in OF_ROWS:
            assert getattr(once, field).shape == getattr(joined, field).shape, field
            assert_near(getattr(joined, field), getattr(once, field), TOKENS)
        np.testing.assert_array_equal(joined.visible_keys, once.visible_keys)
        assert_near(joined.received, once.received, TOKENS)
        assert joined.block_map is None
        assert joined.key_len == TOKENS


def test_the_model_answers_what_it_answers_unobserved_bit_for_bit() -> None:
    model = build("Gemma2ForCausalLM")
    with observing(model, **ASKED):
        observed = run(model, input_ids=tokens())[0].double().numpy()
    np.testing.assert_array_equal(observed, logits(model, "attnscope", input_ids=tokens()))


def test_only_some_layers() -> None:
    model = build("LlamaForCausalLM")
    with observing(model, layers=[1]) as seen:
        run(model, input_ids=tokens())
    assert seen.names == ["model.layers.0.self_attn", "model.layers.1.self_attn"]
    assert [layer.key_len for layer in seen] == [TOKENS]
    assert seen[-1].key_len == TOKENS
    missing: Any
    for missing in (0, 2, "a name"):
        with pytest.raises(at.AttentionError, match=r"layer .* was not observed\. Observed are: 1\."):
            seen[missing]


def test_labels_of_every_token() -> None:
    model, labels = build("Gemma3ForCausalLM"), np.arange(TOKENS) % 3
    with observing(model, segments=labels) as seen:
        cache = cache_of("dynamic", model, TOKENS)
        run(model, input_ids=tokens()[:, :20], past_key_values=cache, use_cache=True)
        run(model, input_ids=tokens()[:, 20:21], past_key_values=cache, use_cache=True)
    for layer, w in zip(seen, weights_of(model, input_ids=tokens()[:, :21]), strict=True):
        assert layer.segment_names == ("0", "1", "2")
        assert layer.segment_mass is not None
        assert_near(layer.segment_mass[..., 2], w[..., 2::3].sum(-1), 1)
    with (
        observing(model, segments=labels[:5]),
        pytest.raises(
            at.AttentionError, match=r"segments has shape \[5\], and the text has 23 tokens by now"
        ),
    ):
        run(model, input_ids=tokens())


def test_calls_that_do_not_continue_one_text_are_not_joined() -> None:
    model = build("BertModel")
    with observing(model) as seen:
        run(model, input_ids=tokens())
        run(model, input_ids=tokens(3)[:, :9])
    assert [each.key_len for each in seen.calls(0)] == [TOKENS, 9]
    with pytest.raises(
        at.AttentionError, match=r"not chunks of one text\. Take them one by one: calls\(layer\)"
    ):
        seen[0]


def test_the_model_s_own_attention_is_put_back_whatever_happens() -> None:
    model = build("GptOssForCausalLM")
    model.set_attn_implementation("eager")

    def fail() -> None:
        with observing(model):
            assert model.config._attn_implementation == "attnscope"
            raise KeyError

    for _ in range(2):  # and it can be observed again
        with pytest.raises(KeyError):
            fail()
        assert model.config._attn_implementation == "eager"
    with observing(model), pytest.raises(at.AttentionError, match="observed already"), observing(model):
        pass


def test_an_encoder_and_a_decoder_are_told_apart_by_name() -> None:
    config = transformers.T5Config(vocab_size=61, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4)
    model = transformers.T5ForConditionalGeneration(config).eval()
    parts = [part.config for part in (model, model.encoder, model.decoder)]
    before = [part._attn_implementation for part in parts]
    with observing(model) as seen:
        run(model, input_ids=tokens(), decoder_input_ids=tokens()[:, :5])
    assert [name.split(".")[0] for name in seen.names] == ["encoder", "decoder", "decoder"]
    assert [layer.entropy.shape for layer in seen] == [(2, 4, 23), (2, 4, 5), (2, 4, 5)]
    assert [part._attn_implementation for part in parts] == before


def test_padding_receives_nothing() -> None:
    model = build("BertModel")
    real = torch.ones((2, TOKENS), dtype=torch.long)
    real[1, -6:] = 0
    with observing(model, received=True) as seen:
        run(model, input_ids=tokens(), attention_mask=real)
    for layer in seen:
        assert layer.received is not None
        assert not layer.received[1, :, -6:].any()
        assert (layer.visible_keys[1] == TOKENS - 6).all()


@pytest.mark.parametrize("layers", [None, [0]])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GptOssForCausalLM"])
def test_an_ablated_head_is_one_whose_values_go_nowhere(name: str, layers: Any) -> None:
    """The same model with the head's columns of the output projection at 0."""
    model = build(name)
    without = copy.deepcopy(model)
    width = without.config.head_dim
    with torch.no_grad():
        without.model.layers[1].self_attn.o_proj.weight[:, 2 * width : 3 * width] = 0
    with observing(model, ablate=[(1, 2)], layers=layers) as seen:
        ablated = run(model, input_ids=tokens()).logits
    expected = logits(without, "attnscope", input_ids=tokens())
    assert np.abs(ablated.double().numpy() - expected).max() <= 50 * UNIT * np.abs(expected).max()
    whole = logits(model, "attnscope", input_ids=tokens())
    assert np.abs(whole - expected).max() > 1e-3
    assert seen[0].entropy.shape == (2, 4, TOKENS)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ((1, 4), r"ablate names heads \[4\] of layer 1, which has heads 0 to 3"),
        ((2, 0), "ablate names layer 2"),
    ],
)
def test_a_head_that_is_not_there_is_refused(head: tuple[int, int], message: str) -> None:
    model = build("LlamaForCausalLM")
    with pytest.raises(at.AttentionError, match=message), observing(model, ablate=[head]):
        run(model, input_ids=tokens())
    assert model.config._attn_implementation != "attnscope"


def test_kept_arguments_are_those_of_attention_and_make_a_rollout() -> None:
    model = build("Gemma2ForCausalLM")
    with observing(model, keep_arguments=True) as seen:
        run(model, input_ids=tokens())
    weights = [w[..., :TOKENS].mean(axis=1) for w in weights_of(model, input_ids=tokens())]
    product = np.eye(TOKENS)
    for w in weights:
        product = (0.5 * np.eye(TOKENS) + 0.5 * w) @ product
    assert seen.arguments is not None
    assert_near(at.observation.rollout(seen.arguments), product[:, -1], 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"segments": {"last": (-5, None)}},
            r"segments\['last'\] is \(-5, None\), expected \(start, end\) with 0 <=",
        ),
        ({"segments": {"last": (5, 3)}}, r"segments\['last'\] is \(5, 3\), expected"),
        ({"segments": {"last": 5}}, r"segments\['last'\] is 5, expected"),
        ({"segments": {"last": (0.5, 3)}}, r"segments\['last'\] is \(0\.5, 3\), expected"),
        ({"layers": 5}, "layers is 5, expected numbers of layers, counted from 0"),
        ({"layers": [-1]}, r"layers is \[-1\], expected numbers"),
        ({"layers": "ab"}, "layers is 'ab', expected numbers"),
        ({"layers": [99]}, "layers names layer 99, and the model called layers 0 to 1"),
        ({"ablate": [0]}, r"ablate is \[0\], expected pairs \(layer, head\)"),
        ({"ablate": "ab"}, r"ablate is 'ab', expected pairs"),
        ({"ablate": None}, r"ablate is None, expected pairs"),
        ({"ablate": [(0, -1)]}, r"ablate is \[\(0, -1\)\], expected pairs"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, Any], message: str) -> None:
    model = build("LlamaForCausalLM")
    with pytest.raises(at.AttentionError, match=message), observing(model, **asked):
        run(model, input_ids=tokens())
    assert model.config._attn_implementation != "attnscope"


def test_layers_may_come_as_any_collection_of_numbers() -> None:
    model = build("LlamaForCausalLM")
    for layers in (range(1, 2), {1}, np.array([1])):
        with observing(model, layers=layers) as seen:
            run(model, input_ids=tokens())
        assert sorted(seen.collected) == [1]


def test_rows_of_a_long_text_are_kept_apart_from_the_model_s_temporary_memory() -> None:
    """Between tensors that come and go they would leave gaps as large as those."""
    model, text = build("LlamaForCausalLM"), torch.randint(3, 61, (1, 1200))
    with observing(model, top_keys=4) as seen:
        run(model, input_ids=text)
    for name in ("entropy", "top_keys"):
        base: Any = getattr(seen[0], name)
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, mmap)
    with observing(model, top_keys=4) as short:
        run(model, input_ids=text[:, :300])
    keys: Any = seen[1].top_keys
    np.testing.assert_array_equal(keys[:, :, :300], short[1].top_keys)
