"""Calls in which an implementation of attention could differ from eager without anyone noticing."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.audit.models.tiny import SIZES, build
from tests.interop.judging import UNIT, assert_near

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.symbolic_mask import Statement, SymbolicMask  # noqa: E402
from attnscope.interop.transformers import observing, register  # noqa: E402
from attnscope.interop.transformers_attention import attention_of_transformers  # noqa: E402

TOKENS = 11


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def tokens(batch: int = 2) -> Any:
    return torch.randint(3, 61, (batch, TOKENS), generator=torch.Generator().manual_seed(1))


def both(model: Any, call: Any) -> list[Any]:
    """What a call of the model returns with attnscope and with eager."""
    returned = []
    for implementation in ("attnscope", "eager"):
        model.set_attn_implementation(implementation)
        with torch.inference_mode():
            returned.append(call(model))
    return returned


def drawn(model: Any) -> Any:
    """The model with weights that are large enough for attention to matter."""
    torch.manual_seed(0)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def test_a_mask_of_one_key_is_for_every_key() -> None:
    query, key = torch.randn((2, 2, 3, 8)), torch.randn((2, 2, 5, 8))
    shown = torch.tensor([True, False])[:, None, None, None]
    for mask in (
        SymbolicMask(Statement(None, 1, 0), (2, 1, 1)),
        SymbolicMask(Statement(at.Dense(shown.numpy()), 1, 0), (2, 1, 1)),
        SymbolicMask(Statement(at.Dense(shown.numpy()), 1, 0), (2, 3, 1)),
        shown,
    ):
        output, _ = attention_of_transformers(torch.nn.Module(), query, key, key, mask)
        whole, _ = attention_of_transformers(torch.nn.Module(), query, key, key, shown.expand(2, 1, 3, 5))
        assert torch.equal(output[0], whole[0])
        everything = isinstance(mask, SymbolicMask) and mask.statement.mask is None
        assert everything or torch.equal(output[1], torch.zeros_like(output[1]))


def test_a_mask_of_one_query_is_for_every_query() -> None:
    query, key = torch.randn((1, 2, 3, 8)), torch.randn((1, 2, 5, 8))
    mask = SymbolicMask(Statement(at.KeyLengths([2]), 5, 0), (1, 1, 5))
    output, _ = attention_of_transformers(torch.nn.Module(), query, key, key, mask)
    first, _ = attention_of_transformers(
        torch.nn.Module(), query, key[:, :, :2], key[:, :, :2], None, is_causal=False
    )
    np.testing.assert_allclose(output, first, rtol=0, atol=8 * UNIT * float(key.abs().max()))


def test_an_encoder_that_generates_beside_a_cache() -> None:
    """BertLMHeadModel without is_decoder asks for a mask of one key while its cache has many."""
    model = drawn(transformers.BertLMHeadModel(transformers.BertConfig(**SIZES)))
    options = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    returned = {"return_dict_in_generate": True, "output_logits": True}
    ours, eager = both(
        model, lambda model: torch.stack(model.generate(tokens(), **options, **returned).logits).numpy()
    )
    assert_near(ours, eager, np.abs(eager).max())


def test_a_module_without_a_mask_shows_every_key_if_its_model_refuses_sdpa() -> None:
    """BridgeTower's image layers call themselves causal and are given no mask; it has no sdpa."""
    vision = {"hidden_size": 64, "num_hidden_layers": 2, "patch_size": 8, "image_size": 16}
    text = {
        name: SIZES[name]
        for name in ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads")
    }
    config = transformers.BridgeTowerConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        contrastive_hidden_size=16,
        text_config=text | {"num_hidden_layers": 2, "pad_token_id": 1},
        vision_config=vision,
    )
    model = drawn(transformers.BridgeTowerModel(config))
    assert not model._supports_sdpa
    pixels = torch.randn((2, 3, 16, 16), generator=torch.Generator().manual_seed(2))
    ours, eager = both(
        model, lambda model: model(input_ids=tokens(), pixel_values=pixels).pooler_output.double()
    )
    assert_near(ours.numpy(), eager.numpy(), float(eager.abs().max()))


def test_with_padding_on_the_left_models_differ_only_at_padding() -> None:
    """There a query sees no key: eager's softmax makes a mean of all values of that, attnscope 0."""
    config = transformers.VideoPrismTextConfig(**{name: SIZES[name] for name in SIZES if name != "head_dim"})
    model = drawn(transformers.VideoPrismTextModel(config))
    real = torch.ones((2, TOKENS), dtype=torch.long)
    real[1, :4] = 0
    ours, eager = both(
        model, lambda model: model(input_ids=tokens(), attention_mask=real)[0].double().numpy()
    )
    assert_near(ours[0], eager[0], np.abs(eager).max())
    assert_near(ours[1, 4:], eager[1, 4:], np.abs(eager).max())
    assert np.abs(ours[1, :4] - eager[1, :4]).max() > 0.1


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel", "BertModel", "OPTForCausalLM"])
def test_the_matrix_of_weights_is_refused_however_it_is_asked_for(name: str) -> None:
    model = build(name)
    model.set_attn_implementation("attnscope")
    refusal = pytest.raises(
        at.UnsupportedProblemError, match=r"asks for the matrix of weights.*observing\(model\)"
    )
    with torch.inference_mode():
        with refusal:
            model(input_ids=tokens(), output_attentions=True)
        model(input_ids=tokens(), output_hidden_states=True)
        model.config._output_attentions = True
        with refusal:
            model(input_ids=tokens())


def test_a_model_whose_attention_never_comes_here_is_refused_when_it_has_run() -> None:
    """Its class uses the interface; the layers that run do not."""
    model = build("LlamaForCausalLM")
    for layer in model.model.layers:
        layer.self_attn.forward = lambda hidden_states, **_: (hidden_states, None)

    def observe() -> None:
        with observing(model) as seen, torch.inference_mode():
            model(input_ids=tokens())
            with pytest.raises(
                at.AttentionError, match=r"layer 0 was not observed.*without calling our attention"
            ):
                seen[0]

    with pytest.raises(
        at.UnsupportedProblemError, match=r"none of its attention went through.*AttentionInterface"
    ):
        observe()
    assert model.config._attn_implementation != "attnscope"


@pytest.mark.parametrize("kind", ["dynamic", "static"])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "Gemma2ForCausalLM", "GPT2LMHeadModel"])
def test_beams_are_followed(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row r of every call is of the text that row r of the cache holds in the end."""
    model = build(name)
    prepare, texts = model.prepare_inputs_for_generation, []
    reorder, orders = transformers.Cache.reorder_cache, []

    def prepared(ids: Any, *args: Any, **more: Any) -> Any:
        texts.append(ids)
        return prepare(ids, *args, **more)

    def reordered(cache: Any, rows: Any) -> None:
        orders.append(rows)
        reorder(cache, rows)

    model.prepare_inputs_for_generation = prepared
    monkeypatch.setattr(transformers.Cache, "reorder_cache", reordered)
    static = {"cache_implementation": "static"} if kind == "static" else {}
    asked: dict[str, Any] = {"segments": {"prompt": (0, TOKENS), "rest": (TOKENS, None)}, "top_keys": 2}
    with observing(model, **asked, received=True) as seen:
        model.generate(tokens(), num_beams=4, max_new_tokens=9, do_sample=False, eos_token_id=None, **static)
    text = texts[-1][orders[-1]]
    with observing(model, **asked, received=True) as whole, torch.inference_mode():
        model(text)
    for joined, once in zip(seen, whole, strict=True):
        assert joined.entropy.shape == once.entropy.shape
        assert_near(joined.entropy, once.entropy, np.log(text.shape[1]))
        assert_near(joined.received, once.received, text.shape[1])
        assert_near(joined.segment_mass, once.segment_mass, 1)
    assert any((rows != torch.arange(len(rows))).any() for rows in orders)


def test_beams_of_one_text_do_not_reorder_another() -> None:
    model = build("LlamaForCausalLM")
    beams: dict[str, Any] = {"num_beams": 2, "max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    with observing(model) as alone, torch.inference_mode():
        model(tokens())
    with observing(model) as seen, torch.inference_mode():
        model(tokens())
        model.generate(tokens(1), **beams)
    np.testing.assert_array_equal(seen.calls(0)[0].entropy, alone[0].entropy)


def test_models_and_caches_are_let_go_as_they_were() -> None:
    model = build("LlamaForCausalLM")
    methods = dict(vars(transformers.Cache))
    with observing(model), torch.inference_mode():
        assert transformers.Cache.crop is not methods["crop"]
        model(tokens(), past_key_values=transformers.DynamicCache(config=model.config))
    assert dict(vars(transformers.Cache)) == methods
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
