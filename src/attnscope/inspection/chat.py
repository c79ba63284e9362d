"""A chat from a file, and where each message's words stand once a template has wrapped them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.inspection.error import InspectionError
from attnscope.inspection.marking import Mark, MarkedText
from attnscope.inspection.text import checked, read_file

ASSISTANT = "assistant"
SHAPE = '[{"role": "user", "content": "..."}, ...]'


@dataclass(frozen=True)
class Message:
    role: str
    content: str


Template = Callable[[Sequence[Message]], str]


@dataclass(frozen=True)
class Chat:
    """Messages in their order, and the name of the file they are from."""

    name: str
    messages: tuple[Message, ...]

    @property
    def waits_for_an_answer(self) -> bool:
        """Whether the last message is not the model's own."""
        return self.messages[-1].role != ASSISTANT

    @property
    def segments(self) -> list[str]:
        """A name a message: its role, numbered from 1 where a role speaks more than once."""
        roles = [message.role for message in self.messages]
        return [
            role if roles.count(role) == 1 else f"{role} {roles[: number + 1].count(role)}"
            for number, role in enumerate(roles)
        ]

    def marked(self, template: Template) -> MarkedText:
        """The text that a template makes of it, each message's own words marked.

        Errors
            InspectionError for a message whose words the template changes or leaves out.
        """
        rendered = template(self.messages)
        places = between_markup(rendered, self.messages, template)
        if places is None:
            places = in_order(rendered, self)
        marks = tuple(
            Mark(segment, start, end) for segment, (start, end) in zip(self.segments, places, strict=True)
        )
        return MarkedText(self.name, rendered, marks, templated=True)


def read_chat(path: Path) -> Chat:
    """A JSON file with a list of messages, or an object whose "messages" is one.

    Errors
        InspectionError for another shape, and for no messages or empty ones.
    """
    try:
        found = json.loads(read_file(path).content)
    except ValueError as error:
        if isinstance(error, InspectionError):
            raise
        raise InspectionError(f"chat={path} is not JSON: {error}. Expected {SHAPE}.") from error
    if isinstance(found, dict):
        found = found.get("messages")
    if not isinstance(found, list) or not found:
        raise InspectionError(f"chat={path} holds no messages, expected {SHAPE}.")
    return Chat(str(path), tuple(read_message(path, number, each) for number, each in enumerate(found)))


def read_message(path: Path, number: int, given: Any) -> Message:
    role, content = (given.get("role"), given.get("content")) if isinstance(given, dict) else (None, None)
    if isinstance(content, list):  # parts, as multimodal models have them
        parts = [
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        ]
        content = "".join(parts) if len(parts) == len(content) else None
    if not isinstance(role, str) or not isinstance(content, str):
        raise InspectionError(f"message {number} of {path} is no text with a role, expected {SHAPE}.")
    if not content.strip():
        raise InspectionError(f"message {number} of {path} is empty. Give it words, or take it out.")
    return Message(role, checked(f"message {number} of {path}", content).content)


def between_markup(
    rendered: str, messages: Sequence[Message], template: Template
) -> list[tuple[int, int]] | None:
    """The places of the messages by the markup around them, which is the same for words that nobody says.

    None where the markup depends on the words; a word such as "user" is then looked for, and may stand in the markup.
    """
    strangers = [Message(each.role, f"\ue000{number}\ue001") for number, each in enumerate(messages)]
    rest, markup = template(strangers), []
    for stranger in strangers:
        before, found, rest = rest.partition(stranger.content)
        if not found:
            return None
        markup.append(before)
    places, position = [], 0
    for before, message in zip(markup, messages, strict=True):
        start = position + len(before)
        words = next(
            (each for each in (message.content, message.content.strip()) if rendered.startswith(each, start)),
            None,
        )
        if words is None or rendered[position:start] != before:
            return None
        places.append((start, start + len(words)))
        position = start + len(words)
    return places if rendered[position:] == rest else None


def in_order(rendered: str, chat: Chat) -> list[tuple[int, int]]:
    """The places of the messages by looking for their words, one after the other."""
    places, position = [], 0
    for number, message in enumerate(chat.messages):
        words = message.content.strip()
        start = rendered.find(words, position)
        if start < 0:
            raise InspectionError(
                f"the model's chat template does not repeat message {number} ({message.role}) of {chat.name} word for word. "
                "Give the text as the model shall read it, and its parts by --segments NAME:START-END."
            )
        position = start + len(words)
        places.append((start, position))
    return places


def plain_template(messages: Sequence[Message], *, answer_next: bool = False) -> str:
    r"""The role on a line of its own, the words below it: for models that have no template.

    >>> plain_template([Message("user", "Who?"), Message("assistant", "Ada")])
    '[user]\nWho?\n\n[assistant]\nAda'
    """
    turns = [*messages, Message(ASSISTANT, "")] if answer_next else messages
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in turns)
