"""Chats: the messages of a JSON file, and the characters of each message in a chat template's text."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attnscope.inspection.text import InspectionError, NamedText, checked, shown_name

ASSISTANT = "assistant"
SHAPE = '[{"role": "user", "content": "..."}, ...]'


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: str
    content: str


Template = Callable[[Sequence[Message]], str]
Places = list[tuple[int, int]]  # the characters start <= i < end of each message


@dataclass(frozen=True)
class Chat:
    """Messages in order, and the name of the file that they are from."""

    name: str
    messages: tuple[Message, ...]

    @property
    def awaits_answer(self) -> bool:
        """Whether the last message is not the assistant's."""
        return self.messages[-1].role != ASSISTANT

    @property
    def segments(self) -> list[str]:
        """One name per message: its role, numbered from 1 if a role has several messages."""
        roles = [message.role for message in self.messages]
        return [
            role if roles.count(role) == 1 else f"{role} {roles[: number + 1].count(role)}"
            for number, role in enumerate(roles)
        ]

    def rendered(self, template: Template) -> tuple[str, Places]:
        """The text that a template makes of the messages, and the characters of each message in it.

        Raises
        ------
        InspectionError
            If the template changes or omits the words of a message.
        """
        text = template(self.messages)
        places = between_template_tokens(text, self.messages, template)
        return text, in_order(text, self) if places is None else places


def parse_chat(file: NamedText) -> Chat:
    """A chat from JSON: a list of messages, or an object whose "messages" is one.

    Raises
    ------
    InspectionError
        If the JSON has another shape, or a message has no text.
    """
    try:
        found = json.loads(file.content)
    except (ValueError, RecursionError) as error:
        raise InspectionError(
            f"chat={shown_name(file.name)} is not JSON: {error}. Expected {SHAPE}."
        ) from error
    if isinstance(found, dict):
        found = found.get("messages")
    if not isinstance(found, list) or not found:
        raise InspectionError(f"chat={shown_name(file.name)} contains no messages, expected {SHAPE}.")
    return Chat(file.name, tuple(parse_message(file.name, number, each) for number, each in enumerate(found)))


def parse_message(file: str, number: int, given: Any) -> Message:
    """One message; content may be a list of text parts, as for multimodal models."""
    name = f"message {number} of {file}"
    role, content = (given.get("role"), given.get("content")) if isinstance(given, dict) else (None, None)
    if isinstance(content, list):
        parts = [
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        ]
        content = "".join(parts) if len(parts) == len(content) else None
    if not isinstance(role, str) or not isinstance(content, str):
        raise InspectionError(f"{shown_name(name)} is not a text with a role, expected {SHAPE}.")
    if not content.strip():
        raise InspectionError(f"{shown_name(name)} is empty. Add text to it, or remove it.")
    return Message(role, checked(name, content).content)


def between_template_tokens(text: str, messages: Sequence[Message], template: Template) -> Places | None:
    """Places found by the template tokens around them: the template is rendered with placeholder messages.

    A message such as "user" is thus not confused with the role of that name. None if the template tokens
    depend on the words: then the words have to be searched.
    """
    placeholders = [Message(each.role, f"\ue000{number}\ue001") for number, each in enumerate(messages)]
    rest, between = template(placeholders), []
    for placeholder in placeholders:
        before, found, rest = rest.partition(placeholder.content)
        if not found:
            return None
        between.append(before)
    places, position = [], 0
    for before, message in zip(between, messages, strict=True):
        start = position + len(before)
        variants = (message.content, message.content.strip())
        words = next((each for each in variants if text.startswith(each, start)), None)
        if words is None or text[position:start] != before:
            return None
        position = start + len(words)
        places.append((start, position))
    return places if text[position:] == rest else None


def in_order(text: str, chat: Chat) -> Places:
    """Places found by searching the words of the messages, one after the other."""
    places, position = [], 0
    for number, message in enumerate(chat.messages):
        words = message.content.strip()
        start = text.find(words, position)
        if start < 0:
            raise InspectionError(
                f"the model's chat template does not repeat message {number} ({shown_name(message.role)}) of "
                f"{shown_name(chat.name)} word for word. "
                "Give the text as the model shall read it, and its parts by --segments NAME:START-END."
            )
        position = start + len(words)
        places.append((start, position))
    return places


def plain_template(messages: Sequence[Message], *, answer_next: bool = False) -> str:
    r"""Each role on its own line with the words below it: for models without a chat template.

    >>> plain_template([Message("user", "Who?"), Message("assistant", "Ada")])
    '[user]\nWho?\n\n[assistant]\nAda'
    """
    turns = [*messages, Message(ASSISTANT, "")] if answer_next else messages
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in turns)
