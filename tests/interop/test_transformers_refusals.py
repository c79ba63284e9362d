"""What "attnscope" cannot honour in a Transformers model raises, with the way out."""

from typing import Any

import pytest

import attnscope as at
from tests.audit.models.tiny import build
from tests.tolerance import of_a_sum

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import observing  # noqa: E402
from attnscope.interop.transformers_attention import attention_of_transformers  # noqa: E402


class Module(torch.nn.Module):  # type: ignore[misc,name-defined]
    is_causal = True


def call(query_len: int = 4, key_len: int = 4, mask: Any = None, **options: Any) -> Any:
    query, key = torch.ones((1, 2, query_len, 8)), torch.ones((1, 1, key_len, 8))
    tensors = {"query": query, "key": key, "value": key} | {
        name: options.pop(name) for name in ("query", "key", "value") if name in options
    }
    options = {"is_causal": False, **options}
    return attention_of_transformers(Module(), *tensors.values(), mask, **options)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.1}, r"dropout=0\.1.*model\.eval\(\)"),
        ({"output_attentions": True}, r"the matrix of weights.*observing\(model\).*'eager'"),
        ({"cache": object()}, r"cache is given, of type object.*'eager'"),
        ({"head_mask": object()}, "head_mask is given"),
        ({"block_indices": object()}, "block_indices is given"),
        ({"query": torch.ones((1, 2, 4, 8), device="meta")}, r"the model is on meta.*model\.to\('cpu'\)"),
        ({"is_causal": None}, "4 queries to 4 keys without a mask, is_causal=True.*Give the model a mask"),
        ({"is_causal": True, "query_len": 3}, "3 queries to 4 keys without a mask, is_causal=True"),
        ({"sliding_window": 2}, "without a mask, is_causal=False, sliding_window=2"),
        ({"query_len": 1, "is_causal": True, "sliding_window": 2}, "is_causal=False, sliding_window=2"),
        (
            {"mask": torch.ones((1, 4))},
            r"shape \[1, 4\], expected \[batch, heads or 1, query_len=4, key_len=4\]",
        ),
        ({"mask": torch.ones((1, 1, 4, 5))}, r"shape \[1, 1, 4, 5\], expected"),
        (
            {"mask": torch.ones((1, 1, 4, 4), dtype=torch.long)},
            r"torch\.int64, expected bools, True = visible",
        ),
        ({"key": torch.ones((1, 1, 4, 8), dtype=torch.float16)}, "key is float16"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        call(**options)


@pytest.mark.parametrize("options", [{}, {"query_len": 1, "is_causal": True}, {"sliding_window": 4}])
def test_without_a_mask_every_key_is_visible(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    value = torch.randn((1, 1, 4, 8))
    mean = value[0, 0].mean(0)
    atol = of_a_sum(4) * float(value.abs().max())
    assert torch.allclose(call(value=value, **options)[0, 0, 0], mean, rtol=0, atol=atol)


def test_a_last_axis_that_is_not_contiguous_is_copied() -> None:
    query = torch.randn((1, 2, 8, 4)).mT
    assert torch.equal(call(query=query), call(query=query.contiguous()))


@pytest.mark.parametrize("name", ["BloomForCausalLM", "MptForCausalLM"])
def test_a_model_without_an_attention_interface(name: str) -> None:
    model = build(name)
    before = model.config._attn_implementation
    with (
        pytest.raises(at.UnsupportedProblemError, match=f"{name} computes its attention by itself"),
        observing(model),
    ):
        pass
    assert model.config._attn_implementation == before


def test_what_is_no_model() -> None:
    with pytest.raises(
        at.UnsupportedProblemError, match="model is a Linear, expected a model of Transformers"
    ):
        observing(torch.nn.Linear(2, 2)).__enter__()
