"""Beside Transformers' caches, "attnscope" answers what eager attention answers to the whole text."""

from typing import Any

import numpy as np
import pytest

from tests.audit.models.tiny import build
from tests.interop.judging import assert_as_exact_as_eager, exact
from tests.interop.texts import logits_beside_a_cache

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop import mask_functions, transformers_masks  # noqa: E402
from attnscope.interop.transformers import register  # noqa: E402

PROMPT, STEPS = 11, 64
CHUNKS = {"a prompt and 64 tokens": [PROMPT] + [1] * STEPS, "chunks": [3, 30, 1, 20, 21]}
NAMES = [
    "LlamaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GptOssForCausalLM",
    "MistralForCausalLM",
    "GPT2LMHeadModel",
    "OPTForCausalLM",
]


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def tokens() -> Any:
    return torch.randint(3, 61, (2, PROMPT + STEPS), generator=torch.Generator().manual_seed(1))


def left_padded() -> Any:
    real = torch.ones((2, PROMPT + STEPS), dtype=torch.long)
    real[1, :4] = 0
    return real


@pytest.mark.parametrize("padded", [False, True], ids=["", "padded on the left"])
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("kind", ["dynamic", "static"])
@pytest.mark.parametrize("name", NAMES)
def test_beside_a_cache(name: str, kind: str, chunks: str, padded: bool) -> None:
    model, given = build(name), {"input_ids": tokens()}
    at_real = np.ones(given["input_ids"].shape, bool)
    if padded:
        given["attention_mask"] = left_padded()
        at_real = left_padded().numpy().astype(bool)
    ours, eager = (
        logits_beside_a_cache(model, implementation, kind, CHUNKS[chunks], **given)
        for implementation in ("attnscope", "eager")
    )
    truth = exact(model, **given)
    assert_as_exact_as_eager(ours[at_real], eager[at_real], truth[at_real])


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "Gemma3ForCausalLM"])
@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_generate_writes_what_it_writes_with_eager(name: str, kind: str) -> None:
    model, written = build(name), []
    for implementation in ("attnscope", "eager"):
        model.set_attn_implementation(implementation)
        options = {"cache_implementation": "static"} if kind == "static" else {}
        prompt = {"input_ids": tokens()[:, :PROMPT], "attention_mask": left_padded()[:, :PROMPT]}
        written.append(
            model.generate(**prompt, max_new_tokens=20, do_sample=False, eos_token_id=None, **options)
        )
    assert torch.equal(*written)


def test_a_query_that_stands_elsewhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window without its offset differs only beside a cache that dropped keys, or has not written them."""
    monkeypatch.setattr(mask_functions.MaskRegion, "given_offset", None)
    monkeypatch.setattr(transformers_masks, "is_causal", lambda function: False)
    model = build("MistralForCausalLM")
    ours, eager = (
        logits_beside_a_cache(model, name, "static", CHUNKS["chunks"], tokens())
        for name in ("attnscope", "eager")
    )
    with pytest.raises(AssertionError, match="error of the logits"):
        assert_as_exact_as_eager(ours, eager, exact(model, input_ids=tokens()))
