"""Mistakes planted in Transformers models and torch modules are found, with the layer that leaks first."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.audit import ContractError, Report, load_model
from attnscope.cli import main
from tests.audit.models.tiny import build

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
pytest.importorskip("transformers", reason="needs transformers: make test-models")


def with_attention(model: Any, change: Any, layer: int | None = None) -> Any:
    """The model with `change(query_len, mask)` in the place of its mask, in one layer or in all."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask
    from transformers.models.llama.modeling_llama import eager_attention_forward

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **given: Any) -> Any:
        if layer is None or module.layer_idx == layer:
            mask = change(query.shape[2], mask)
        return eager_attention_forward(module, query, key, value, mask, **given)

    AttentionInterface.register("planted", attend)
    AttentionMaskInterface.register("planted", eager_mask)
    model.set_attn_implementation("planted")
    return model


def found(report: Report) -> list[tuple[str, str]]:
    return [(each.check, str(each.severity)) for each in report.findings]


def test_the_host_of_the_mistakes_is_right() -> None:
    report = at.audit.transformers(with_attention(build("LlamaForCausalLM"), lambda queries, mask: mask))
    assert report.ok, str(report)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_first_layer_that_leaks_is_named(layer: int) -> None:
    model = build("LlamaForCausalLM", num_hidden_layers=3)
    report = at.audit.transformers(with_attention(model, lambda queries, mask: None, layer))
    [future] = [each for each in report.of("dependence") if each.severity == "leak"]
    assert f"the first layer to leak is model.layers.{layer}" in future.sentence


def test_a_mask_of_row_zero_for_every_row() -> None:
    def first(queries: int, mask: Any) -> Any:
        return mask[:1].expand_as(mask)

    report = at.audit.transformers(with_attention(build("LlamaForCausalLM"), first))
    assert ("padding invariance", "leak") in found(report)
    assert any("row 0" in (each.cause or "") for each in report.findings)


def test_a_padding_mask_that_is_lost_in_cached_steps() -> None:
    def lost(queries: int, mask: Any) -> Any:
        return torch.zeros_like(mask) if queries == 1 else mask

    report = at.audit.transformers(with_attention(build("LlamaForCausalLM"), lost))
    [finding] = report.of("cache")
    assert "do not hide the padded slots" in (finding.cause or "")


def test_a_window_one_token_too_wide() -> None:
    model = build("MistralForCausalLM")
    model.config.sliding_window += 1
    window = at.audit.transformers(model).claims
    assert "window=6" in window
    wide = build("MistralForCausalLM")
    wide.forward = with_a_wider_window(wide)
    assert ("window", "leak") in found(at.audit.transformers(wide))


def with_a_wider_window(model: Any) -> Any:
    """A forward that computes with one more token than the configuration states."""
    forward = type(model).forward.__get__(model)

    def wider(
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: Any = None,
    ) -> Any:
        stated = model.config.sliding_window
        model.config.sliding_window = stated + 1
        try:
            return forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
            )
        finally:
            model.config.sliding_window = stated

    return wider


def test_a_decoder_that_was_configured_as_an_encoder() -> None:
    report = at.audit.transformers(build("BertModel"), causal=True)
    assert ("dependence", "leak") in found(report)


def test_positions_that_count_padding() -> None:
    """A learned embedding by slots, in a plain torch module."""
    module = PlainModule()
    report = at.audit.torch_module(module, vocab_size=23, padding="left", pad_id=0)
    assert found(report) == [("padding invariance", "wrong")]
    assert "positions that count the padded slots" in (report.findings[0].cause or "")
    assert at.audit.torch_module(module, vocab_size=23, padding="right", pad_id=0).ok


def test_a_torch_module_that_sees_the_future_names_its_layer() -> None:
    report = at.audit.torch_module(PlainModule(causal=False), vocab_size=23)
    assert "the first layer to leak is layers.0" in report.findings[0].sentence


def PlainModule(*, causal: bool = True) -> Any:  # it makes a module, and is one to its callers
    """Two layers of torch's own encoder with learned positions."""

    class Module(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.tokens, self.places = torch.nn.Embedding(23, 16), torch.nn.Embedding(300, 16)
            self.layers = torch.nn.ModuleList(
                torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2)
            )
            self.head = torch.nn.Linear(16, 23)

        def forward(self, ids: Any, mask: Any = None) -> Any:
            x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
            shown = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool)
            hidden = ~shown.tril() if causal else ~shown
            hidden = hidden[None] | (~mask.bool())[:, None, :] if mask is not None else hidden[None]
            hidden = hidden & ~torch.eye(ids.shape[1], dtype=torch.bool)
            for layer in self.layers:
                x = layer(x, src_mask=hidden.expand(len(ids), -1, -1).repeat_interleave(2, 0))
            return self.head(x)

    return Module()


def test_what_is_no_model_of_transformers() -> None:
    with pytest.raises(ContractError, match="expected a model of Transformers"):
        at.audit.transformers(torch.nn.Linear(2, 2))


def test_a_claim_that_there_is_not() -> None:
    with pytest.raises(ContractError, match="windows is not a claim"):
        at.audit.torch_module(PlainModule(), vocab_size=23, windows=3)


def test_the_command_audits_a_folder(tmp_path: Path) -> None:
    build("GPT2LMHeadModel").save_pretrained(tmp_path)
    done = CliRunner().invoke(main, ["audit", "--model", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "GPT2LMHeadModel: ok" in done.output


def test_the_command_says_what_a_folder_lacks(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["audit", "--model", str(tmp_path)])
    assert done.exit_code == 2
    assert "contains no model that Transformers can load" in done.output


@pytest.mark.parametrize("model_type", [{}, {"model_type": "llama"}, {"model_type": "own"}], ids=str)
def test_code_in_a_model_s_folder_never_runs_and_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: dict[str, str]
) -> None:
    """Without trust_remote_code=False, Transformers asks on stdin whether it may run the code."""
    ran = tmp_path / "ran"
    (tmp_path / "own.py").write_text(
        f"open({str(ran)!r}, 'w')\nclass OwnConfig: pass\nclass OwnModel: pass\n"
    )
    names = {
        "AutoConfig": "own.OwnConfig",
        "AutoModelForCausalLM": "own.OwnModel",
        "AutoModel": "own.OwnModel",
    }
    config = {**model_type, "architectures": ["OwnModel"], "auto_map": names}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on stdin"))
    with pytest.raises(ContractError, match="contains no model that Transformers can load"):
        load_model(tmp_path)
    assert not ran.exists()
