"""Models that are compiled, or run under autocast, answer with "attnscope" as they do without."""

from typing import Any

import numpy as np
import pytest

from tests.audit.models.tiny import build
from tests.interop.judging import UNITS, assert_near

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import register  # noqa: E402

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
