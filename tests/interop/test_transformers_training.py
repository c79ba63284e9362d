"""Models of Transformers train through "attnscope": losses and gradients are eager's within rounding."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import attnscope as at
from tests.audit.models.tiny import build
from tests.interop.judging import UNIT, in_float64, plain_attention, plain_mask

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import observing, register  # noqa: E402

NAMES = [
    "LlamaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GptOssForCausalLM",
    "MistralForCausalLM",
    "BertForMaskedLM",
]
TOKENS = 24
WITHOUT_DROPOUT = {"attention_dropout": 0.0, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}


def inputs(padding: str) -> dict[str, Any]:
    """Two rows of random tokens: full, padded on one side, or packed documents."""
    torch.manual_seed(1)
    ids = torch.randint(3, 60, (2, TOKENS))
    if padding == "packed":
        positions = torch.cat([torch.arange(10), torch.arange(14)]).expand(2, TOKENS)
        return {"input_ids": ids, "position_ids": positions, "labels": ids}
    shown = torch.ones_like(ids)
    if padding == "left":
        shown[1, :7] = 0
    if padding == "right":
        shown[1, -7:] = 0
    return {"input_ids": ids, "attention_mask": shown, "labels": ids.masked_fill(shown == 0, -100)}


def train_step(model: Any, implementation: str, given: dict[str, Any]) -> dict[str, Any]:
    """The loss, and the gradient of each parameter, in float64."""
    model.set_attn_implementation(implementation)
    model.train()
    model.zero_grad(set_to_none=True)
    loss = model(**given, use_cache=False).loss if takes_a_cache(model) else model(**given).loss
    loss.backward()
    found = {name: each.grad.double() for name, each in model.named_parameters() if each.grad is not None}
    return {"loss": loss.detach().double(), **found}


def takes_a_cache(model: Any) -> bool:
    return not isinstance(model, transformers.BertForMaskedLM)


def exact_attention() -> str:
    """Attention by its formula, for models in float64, whose fully masked rows are 0 also on the way back."""
    from transformers import AttentionInterface, AttentionMaskInterface

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
        if mask is None:
            return plain_attention(module, query, key, value, None, **options)
        seen = mask.any(dim=-1, keepdim=True)
        output, _ = plain_attention(module, query, key, value, mask | ~seen, **options)
        return output * seen.transpose(1, 2), None

    AttentionInterface.register("exact", attend)
    AttentionMaskInterface.register("exact", plain_mask)
    return "exact"


def assert_as_exact_as_eager(name: str, given: dict[str, Any], **changes: Any) -> None:
    """Each gradient's error, by float64, is at most twice eager's plus some roundings of the summed terms.

    Errors are compared by root mean squares. Terms are as large as the largest gradient of the same module: a
    key's bias, which changes no softmax, has a gradient of 0 that is left over from those of the key's
    weights.
    """
    model = build(name, **WITHOUT_DROPOUT, **changes)
    truth = train_step(in_float64(model), exact_attention(), given)
    ours, eager = train_step(model, register(), given), train_step(model, "eager", given)
    assert ours.keys() == eager.keys() == truth.keys()
    largest: dict[str, float] = {}
    for parameter, exact in truth.items():
        module = parameter.rpartition(".")[0]
        largest[module] = max(largest.get(module, 0.0), float(exact.abs().max()))
    for parameter, exact in truth.items():
        rounding = 16 * UNIT * largest[parameter.rpartition(".")[0]]
        error, allowed = (float(((found[parameter] - exact) ** 2).mean().sqrt()) for found in (ours, eager))
        assert error <= 2 * allowed + rounding, f"{parameter}: {error:.3g}, eager's {allowed:.3g}"


@pytest.mark.parametrize("padding", ["none", "right", "left"])
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_eager_s_within_rounding(name: str, padding: str) -> None:
    given = inputs(padding)
    if padding == "left":
        given["position_ids"] = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
    assert_as_exact_as_eager(name, given)


@pytest.mark.parametrize("name", [each for each in NAMES if "Bert" not in each])
def test_packed_documents(name: str) -> None:
    assert_as_exact_as_eager(name, inputs("packed"))


@pytest.mark.parametrize("name", NAMES)
def test_gradient_checkpointing_changes_no_bit(name: str) -> None:
    model, given = build(name, **WITHOUT_DROPOUT), inputs("right")
    direct = train_step(model, register(), given)
    model.activation_checkpointing_enable()
    again = train_step(model, register(), given)
    assert all(torch.equal(again[name], each) for name, each in direct.items())


def test_a_step_in_bfloat16_is_as_exact_as_eager() -> None:
    model, given = build("LlamaForCausalLM", **WITHOUT_DROPOUT).to(torch.bfloat16), inputs("right")
    truth = train_step(in_float64(model), exact_attention(), given)
    ours, eager = train_step(model, register(), given), train_step(model, "eager", given)
    for parameter, exact in truth.items():
        error, allowed = (float(((found[parameter] - exact) ** 2).mean().sqrt()) for found in (ours, eager))
        assert error <= 2 * allowed + 2.0**-8 * float(exact.abs().max()), parameter


def test_dropout_while_training_is_refused() -> None:
    model = build("LlamaForCausalLM", attention_dropout=0.1)
    with pytest.raises(at.UnsupportedProblemError, match=r"dropout=0\.1, expected 0.*attention_dropout to 0"):
        train_step(model, register(), inputs("none"))
    model.eval()
    assert model(**inputs("none")).loss.requires_grad


def test_an_observed_model_that_trains_is_refused() -> None:
    model = build("LlamaForCausalLM")
    model.set_attn_implementation(register())
    with pytest.raises(at.UnsupportedProblemError, match=r"records no gradients.*no_grad"), observing(model):
        model(**inputs("none"))


@pytest.fixture
def threads_of_torch() -> Iterator[Callable[[int], None]]:
    """Sets torch's threads, and puts back what they were."""
    before = torch.get_num_threads()
    try:
        yield torch.set_num_threads
    finally:
        torch.set_num_threads(before)


def test_training_runs_are_the_same_to_the_bit(threads_of_torch: Callable[[int], None]) -> None:
    """Five steps have the same losses with one thread of torch and with two."""
    losses = []
    for threads in (1, 2):
        model = build("LlamaForCausalLM", **WITHOUT_DROPOUT)
        threads_of_torch(threads)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        found = []
        for _ in range(5):
            found.append(train_step(model, register(), inputs("none"))["loss"])
            optimizer.step()
        losses.append(torch.stack(found))
    assert torch.equal(*losses)


def test_a_learned_position_bias_has_a_gradient() -> None:
    from attnscope.interop.transformers_attention import attention_of_transformers

    query, bias = torch.randn((1, 2, 5, 8)), torch.randn((1, 2, 5, 5), requires_grad=True)
    module = torch.nn.Module()
    output, _ = attention_of_transformers(
        module, query, query, query, None, position_bias=bias, is_causal=False
    )
    output.square().sum().backward()
    scores = (query @ query.mT / 8**0.5 + bias.detach()).requires_grad_()
    (scores.softmax(-1) @ query).square().sum().backward()
    assert bias.grad is not None
    torch.testing.assert_close(
        bias.grad, scores.grad, rtol=0, atol=64 * UNIT * float(scores.grad.abs().max())
    )
