"""The words of each message are found in the text that a template renders."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.chat import Chat, Message, parse_chat, plain_template
from attnscope.inspection.text import NamedText

CHAT = Chat(
    "c.json", (Message("system", "Be brief."), Message("user", "user"), Message("assistant", "So be it."))
)


def words_of(chat: Chat, template: Any) -> dict[str, str]:
    text, places = chat.rendered(template)
    return {name: text[start:end] for name, (start, end) in zip(chat.segments, places, strict=True)}


def tagged(messages: Sequence[Message]) -> str:
    return "<s>" + "".join(f"<|{each.role}|>\n{each.content.strip()}<|end|>\n" for each in messages)


def system_within_user(messages: Sequence[Message]) -> str:
    """Like Gemma's: there is no system turn, and its words begin the first turn of the user."""
    system, *rest = messages
    first, *more = rest
    return tagged([Message(first.role, f"{system.content}\n\n{first.content}"), *more])


def short_ones_marked(messages: Sequence[Message]) -> str:
    """Template tokens that depend on the words."""
    return "".join(f"[{'!' if len(each.content) < 6 else '?'}] {each.content}\n" for each in messages)


@pytest.mark.parametrize(
    "template", [tagged, plain_template, system_within_user], ids=lambda each: each.__name__
)
def test_each_message_s_own_words_are_marked_and_not_its_role(template: Any) -> None:
    assert words_of(CHAT, template) == {"system": "Be brief.", "user": "user", "assistant": "So be it."}
    text, places = CHAT.rendered(tagged)
    assert text[: places[1][0]].endswith("<|user|>\n")  # the word, not the role of the same name


def test_blanks_that_a_template_strips_belong_to_no_message() -> None:
    chat = Chat("c.json", (Message("user", "  who? \n"), Message("assistant", "ada")))
    assert words_of(chat, tagged) == {"user": "who?", "assistant": "ada"}
    assert words_of(chat, plain_template)["user"] == "  who? \n"


def test_words_are_searched_if_the_template_tokens_depend_on_them() -> None:
    assert words_of(CHAT, short_ones_marked) == {
        "system": "Be brief.",
        "user": "user",
        "assistant": "So be it.",
    }


def test_a_role_with_two_messages_is_numbered() -> None:
    chat = Chat("c", (Message("user", "a"), Message("assistant", "b"), Message("user", "c")))
    assert chat.segments == ["user 1", "assistant", "user 2"]


@pytest.mark.parametrize(
    "template",
    [
        lambda messages: "".join(each.content.upper() for each in messages),
        lambda messages: messages[-1].content,
    ],
    ids=["changed", "left out"],
)
def test_words_that_a_template_changes_or_omits_are_named(template: Any) -> None:
    with pytest.raises(
        InspectionError, match=r"does not repeat message 0 \(system\) of c.json word for word.*--segments"
    ):
        CHAT.rendered(template)


def parsed(found: Any) -> Chat:
    return parse_chat(NamedText("chat.json", found if isinstance(found, str) else json.dumps(found)))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_is_a_list_of_messages_or_an_object_with_one(wrapped: bool) -> None:
    messages = [
        {"role": "user", "content": "who?"},
        {"role": "assistant", "content": [{"type": "text", "text": "ada"}]},
    ]
    chat = parsed({"messages": messages} if wrapped else messages)
    assert chat.messages == (Message("user", "who?"), Message("assistant", "ada"))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("{oops", r"is not JSON: .*Expected \[\{\"role\": \"user\""),
        ("[" * 100_000, r"is not JSON"),
        ([], r"contains no messages, expected \[\{\"role\""),
        ({"turns": []}, r"contains no messages"),
        (["who?"], r"message 0 of .* is not a text with a role"),
        ([{"role": "user"}], r"message 0 of .* is not a text with a role"),
        ([{"role": 1, "content": "x"}], r"message 0 of .* is not a text with a role"),
        (
            [{"role": "user", "content": "\ud800"}],
            r"message 0 of .* is not UTF-8 text: it contains a surrogate",
        ),
        ([{"role": "user", "content": [{"type": "image"}]}], r"message 0 of .* is not a text with a role"),
        (
            [{"role": "user", "content": "x"}, {"role": "user", "content": " "}],
            r"message 1 of .* is empty. Add text to it",
        ),
    ],
)
def test_another_shape_is_refused_with_the_expected_one(found: Any, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        parsed(found)
