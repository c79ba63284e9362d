"""Attribution on the hand-written model: the definition, the example, and what each method means."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnscope.inspection import Attribution, AttributionRequest, attribute
from attnscope.inspection.attribution.scorer import HandWrittenScorer, log_probs
from attnscope.models import copying_transformer
from attnscope.problem import Causal, Dense
from tests.interop.judging import assert_near

TEXT = np.frombuffer(b"the cat sat. the dog lay. the cat sat.", np.uint8).astype(np.int64)
HELD, ANSWER = 26, 5


@pytest.fixture(scope="module")
def example() -> Attribution:
    return attribute()


def write(folder: Path, **texts: str) -> tuple[Path, ...]:
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return tuple(folder / f"{name}.txt" for name in texts)


def test_rows_after_the_kept_prompt_are_those_of_one_pass_with_a_mask() -> None:
    model = copying_transformer()
    scorer = HandWrittenScorer(model)
    scorer.keep(TEXT[:-ANSWER])
    hidden = np.zeros((4, len(TEXT)), np.bool_)
    hidden[1, :12] = hidden[2, 13:25] = hidden[3, 24:30] = True
    found = scorer.after(HELD, TEXT[HELD:], ANSWER, hidden)
    for item, keys in zip(found, hidden, strict=True):
        shown = np.ones((len(TEXT) - 1, len(TEXT) - 1), np.bool_)
        shown[HELD:, keys[:-1]] = False
        np.fill_diagonal(shown, val=True)
        logits = model.logits(TEXT[:-1], mask=Causal() & Dense(shown))[-ANSWER:]
        assert_near(item, log_probs(logits, TEXT[-ANSWER:]), float(np.abs(logits).max()))
    assert found[1].sum() < found[0].sum() - 10  # "the cat sat." is what is copied


def test_the_example_depends_on_the_sentence_that_it_copies(example: Attribution) -> None:
    assert example.answer.text == " the A-0 system in 1952."
    assert example.top(1)[0].name == "hopper.txt, sentence 1"
    effects = {each.name: each for each in example.sources}
    assert effects["hopper.txt"].drop > 100
    assert abs(effects["lovelace.txt"].drop) < 1
    assert "lovelace.txt, sentence 1" not in effects  # its document does not matter


def test_the_log_probability_is_that_of_a_plain_run(example: Attribution) -> None:
    model = copying_transformer()
    ids = np.frombuffer((example.prompt + example.answer.text).encode(), np.uint8)
    logits = model.logits(ids[:-1])[-len(example.answer.ids) :]
    plain = log_probs(logits, example.answer.ids)
    assert_near(example.log_probs, plain, float(np.abs(logits).max()))


def test_a_removal_is_the_run_of_the_shortened_text(tmp_path: Path) -> None:
    documents = write(tmp_path, one="One was red.", two="The two is green.")
    request = AttributionRequest(
        question="The two is", documents=documents, answer=" green.", method="removal", by="document"
    )
    found = attribute(request)
    model = copying_transformer()
    for effect, rest in zip(
        found.sources, ("The two is green.\n\nThe two is", "One was red.\n\nThe two is"), strict=True
    ):
        ids = np.frombuffer(f"{rest} green.".encode(), np.uint8).astype(np.int64)
        logits = model.logits(ids[:-1])[-7:]
        assert_near(found.log_probs - effect.drops, log_probs(logits, ids[-7:]), float(np.abs(logits).max()))


def test_parts_are_the_sentences_of_the_answer(tmp_path: Path) -> None:
    documents = write(tmp_path, red="Ruby is red. It shines.", blue="Sky is blue. It is wide.")
    request = AttributionRequest(
        question="Ruby is", documents=documents, answer=" red. Sky is blue.", by="document"
    )
    found = attribute(request)
    assert found.answer.sentences == [" red.", " Sky is blue."]
    red, blue = found.by_sentence
    assert red[0] > 50 > abs(red[1])
    assert blue[1] > 50 > abs(blue[0])
    np.testing.assert_allclose(found.by_sentence.sum(axis=1), found.drops)


def test_what_reached_the_answer_through_other_tokens_is_removal_minus_knockout() -> None:
    both = attribute(AttributionRequest(through_others=True))
    knockout, removal = (
        {each.name: each.drop for each in attribute(AttributionRequest(method=method)).sources}
        for method in ("knockout", "removal")
    )
    for each in both.sources:
        assert each.through_others == pytest.approx(removal[each.name] - knockout[each.name])


def test_every_sentence_is_a_source_if_asked_for(example: Attribution) -> None:
    found = attribute(AttributionRequest(by="sentence"))
    names = [each.name for each in found.sources]
    assert names == [f"lovelace.txt, sentence {n}" for n in (1, 2)] + [
        f"hopper.txt, sentence {n}" for n in (1, 2, 3)
    ]
    best = found.top(1)[0]
    assert best.text == "Grace Hopper finished the A-0 system in 1952."
    assert found.prompt[best.source.start : best.source.end] == best.text


def test_attention_of_all_sources_is_at_most_one(example: Attribution) -> None:
    documents = [each for each in example.sources if each.source.whole is None]
    masses = [each.attention for each in documents if each.attention is not None]
    assert len(masses) == 2
    assert 0 < sum(masses) < 1


def test_the_method_attention_measures_no_drop() -> None:
    found = attribute(AttributionRequest(method="attention"))
    assert np.isnan(found.drops).all()
    assert found.top(1)[0].name == "hopper.txt"
    facts = found.as_json()["sources"][0]
    assert facts["drop"] is facts["parts"] is None


def test_rows_are_counted_and_few(example: Attribution) -> None:
    prompt, answer = len(example.prompt.encode()), len(example.answer.ids)
    question = len(b"Question: What did Grace Hopper do?\nAnswer: Grace Hopper finished")
    tail = question + answer - 1
    generated = question + answer
    observed = prompt + answer - 1
    assert example.rows == prompt + generated + tail + observed + 5 * tail


def test_an_attribution_repeats_with_the_same_bits(example: Attribution) -> None:
    np.testing.assert_array_equal(attribute().drops, example.drops)


def test_progress_is_reported() -> None:
    steps: list[tuple[float, str]] = []
    attribute(AttributionRequest(by="document"), lambda done, after: steps.append((done, after)))
    assert steps == [(0.0, "loading the model"), (0.0, "reading the prompt"), (0.0, "knockout 0 of 2")]


def test_json_has_the_documented_fields(example: Attribution) -> None:
    facts = example.as_json()
    assert list(facts) == ["method", "prompt", "answer", "sources", "rows", "seconds"]
    assert list(facts["answer"]) == ["text", "log_prob"]
    for source in facts["sources"]:
        assert list(source) == ["name", "text", "start", "end", "drop", "attention", "parts"]
        assert facts["prompt"][source["start"] : source["end"]] == source["text"]
        assert sum(source["parts"]) == pytest.approx(source["drop"])


def test_a_role_is_ablated_with_all_its_sources(tmp_path: Path) -> None:
    (document,) = write(tmp_path, note="The password is swordfish. Keep it.")
    messages = [
        ("user", "The password is swordfish. Keep it. Why?"),
        ("system", "Be brief."),
        ("user", "The password is swordfish. Which one?"),
        ("assistant", "The password is swordfish."),
    ]
    chat = tmp_path / "chat.json"
    chat.write_text(json.dumps([{"role": role, "content": text} for role, text in messages]))
    given = AttributionRequest(chat=chat, documents=(document,), role_report=True, by="message")
    found = attribute(given)
    assert list(found.roles) == ["user", "system", "document", "template"]
    effects = {each.name: each for each in found.sources}
    np.testing.assert_array_equal(found.roles["system"], effects["system"].drops)
    np.testing.assert_array_equal(found.roles["document"], effects["note.txt"].drops)
    reported = {each["role"]: each["drop"] for each in found.as_json()["roles"]}
    assert reported["user"] == pytest.approx(found.roles["user"].sum())
    assert not np.array_equal(found.roles["user"], effects["user 1"].drops)
    removed = attribute(replace(given, method="removal"))
    assert list(removed.roles) == ["user", "system", "document"]


def test_the_table_names_method_sources_and_drops(example: Attribution) -> None:
    lines = repr(example).splitlines()
    assert lines[0].startswith("Attribution by knockout: log probability -0.70 nats of ' the A-0 system")
    assert [line[:30].strip() for line in lines[2:]] == [each.name for each in example.sources]
