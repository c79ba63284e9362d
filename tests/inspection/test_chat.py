"""Messages are found in what a template makes of them, whatever it puts around them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.chat import Chat, Message, plain_template, read_chat

CHAT = Chat(
    "c.json", (Message("system", "Be brief."), Message("user", "user"), Message("assistant", "So be it."))
)


def said(chat: Chat, template: Any) -> dict[str, str]:
    marked = chat.marked(template)
    return {mark.segment: marked.content[mark.start : mark.end] for mark in marked.marks}


def tagged(messages: Sequence[Message]) -> str:
    return "<s>" + "".join(f"<|{each.role}|>\n{each.content.strip()}<|end|>\n" for each in messages)


def system_within_user(messages: Sequence[Message]) -> str:
    """As Gemma's: there is no system turn, its words open the user's first one."""
    system, *rest = messages
    first, *more = rest
    return tagged([Message(first.role, f"{system.content}\n\n{first.content}"), *more])


def short_ones_marked(messages: Sequence[Message]) -> str:
    """Markup that depends on the words."""
    return "".join(f"[{'!' if len(each.content) < 6 else '?'}] {each.content}\n" for each in messages)


@pytest.mark.parametrize(
    "template", [tagged, plain_template, system_within_user], ids=lambda each: each.__name__
)
def test_each_message_s_own_words_are_marked_and_not_its_role(template: Any) -> None:
    assert said(CHAT, template) == {"system": "Be brief.", "user": "user", "assistant": "So be it."}
    start = CHAT.marked(tagged).marks[1].start
    assert (
        CHAT.marked(tagged).content[:start].endswith("<|user|>\n")
    )  # the word, not the role of the same name


def test_blanks_that_a_template_strips_belong_to_nobody() -> None:
    chat = Chat("c.json", (Message("user", "  who? \n"), Message("assistant", "ada")))
    assert said(chat, tagged) == {"user": "who?", "assistant": "ada"}
    assert said(chat, plain_template)["user"] == "  who? \n"


def test_markup_that_depends_on_the_words_is_searched_instead() -> None:
    assert said(CHAT, short_ones_marked) == {"system": "Be brief.", "user": "user", "assistant": "So be it."}


def test_a_role_that_speaks_twice_is_numbered() -> None:
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
def test_words_that_a_template_changes_or_leaves_out_are_named(template: Any) -> None:
    with pytest.raises(
        InspectionError, match=r"does not repeat message 0 \(system\) of c.json word for word.*--segments"
    ):
        CHAT.marked(template)


def written(tmp_path: Path, found: Any) -> Path:
    path = tmp_path / "chat.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found), encoding="utf-8")
    return path


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_is_a_list_of_messages_or_an_object_with_one(wrapped: bool, tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "who?"},
        {"role": "assistant", "content": [{"type": "text", "text": "ada"}]},
    ]
    chat = read_chat(written(tmp_path, {"messages": messages} if wrapped else messages))
    assert chat.messages == (Message("user", "who?"), Message("assistant", "ada"))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("{oops", r"is not JSON: .*Expected \[\{\"role\": \"user\""),
        ("   ", r"is empty: there is nothing to read"),
        ([], r"holds no messages, expected \[\{\"role\""),
        ({"turns": []}, r"holds no messages"),
        (["who?"], r"message 0 of .* is no text with a role"),
        ([{"role": "user"}], r"message 0 of .* is no text with a role"),
        ([{"role": 1, "content": "x"}], r"message 0 of .* is no text with a role"),
        (
            [{"role": "user", "content": "\ud800"}],
            r"message 0 of .* is not UTF-8 text: it holds half a character",
        ),
        ([{"role": "user", "content": [{"type": "image"}]}], r"message 0 of .* is no text with a role"),
        (
            [{"role": "user", "content": "x"}, {"role": "user", "content": " "}],
            r"message 1 of .* is empty. Give it words",
        ),
    ],
)
def test_another_shape_is_refused_with_the_right_one(found: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=said):
        read_chat(written(tmp_path, found))
