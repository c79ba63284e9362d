"""Tiny random models of many architectures answer with "attnscope" what they answer with eager attention."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.audit.models.tiny import build
from tests.interop.judging import assert_as_exact_as_eager, exact, in_float64, logits

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop import call_mask, torch_attention, transformers_attention  # noqa: E402
from attnscope.interop.symbolic_mask import SymbolicMask  # noqa: E402
from attnscope.interop.transformers import register  # noqa: E402
from attnscope.interop.transformers_attention import attention_of_transformers  # noqa: E402

TOKENS = 23
NAMES = [
    "LlamaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GptOssForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "GPT2LMHeadModel",
    "OPTForCausalLM",
    "BertForMaskedLM",
    "ModernBertForMaskedLM",
    "DistilBertForMaskedLM",
    "Llama4ForCausalLM",
    "GPTNeoXForCausalLM",
    "GPTBigCodeForCausalLM",
]
PADDED = {"left": np.s_[:5], "right": np.s_[-5:], "with a hole": np.s_[7:9]}


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def tokens(batch: int = 2, length: int = TOKENS) -> Any:
    return torch.randint(3, 61, (batch, length), generator=torch.Generator().manual_seed(1))


def assert_same(model: Any, real: Any = None, number_format: str = "float32", **inputs: Any) -> None:
    """With attnscope as with eager, at the tokens that are real."""
    ours, eager = (logits(model, name, **inputs) for name in ("attnscope", "eager"))
    at_real = np.ones(ours.shape[:2], bool) if real is None else real.numpy().astype(bool)
    truth = exact(model, **inputs)
    assert_as_exact_as_eager(ours[at_real], eager[at_real], truth[at_real], number_format)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_padding(name: str) -> None:
    assert_same(build(name), input_ids=tokens())


@pytest.mark.parametrize("side", PADDED)
@pytest.mark.parametrize("name", NAMES)
def test_padding_on_either_side(name: str, side: str) -> None:
    real = torch.ones((2, TOKENS), dtype=torch.long)
    real[1, PADDED[side]] = 0
    assert_same(build(name), real, input_ids=tokens(), attention_mask=real)


@pytest.mark.parametrize(
    "name", ["LlamaForCausalLM", "MistralForCausalLM", "Gemma3ForCausalLM", "Llama4ForCausalLM"]
)
def test_texts_that_are_packed_into_one_row(name: str) -> None:
    positions = torch.cat([torch.arange(9), torch.arange(14)])[None]
    assert_same(build(name), input_ids=tokens(1), position_ids=positions, use_cache=False)


@pytest.mark.parametrize("number_format", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "name", ["LlamaForCausalLM", "Gemma2ForCausalLM", "GPT2LMHeadModel", "BertForMaskedLM"]
)
def test_narrower_formats(name: str, number_format: str) -> None:
    model = build(name).to(getattr(torch, number_format))
    assert_same(model, number_format=number_format, input_ids=tokens())


def test_float64_runs_in_float64() -> None:
    model = build("Gemma2ForCausalLM")
    ours, truth = logits(in_float64(model), "attnscope", input_ids=tokens()), exact(model, input_ids=tokens())
    assert np.abs(ours - truth).max() < 2.0**-40 * np.abs(truth).max()


@pytest.mark.parametrize("additive", [False, True], ids=["of bools", "of numbers"])
def test_a_matrix_that_the_user_gives_as_mask(additive: bool) -> None:
    visible = torch.rand((2, 1, TOKENS, TOKENS), generator=torch.Generator().manual_seed(3)) < 0.5
    visible |= torch.eye(TOKENS, dtype=torch.bool)
    added = torch.where(visible, 0.0, torch.finfo(torch.float32).min)
    model = build("LlamaForCausalLM")
    ours = logits(model, "attnscope", input_ids=tokens(), attention_mask=added if additive else visible)
    eager = logits(model, "eager", input_ids=tokens(), attention_mask=added)
    assert_as_exact_as_eager(ours, eager, exact(model, input_ids=tokens(), attention_mask=added.double()))


def test_a_matrix_that_changes_is_read_again() -> None:
    model = build("LlamaForCausalLM")
    mask = torch.ones((2, 1, TOKENS, TOKENS), dtype=torch.bool).tril()
    logits(model, "attnscope", input_ids=tokens(), attention_mask=mask)
    mask[:, :, :, 0] = False
    mask[:, :, 0, 0] = True
    fresh = logits(model, "attnscope", input_ids=tokens(), attention_mask=mask.clone())
    np.testing.assert_array_equal(logits(model, "attnscope", input_ids=tokens(), attention_mask=mask), fresh)


@pytest.mark.parametrize("relative", [True, False], ids=["bias in the numbers", "no bias but the position's"])
def test_a_matrix_of_numbers_that_are_added(relative: bool) -> None:
    added = (
        torch.randn((2, 4, TOKENS, TOKENS), generator=torch.Generator().manual_seed(4)) if relative else None
    )
    causal = torch.full((TOKENS, TOKENS), torch.finfo(torch.float32).min).triu(1)
    mask = causal.expand(2, 1, -1, -1) if added is None else causal + added
    model = build("Qwen2ForCausalLM")
    given = {"input_ids": tokens(), "attention_mask": mask}
    ours, eager = (logits(model, name, **given) for name in ("attnscope", "eager"))
    assert_as_exact_as_eager(ours, eager, exact(model, **given | {"attention_mask": mask.double()}))


@pytest.mark.parametrize("mask_format", ["float64", "bfloat16", "float16"])
def test_a_matrix_of_numbers_in_another_format_than_the_model(mask_format: str) -> None:
    """float64 is NumPy's default, the others what a mask was once made for."""
    torch.manual_seed(5)
    added = torch.randn((2, 4, TOKENS, TOKENS)).to(getattr(torch, mask_format))
    added += torch.full((TOKENS, TOKENS), torch.finfo(added.dtype).min, dtype=added.dtype).triu(1)
    model = build("Qwen2ForCausalLM")
    given = {"input_ids": tokens(), "attention_mask": added}
    ours, eager = (logits(model, name, **given) for name in ("attnscope", "eager"))
    assert_as_exact_as_eager(ours, eager, exact(model, **given | {"attention_mask": added.double()}))


def test_numbers_that_only_float64_holds_hide_a_key() -> None:
    query = torch.randn((1, 1, 2, 8))
    hidden = torch.tensor([[0.0, -1e300], [-1e300, -1e300]], dtype=torch.float64)[None, None]
    output, _ = attention_of_transformers(torch.nn.Module(), query, query, query, hidden)
    assert torch.equal(output[0, :, 0], torch.stack([query[0, 0, 0], torch.zeros(8)]))


def test_an_encoder_and_a_decoder_with_a_position_bias() -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=61, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    real = torch.ones((2, TOKENS), dtype=torch.long)
    real[1, -6:] = 0
    assert_same(
        model, input_ids=tokens(), attention_mask=real, decoder_input_ids=tokens(length=9), use_cache=False
    )


def test_no_layer_is_given_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[Any] = []
    ours = call_mask.visible

    def noted(mask: Any, *rest: Any) -> Any:
        masks.append(mask)
        return ours(mask, *rest)

    monkeypatch.setattr(transformers_attention, "visible", noted)
    real = torch.ones((2, TOKENS), dtype=torch.long)
    real[0, :4] = 0
    logits(build("Gemma2ForCausalLM"), "attnscope", input_ids=tokens(), attention_mask=real)
    assert all(isinstance(mask, SymbolicMask) for mask in masks)
    assert [str(mask.statement.mask) for mask in masks] == [
        "Window(left=5, right=None) & Causal() & KeyRanges(first=[4, 0], end=[23, 23])",
        "Causal() & KeyRanges(first=[4, 0], end=[23, 23])",
    ]


def test_threads_are_torch_s(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ours = at.attention

    def noted(*arrays: Any, **options: Any) -> Any:
        asked.append(options["threads"])
        return ours(*arrays, **options)

    monkeypatch.setattr(torch_attention, "attention_of_arrays", noted)
    model = build("LlamaForCausalLM")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        logits(model, "attnscope", input_ids=tokens())
    finally:
        torch.set_num_threads(before)
    assert asked == [3, 3]


@pytest.mark.parametrize("option", ["mask", "softcap", "sinks", "scale"])
def test_an_option_that_is_forgotten_is_noticed(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = at.attention
    forgetful = lambda *arrays, **options: ours(*arrays, **{**options, option: None})  # noqa: E731
    monkeypatch.setattr(torch_attention, "attention_of_arrays", forgetful)
    name = "GptOssForCausalLM" if option == "sinks" else "Gemma2ForCausalLM"
    changes = {"query_pre_attn_scalar": 2, "attn_logit_softcapping": 1.0} if "Gemma" in name else {}
    with pytest.raises(AssertionError, match="error of the logits"):
        assert_same(build(name, **changes), input_ids=tokens())
