"""Models that are compiled, or run under autocast, answer with "attnscope" as they do without."""

from typing import Any

import numpy as np
import pytest

from tests.audit.models.tiny import build
from tests.interop.judging import UNITS, assert_near

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import register  # noqa: E402
from attnscope.interop.transformers_attention import attention_of_transformers  # noqa: E402

TOKENS = 11
NAMES = ["LlamaForCausalLM", "Gemma3ForCausalLM", "BertModel"]


def tokens(batch: int = 2) -> Any:
    return torch.randint(3, 61, (batch, TOKENS), generator=torch.Generator().manual_seed(1))


def attending(name: str, implementation: str) -> Any:
    register()
    model = build(name)
    model.set_attn_implementation(implementation)
    return model


def answer(model: Any, **inputs: Any) -> Any:
    return model(input_ids=tokens(), **inputs)[0].double().numpy()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_model(name: str, mode: Any) -> None:
    """The compiler of code is left out: what cannot be traced fails before it."""
    model = attending(name, "attnscope")
    torch.compiler.reset()
    real = torch.ones((2, TOKENS), dtype=torch.long)
    real[1, :4] = 0
    with mode():
        compiled = answer(torch.compile(model, backend="aot_eager"), attention_mask=real)
        whole = answer(model, attention_mask=real)
    assert_near(compiled, whole, np.abs(whole).max())


@pytest.mark.parametrize("use_cache", [False, True])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel"])
def test_autocast_brings_queries_keys_and_values_into_one_format(name: str, use_cache: bool) -> None:
    """Rotated queries and keys are float32 then, values bfloat16: sdpa takes all of them in bfloat16."""
    truth = None
    errors = {}
    for implementation in ("eager", "sdpa", "attnscope"):
        model = attending(name, implementation)
        with torch.inference_mode():
            if truth is None:
                truth = answer(model, use_cache=use_cache)
            with torch.autocast("cpu", torch.bfloat16):
                errors[implementation] = np.abs(answer(model, use_cache=use_cache) - truth).mean()
    assert errors["attnscope"] < 1.5 * errors["sdpa"]
    assert errors["attnscope"] > UNITS["bfloat16"] ** 2  # it did run in bfloat16


def test_autocast_returns_its_format() -> None:
    register()
    query, value = torch.randn((1, 2, 3, 8)), torch.randn((1, 2, 3, 8), dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = attention_of_transformers(torch.nn.Module(), query, query, value, None, is_causal=False)
    alone, _ = attention_of_transformers(
        torch.nn.Module(), query.bfloat16(), query.bfloat16(), value, None, is_causal=False
    )
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, alone)
