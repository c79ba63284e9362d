"""Attribution on Transformers models: tiny ones with tokenizers made here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.inspection import AttributionRequest, InspectionError, attribute
from attnscope.inspection.attribution.scorer import log_probs
from tests.audit.models.tiny import build
from tests.inspection.test_transformers_kinds import jamba
from tests.interop.judging import UNIT

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

Save = Callable[..., Path]
NAMES = ["LlamaForCausalLM", "Gemma3ForCausalLM", "GptOssForCausalLM", "GPT2LMHeadModel"]
ONE, TWO, QUESTION, ANSWER = "the cat sat on it .", "a dog is in it .", "who sat ?", " the cat ."
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}"
    "{{ message['role'] + ' : ' + message['content'].strip() + ' </s> ' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)


@pytest.fixture
def documents(tmp_path: Path) -> tuple[Path, ...]:
    paths = (tmp_path / "one.txt", tmp_path / "two.txt")
    for path, text in zip(paths, (ONE, TWO), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def plain_log_probs(folder: Path, prompt: str, answer: str) -> Any:
    """Of each answer token, by Transformers alone, in float64; and the largest logit."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float64")
    model.set_experts_implementation("eager")  # torch multiplies those of a mixture one by one in float64
    ids, count = tokenizer(prompt + answer)["input_ids"], len(tokenizer(prompt)["input_ids"])
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]])).logits[0, count - 1 :].numpy()
    return log_probs(logits, np.array(ids[count:])), float(np.abs(logits).max())


@pytest.mark.parametrize("name", NAMES)
def test_removals_are_plain_runs_of_the_shortened_text(
    name: str, save: Save, documents: tuple[Path, ...]
) -> None:
    folder = save(name)
    found = attribute(
        AttributionRequest(
            question=QUESTION, documents=documents, answer=ANSWER, model=folder, method="removal"
        )
    )
    texts = [f"{ONE}\n\n{TWO}\n\n{QUESTION}", f"{TWO}\n\n{QUESTION}", f"{ONE}\n\n{QUESTION}"]
    whole, largest = plain_log_probs(folder, texts[0], ANSWER)
    # As tests.interop.judging.assert_near: the float32 rounding of the layers before
    bound = 200 * UNIT * max(1.0, largest)
    assert np.abs(found.log_probs - whole).max() <= bound
    for effect, text in zip(found.sources, texts[1:], strict=True):
        expected, _ = plain_log_probs(folder, text, ANSWER)
        assert np.abs(found.log_probs - effect.drops - expected).max() <= bound
        assert abs(effect.drop) > bound  # or nothing was removed


@pytest.mark.parametrize("name", NAMES)
def test_generated_answers_are_those_of_generate(name: str, save: Save, documents: tuple[Path, ...]) -> None:
    folder = save(name)
    found = attribute(AttributionRequest(question=QUESTION, documents=documents, model=folder, new_tokens=7))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    given = tokenizer(found.prompt, return_tensors="pt")["input_ids"]
    expected = model.generate(given, max_new_tokens=7, do_sample=False)[0, given.shape[1] :].tolist()
    ends = {model.generation_config.eos_token_id}
    assert found.answer.ids.tolist() == [token for token in expected if token not in ends]


def test_an_instructed_model_reads_documents_and_question_as_one_message(
    save: Save, documents: tuple[Path, ...]
) -> None:
    folder = save("LlamaForCausalLM", TEMPLATE)
    found = attribute(
        AttributionRequest(question=QUESTION, documents=documents, answer="the cat .", model=folder)
    )
    assert found.prompt == f"<s>user : {ONE}\n\n{TWO}\n\n{QUESTION} </s> assistant : "
    assert [each.name for each in found.sources if each.source.whole is None] == [
        "one.txt",
        "two.txt",
        "template",
    ]
    assert found.sources[-1].text == f"<s>user : \n\n\n\n{QUESTION} </s> assistant : "


def test_messages_and_template_of_a_chat_are_sources(save: Save, tmp_path: Path) -> None:
    chat = tmp_path / "chat.json"
    messages = [("system", "be brief"), ("user", "who sat on it ?"), ("assistant", "the cat")]
    chat.write_text(json.dumps([{"role": role, "content": text} for role, text in messages]))
    found = attribute(AttributionRequest(chat=chat, model=save("LlamaForCausalLM", TEMPLATE), by="message"))
    assert [each.name for each in found.sources] == ["system", "user", "template"]
    assert found.answer.text.strip() == "the cat"
    assert np.abs(found.drops).min() > 200 * UNIT


def test_a_chat_without_a_template_is_refused(save: Save, tmp_path: Path) -> None:
    chat = tmp_path / "chat.json"
    chat.write_text('[{"role": "user", "content": "who ?"}]')
    with pytest.raises(InspectionError, match=r"tiny-model has no chat template, which defines how"):
        attribute(AttributionRequest(chat=chat, model=save("LlamaForCausalLM")))


def test_special_tokens_in_a_document_are_refused(save: Save, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("the cat </s> sat")
    with pytest.raises(InspectionError, match=r"bad.txt contains </s>, a special token of tiny-model"):
        attribute(AttributionRequest(question=QUESTION, documents=(path,), model=save("LlamaForCausalLM")))


def test_an_answer_that_shares_a_token_with_the_prompt_is_refused(
    save: Save, documents: tuple[Path, ...]
) -> None:
    request = AttributionRequest(
        question="who s", documents=documents, answer="at", model=save("LlamaForCausalLM")
    )
    with pytest.raises(InspectionError, match=r"answer='at' cannot be separated from the prompt"):
        attribute(request)


def test_a_model_that_answers_nothing_is_named(save: Save, documents: tuple[Path, ...]) -> None:
    model = build("LlamaForCausalLM", vocab_size=25)
    model.generation_config.eos_token_id = list(range(25))
    with pytest.raises(InspectionError, match=r"tiny-model ends its answer at once"):
        attribute(AttributionRequest(question=QUESTION, documents=documents, model=save(model)))


def test_logits_that_are_no_numbers_are_refused(save: Save, documents: tuple[Path, ...]) -> None:
    model = build("LlamaForCausalLM", vocab_size=25)
    with torch.no_grad():
        model.lm_head.weight[3] = torch.nan
    for method in ("knockout", "removal"):
        with pytest.raises(InspectionError, match=r"the model's logits are NaN or infinite"):
            attribute(
                AttributionRequest(
                    question=QUESTION,
                    documents=documents,
                    answer=ANSWER,
                    model=save(model),
                    method=method,
                )
            )


@pytest.mark.filterwarnings("ignore")  # kernels that are not installed
def test_recurrent_layers_cannot_be_knocked_out_and_removal_runs(
    save: Save, documents: tuple[Path, ...]
) -> None:
    folder = save(jamba())
    given: dict[str, Any] = {"question": QUESTION, "documents": documents, "answer": ANSWER, "model": folder}
    with pytest.raises(
        InspectionError, match=r"layer 0 of JambaForCausalLM keeps a .*Choose method='removal'"
    ):
        attribute(AttributionRequest(**given))
    found = attribute(AttributionRequest(**given, method="removal"))
    expected, largest = plain_log_probs(folder, f"{TWO}\n\n{QUESTION}", ANSWER)
    bound = 200 * UNIT * max(1.0, largest)
    assert np.abs(found.log_probs - found.sources[0].drops - expected).max() <= bound
    assert found.sources[0].attention is None


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_sources_are_one_pass_after_the_prompt(
    name: str, save: Save, documents: tuple[Path, ...]
) -> None:
    given: dict[str, Any] = {"question": QUESTION, "documents": documents, "answer": ANSWER}
    folder = save(name)
    found = attribute(AttributionRequest(**given, model=folder, method="gradient"))
    alone = attribute(AttributionRequest(**given, model=folder))
    assert np.abs(found.drops).min() > 2.0**-14
    assert len(set(found.sources[0].drops)) == 1  # one sentence, in equal shares for its tokens
    np.testing.assert_array_equal(found.log_probs, alone.log_probs)
    assert found.rows == alone.rows - (len(alone.sources) - 1) * (3 + len(found.answer.ids) - 1)


def test_an_encoder_is_refused(save: Save, documents: tuple[Path, ...]) -> None:
    with pytest.raises(InspectionError, match=r"is a BertModel, which generates no answer"):
        attribute(AttributionRequest(question=QUESTION, documents=documents, model=save("BertModel")))


@pytest.mark.parametrize("name", NAMES)
def test_removals_in_a_batch_are_those_of_one_text_after_the_other(
    name: str, save: Save, documents: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = AttributionRequest(
        question=QUESTION,
        documents=documents,
        answer=ANSWER,
        model=save(name),
        method="sampled",
        ablation="removal",
        samples=16,
    )
    together = attribute(request)
    monkeypatch.setattr("attnscope.inspection.attribution.transformers_scorer.PADDED_ROWS", 1)
    alone = attribute(request)
    assert together.rows > alone.rows  # rows that fill up a batch count
    # LASSO's steps end at 1e-4 of the deviation of the drops, which are below 2 nats
    assert np.abs(together.drops - alone.drops).max() <= 200 * UNIT * 10 + 1e-3
    assert np.abs(alone.drops).max() > 0.01


def test_groups_of_items_change_nothing(
    save: Save, documents: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save("Gemma3ForCausalLM")
    request = AttributionRequest(
        question=QUESTION, documents=documents, answer=ANSWER, model=folder, by="document"
    )
    together = attribute(request)
    monkeypatch.setattr("attnscope.inspection.attribution.transformers_scorer.ROWS_AT_ONCE", 1)
    alone = attribute(request)
    assert together.rows == alone.rows
    assert np.abs(together.drops - alone.drops).max() <= 200 * UNIT * 10
