"""Other libraries' attention, if installed: the findings are those of docs/findings.md."""

from dataclasses import replace

import pytest

from attnscope.audit import Contract, Report, attention


def checks_of(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def plainly(contract: Contract) -> Contract:
    return replace(contract, hidden_nan=False, same_bits=False)


def test_torch_s_attention_is_right_but_for_its_alignment_and_poison() -> None:
    pytest.importorskip("torch")
    from attnscope.interop.torch import scaled_dot_product_attention as function

    report = attention(function, function.contract)  # type: ignore[attr-defined]
    assert checks_of(report) <= {"alignment", "poison", "batch invariance"}, str(report)
    [alignment] = report.of("alignment")
    assert "aligned to the start" in (alignment.cause or "")
    assert len(report.of("poison")) == 2
    for number_format in ("float32", "float16", "bfloat16", "float64"):
        own: Contract = function.contract  # type: ignore[attr-defined]
        contract = replace(plainly(own), alignment="start", dtypes=(number_format,))
        clean = attention(function, contract)
        assert clean.ok, str(clean)


def test_torch_s_multi_head_attention_is_right() -> None:
    pytest.importorskip("torch")
    from attnscope.interop.torch import MultiHeadAttention

    report = attention(MultiHeadAttention(), plainly(MultiHeadAttention.contract))
    assert report.ok, str(report)


def test_torch_function_adapts_what_takes_tensors() -> None:
    torch = pytest.importorskip("torch")
    from attnscope.audit import torch_function

    def on_tensors(query: object, key: object, value: object, *, causal: bool) -> object:
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal)

    contract = plainly(Contract(causal=True, alignment="start"))
    assert attention(torch_function(on_tensors), contract).ok


def test_onnx_runtime_is_right() -> None:
    pytest.importorskip("onnxruntime")
    from tests.audit import onnx_runtime

    report = attention(onnx_runtime.attention, plainly(onnx_runtime.CONTRACT))
    assert report.ok, str(report)
    assert checks_of(attention(onnx_runtime.attention, onnx_runtime.CONTRACT)) <= {
        "poison",
        "batch invariance",
    }


def test_jax_is_right_where_something_is_seen() -> None:
    pytest.importorskip("jax")
    from attnscope.interop.jax import dot_product_attention as function

    contract = plainly(function.contract)  # type: ignore[attr-defined]
    contract = replace(contract, alignment="start", masked_rows="unspecified")
    report = attention(function, contract, seconds=30)  # most of which is the compiler's
    assert report.ok, str(report)


def test_jax_aligns_causal_to_the_start_and_averages_hidden_values_where_nothing_is_seen() -> None:
    pytest.importorskip("jax")
    from attnscope.interop.jax import dot_product_attention as function

    contract = plainly(Contract(causal=True, masked_rows="unspecified"))
    [alignment] = attention(function, contract).findings
    assert alignment.check == "alignment"
    assert "aligned to the start" in (alignment.cause or "")
    report = attention(function, Contract(mask=True))
    assert checks_of(report) <= {"fully masked rows", "poison", "batch invariance"}, str(report)
    [masked_rows] = report.of("fully masked rows")
    assert "the average of all hidden values" in (masked_rows.cause or "")
    [poison] = report.of("poison")
    assert "the value of key" in poison.sentence
