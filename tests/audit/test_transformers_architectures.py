"""Tiny random Transformers models of many architectures keep their promises, as far as an audit can see."""

import pytest

import attnscope as at
from tests.audit.models.tiny import ARCHITECTURES, build

pytest.importorskip("torch", reason="needs torch: make test-models")
pytest.importorskip("transformers", reason="needs transformers: make test-models")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nothing_is_found_that_is_not_true(name: str) -> None:
    report = at.audit.transformers(build(name))
    assert report.ok, str(report)
    assert report.calls > 200


def test_a_window_of_every_layer_is_claimed() -> None:
    report = at.audit.transformers(build("MistralForCausalLM"))
    assert "window=5" in report.claims
    assert "window" in report.checks


def test_the_body_of_a_causal_model_is_causal() -> None:
    assert "causal=False" not in at.audit.transformers(build("GPT2Model")).claims
    assert "causal=False" in at.audit.transformers(build("BertModel")).claims


def test_a_model_in_training_mode_is_audited_in_eval_mode_and_put_back() -> None:
    model = build("GPT2LMHeadModel", resid_pdrop=0.5).train()
    assert at.audit.transformers(model).ok
    assert model.training
    assert model.transformer.h[0].training


def test_a_model_in_bfloat16_is_audited_in_float32() -> None:
    import torch

    model = build("LlamaForCausalLM").to(torch.bfloat16)
    report = at.audit.transformers(model)
    assert report.ok, str(report)
    assert any("audited in float32" in each for each in report.not_covered)
    assert model.dtype == torch.bfloat16
