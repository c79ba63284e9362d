"""What keys contribute, by one backward pass, is the derivative of a plain pass, by torch."""

from typing import Any

import numpy as np
import pytest

from tests.audit.models.tiny import build
from tests.interop.judging import UNIT, in_float64, plain_attention, plain_mask

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.errors import UnsupportedProblemError  # noqa: E402
from attnscope.interop.shared_prefix import attended_by  # noqa: E402
from attnscope.interop.transformers import SharedPrefix, contributions_of_keys  # noqa: E402

HELD, TOKENS, ANSWER = 9, 16, 4
NAMES = [
    "LlamaForCausalLM",  # grouped heads
    "Gemma3ForCausalLM",  # windows
    "GptOssForCausalLM",  # sinks
    "Gemma2ForCausalLM",  # soft-cap
    "GPT2LMHeadModel",
]
PARTS = np.array([0, 0, 1, 1])
IDS = np.random.default_rng(0).integers(3, 61, TOKENS)


def derivatives_of_plain_pass(model: Any) -> Any:
    """Of the two parts' log probabilities, in numbers added to the scores of rows after the prefix."""
    more = torch.zeros(TOKENS - 1, dtype=torch.float64, requires_grad=True)

    def attention(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
        added = torch.zeros(mask.shape, dtype=query.dtype).masked_fill(~mask, -torch.inf)
        rows_added = (torch.arange(mask.shape[-2]) >= HELD)[:, None] * more
        return plain_attention(module, query, key, value, added + rows_added, **options)

    transformers.AttentionInterface.register("plain with more", attention)
    transformers.AttentionMaskInterface.register("plain with more", plain_mask)
    model.set_attn_implementation("plain with more")
    rows = model(input_ids=torch.from_numpy(IDS[None, :-1])).logits[0, -ANSWER:]
    chosen = rows.log_softmax(-1)[torch.arange(ANSWER), torch.from_numpy(IDS[-ANSWER:])]
    sums = [chosen[torch.from_numpy(part == PARTS)].sum() for part in (0, 1)]
    return np.stack([torch.autograd.grad(each, more, retain_graph=True)[0].numpy() for each in sums])


@pytest.mark.parametrize("name", NAMES)
def test_contributions_are_the_derivatives_of_a_plain_pass(name: str) -> None:
    model = in_float64(build(name)).requires_grad_(False)
    prefix = SharedPrefix(model)
    prefix.read(IDS[:-ANSWER])
    found, rows = contributions_of_keys(prefix, HELD, IDS[HELD:-1], IDS[-ANSWER:], PARTS)
    assert rows.shape[0] == ANSWER
    expected = derivatives_of_plain_pass(model)
    # Norms and rotations of these models compute in float32, a few in each layer
    assert np.abs(found - expected).max() <= 20 * UNIT * max(1.0, float(np.abs(expected).max()))
    assert np.abs(found[:, :HELD]).max() > 2.0**-10  # or nothing was tested


def test_the_model_has_no_hook_and_no_gradient_afterwards() -> None:
    model = build("LlamaForCausalLM").requires_grad_(False)
    prefix = SharedPrefix(model)
    prefix.read(IDS[:-ANSWER])
    contributions_of_keys(prefix, HELD, IDS[HELD:-1], IDS[-ANSWER:], PARTS)
    assert not model.get_input_embeddings()._forward_hooks
    assert all(each.grad is None for each in model.parameters())


def test_observers_without_a_backward_pass_are_refused() -> None:
    from attnscope.interop.shared_prefix import Recorder

    model = build("LlamaForCausalLM")
    with (
        attended_by(model, Recorder()),
        pytest.raises(UnsupportedProblemError, match=r"collects statistics and records no gradients"),
    ):
        model(input_ids=torch.from_numpy(IDS[None]))
