"""The prompt and its sources: from documents, chats and texts; and what cannot be attributed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.inspection import AttributionRequest, InspectionError, attribute
from attnscope.inspection.attribution import run as run_module
from attnscope.inspection.attribution.prompt import Prompt, read_prompt
from attnscope.inspection.attribution.sentences import sentences
from attnscope.inspection.hand_written import HandWritten
from attnscope.models import Transformer

CHAT = (
    '[{"role": "system", "content": "Be brief."},'
    ' {"role": "user", "content": "Cats sleep.\\n\\nWho sleeps?"},'
    ' {"role": "assistant", "content": "Cats."}]'
)
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write_


def prompt_of(**given: Any) -> Prompt:
    return read_prompt(AttributionRequest(**given), HandWritten(), sentences)


def parts(prompt: Prompt) -> dict[str, str]:
    return {each.name: prompt.text[each.start : each.end] for each in prompt.sources}


def test_documents_come_before_the_question(write: Write) -> None:
    prompt = prompt_of(question="Who?", documents=(write("a.txt", "One.\n"), write("b.txt", "Two.")))
    assert prompt.text == "One.\n\nTwo.\n\nWho?"
    assert parts(prompt) == {"a.txt": "One.", "b.txt": "Two."}
    assert prompt.text[prompt.question :] == "Who?"


def test_messages_are_sources_and_the_assistant_s_last_one_is_the_answer(write: Write) -> None:
    prompt = prompt_of(chat=write("chat.json", CHAT))
    assert parts(prompt) == {"system": "Be brief.", "user": "Cats sleep.\n\nWho sleeps?", "template": ""}
    assert prompt.answer == "Cats."
    assert prompt.text.endswith("[assistant]\n")
    assert prompt.text[prompt.question :].startswith("Cats sleep.")


def test_a_document_within_the_last_message_ends_before_the_question(write: Write) -> None:
    prompt = prompt_of(chat=write("chat.json", CHAT), documents=(write("a.txt", "Cats sleep."),))
    assert [each.role for each in prompt.sources] == ["system", "user", "document", "template"]
    assert prompt.text[prompt.question :].startswith("\n\nWho sleeps?")


def test_paragraphs_of_a_text_are_sources_and_the_last_one_is_the_question() -> None:
    prompt = prompt_of(text="One one.\n\nTwo two.\n\nWhich?")
    assert parts(prompt) == {"paragraph 1": "One one.", "paragraph 2": "Two two."}
    assert prompt.text[prompt.question :] == "Which?"


def test_sentences_of_a_single_paragraph_are_sources() -> None:
    assert parts(prompt_of(text="One one. Two two. Which?")) == {
        "sentence 1": "One one.",
        "sentence 2": "Two two.",
    }


def test_ranges_of_characters_are_sources() -> None:
    prompt = prompt_of(text="abcdefgh", sources=("x:0-2", "y:4-6"))
    assert parts(prompt) == {"x": "ab", "y": "ef"}
    assert prompt.question == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "a b", "sources": ("x:0-2", "y:1-3")}, r"sources 'x' and 'y' overlap at character 1"),
        (
            {"text": "a b", "sources": ("x:0-9",)},
            r"source='x:0-9', expected START < END <= 3, the number of ch",
        ),
        ({"text": "a b", "sources": ("x",)}, r"source='x', expected NAME:START-END in characters"),
        ({"text": "a b", "sources": ("x:0-1", "x:1-2")}, r"two segments are named x"),
        ({"text": "One."}, r"is one sentence, so there is no source before the question"),
        ({"text": "ab cd", "answer": " "}, r"is one sentence|the answer is empty"),
    ],
)
def test_a_text_that_cannot_be_split_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        attribute(AttributionRequest(**given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "a", "question": "b", "documents": ("c",)}, r"--question and TEXT exclude each other"),
        ({"question": "b"}, r"--question needs sources"),
        ({"documents": (Path("a"),)}, r"--document needs a question"),
        ({"sources": ("a:0-1",)}, r"there is no TEXT"),
        ({"new_tokens": 0}, r"new-tokens=0, expected 1 or more"),
        ({"method": "shapley"}, r"method='shapley', expected one of knockout, removal, attention"),
        ({"by": "word"}, r"by='word', expected one of document, message, paragraph, sentence"),
        ({"by": "message"}, r"by='message' needs a chat"),
        ({"role_report": True, "text": "a b"}, r"role-report ablates the roles of a chat: it needs --chat"),
        ({"by": "document"}, r"by='document' needs documents"),
        (
            {"method": "removal", "through_others": True},
            r"compares removal with knockout, but method='removal'",
        ),
    ],
)
def test_contradicting_requests_are_refused(given: dict[str, Any], message: str) -> None:
    if given == {"by": "document"}:
        given = given | {"text": "a"}
    with pytest.raises(InspectionError, match=message):
        AttributionRequest(**given)


def test_an_empty_document_is_refused(write: Write) -> None:
    with pytest.raises(InspectionError, match=r"empty.txt is empty"):
        attribute(AttributionRequest(question="Who?", documents=(write("empty.txt", " \n"),)))


def test_an_empty_question_and_an_empty_answer_are_refused(write: Write) -> None:
    documents = (write("a.txt", "One."),)
    with pytest.raises(InspectionError, match=r"--question is empty"):
        attribute(AttributionRequest(question=" ", documents=documents))
    with pytest.raises(InspectionError, match=r"the answer is empty"):
        attribute(AttributionRequest(question="Who?", documents=documents, answer=""))


def test_a_document_that_is_not_in_the_chat_is_refused(write: Write) -> None:
    with pytest.raises(InspectionError, match=r"b.txt does not occur in"):
        prompt_of(chat=write("chat.json", CHAT), documents=(write("b.txt", "Dogs."),))


def test_two_answers_are_refused(write: Write) -> None:
    with pytest.raises(
        InspectionError, match=r"ends with the assistant's answer, and --answer gives another"
    ):
        prompt_of(chat=write("chat.json", CHAT), answer="Dogs.")


def test_a_chat_of_an_answer_alone_is_refused(write: Write) -> None:
    with pytest.raises(InspectionError, match=r"holds an answer and no message before it"):
        prompt_of(chat=write("chat.json", '[{"role": "assistant", "content": "Cats."}]'))


def test_special_tokens_of_the_model_in_a_document_or_message_are_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HandWritten, "special_tokens", ("<end>",))
    with pytest.raises(InspectionError, match=r"a.txt contains <end>, a special token of the hand-written"):
        prompt_of(question="Who?", documents=(write("a.txt", "One <end> two."),))
    with pytest.raises(InspectionError, match=r"message 1 of .*chat.json contains <end>"):
        prompt_of(chat=write("chat.json", CHAT.replace("Who", "<end>")))


def test_a_model_without_a_chat_template_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HandWritten, "chats", False)
    with pytest.raises(InspectionError, match=r"has no chat template.*--source NAME:START-END"):
        prompt_of(chat=write("chat.json", CHAT))


def test_a_source_longer_than_the_context_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HandWritten, "context", 40)
    request = AttributionRequest(
        question="Who?", documents=(write("a.txt", "One."), write("b.txt", "x" * 50)), answer=" One."
    )
    with pytest.raises(
        InspectionError,
        match=r"has 62 tokens and the answer 5, expected at most 40 in all.*longest source is b.txt with 50",
    ):
        attribute(request)


def test_logits_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Transformer.follow
    monkeypatch.setattr(Transformer, "follow", lambda *given, **options: real(*given, **options) * np.nan)
    with pytest.raises(InspectionError, match=r"the model's logits are NaN or infinite"):
        attribute()


def test_a_removal_that_leaves_nothing_is_refused() -> None:
    request = AttributionRequest(text="ab", sources=("all:0-2",), answer="ab", method="removal")
    with pytest.raises(InspectionError, match=r"without all there is no prompt left"):
        attribute(request)


def test_without_a_splitter_documents_are_attributed_and_sentences_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "attnscope.inspection.attribution.sentences", None)
    found = run_module.attribute()
    assert [each.name for each in found.sources] == ["lovelace.txt", "hopper.txt"]
    assert "pip install 'attnscope[attribution]'" in found.facts["sources"]
    with pytest.raises(InspectionError, match=r"by='sentence': sentences need pysbd: pip install"):
        run_module.attribute(AttributionRequest(by="sentence"))
