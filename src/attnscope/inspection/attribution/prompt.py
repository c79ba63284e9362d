"""The prompt: the text that the model reads before the answer, its sources, and where the question begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from attnscope.inspection.attribution.request import AttributionRequest
from attnscope.inspection.attribution.sources import (
    DOCUMENT,
    RANGE,
    Source,
    Splitter,
    owners_of,
    paragraphs,
    runs_of,
)
from attnscope.inspection.chat import Chat, Message, parse_chat
from attnscope.inspection.reader import (
    Mark,
    MarkedText,
    check_unique,
    mark_documents,
    question_after,
    read_file,
    read_given,
)
from attnscope.inspection.segments import TEMPLATE, parse_range
from attnscope.inspection.subject import Subject
from attnscope.inspection.text import InspectionError, NamedText, shown_name

USER = "user"
QUESTION_NAME = "the question"
TEMPLATE_SOURCE = Source(TEMPLATE, 0, 0, TEMPLATE)


@dataclass(frozen=True)
class Prompt:
    """A prompt and its sources.

    `question` is the first character of the question: from its token on, rows do not see a hidden source.
    `answer` is that of a chat, if it ends with one. `templated` as in MarkedText.
    """

    name: str
    text: str
    sources: tuple[Source, ...]
    question: int
    templated: bool = False
    answer: str | None = None


def read_prompt(request: AttributionRequest, subject: Subject, splitter: Splitter) -> Prompt:
    """The prompt that a request names.

    Raises
    ------
    InspectionError
        If a file cannot be read, or sources overlap, are missing, or contain special tokens of the model.
    """
    documents = tuple(read_file(path) for path in request.documents)
    for document in documents:
        check_no_special_token(document, subject)
    if request.chat is not None:
        prompt = of_chat(request, subject, documents)
    elif request.question is not None:
        prompt = of_question(NamedText(QUESTION_NAME, request.question), documents, subject)
    else:
        prompt = of_text(request, splitter)
    check_unique([source.name for source in prompt.sources])
    return prompt


def of_chat(request: AttributionRequest, subject: Subject, documents: tuple[NamedText, ...]) -> Prompt:
    """The messages as the model reads them. An answer of the assistant at their end is not in the prompt."""
    assert request.chat is not None
    if not subject.chats:
        raise InspectionError(
            f"{subject.name} has no chat template, which defines how messages become a text. "
            "Give the text as the model shall read it, as TEXT, and its parts by --source NAME:START-END."
        )
    chat = parse_chat(read_file(request.chat))
    for number, message in enumerate(chat.messages):
        check_no_special_token(NamedText(f"message {number} of {chat.name}", message.content), subject)
    answered = not chat.awaits_answer
    if answered and request.answer is not None:
        raise InspectionError(
            f"{shown_name(chat.name)} ends with the assistant's answer, and --answer gives another. "
            "Give one of them."
        )
    text, places = chat.rendered(partial(subject.template, answer_next=not answered))
    answer = None
    if answered:
        start, end = places.pop()
        text, answer = text[:start], text[start:end]
    marks = tuple(Mark(name, *place) for name, place in zip(chat.segments, places, strict=False))
    marked = mark_documents(MarkedText(chat.name, text, marks, templated=True), documents)
    roles = [message.role for message in chat.messages[: len(places)]] + [DOCUMENT] * len(documents)
    sources = [
        Source(mark.segment, mark.start, mark.end, role)
        for mark, role in zip(marked.marks, roles, strict=True)
    ]
    sources = [each for number, each in enumerate(sources) if has_words(sources, number, text)]
    if not sources:
        raise InspectionError(
            f"{shown_name(chat.name)} holds an answer and no message before it. Add the question to it."
        )
    return Prompt(chat.name, text, (*sources, TEMPLATE_SOURCE), question_of(sources), True, answer)


def has_words(sources: Sequence[Source], number: int, text: str) -> bool:
    """Whether a source has characters that belong to no source inside it: a message can be one document."""
    return any(text[start:end].strip() for start, end in runs_of(owners_of(sources, len(text)) == number))


def question_of(sources: Sequence[Source]) -> int:
    """Where the question begins: the last message of a user, or the end of the last document within it."""
    messages = [each for each in sources if each.role != DOCUMENT]
    last = next((each for each in reversed(messages) if each.role == USER), messages[-1])
    within = [each.end for each in sources if each.role == DOCUMENT and last.start <= each.start < last.end]
    return max([last.start, *within])


def of_question(question: NamedText, documents: tuple[NamedText, ...], subject: Subject) -> Prompt:
    """Documents and the question after them; one message of a user if the model has a chat template."""
    if not question.content.strip():
        raise InspectionError("--question is empty. Give a question, or the whole prompt as TEXT.")
    marked = question_after(documents, question)
    content, shift = marked.content, 0
    if subject.instructed:
        check_no_special_token(question, subject)
        chat = Chat(question.name, (Message(USER, content),))
        content, places = chat.rendered(partial(subject.template, answer_next=True))
        shift = places[0][0]
    *marks, of_the_question = marked.marks
    sources = [Source(each.segment, each.start + shift, each.end + shift, DOCUMENT) for each in marks]
    if subject.instructed:
        sources.append(TEMPLATE_SOURCE)
    return Prompt(
        question.name, content, tuple(sources), of_the_question.start + shift, templated=subject.instructed
    )


def of_text(request: AttributionRequest, splitter: Splitter) -> Prompt:
    """A text with the ranges of the request, or its paragraphs; of one paragraph, its sentences."""
    assert request.text is not None
    given = read_given(request.text)
    text = given.content
    if request.sources:
        sources = tuple(
            Source(name, start, end, RANGE)
            for name, start, end in (
                parse_range(each, len(text), option="source", unit="characters") for each in request.sources
            )
        )
        check_apart(sources)
        return Prompt(given.name, text, sources, max(each.end for each in sources))
    level, ranges = "paragraph", paragraphs(text)
    if len(ranges) < 2:
        level, ranges = "sentence", splitter(text)
    *parts, question = ranges
    if not parts:
        raise InspectionError(
            f"{given.name} is one sentence, so there is no source before the question. "
            "Give documents by --document and a question by --question, or ranges by --source NAME:START-END."
        )
    named = tuple(Source(f"{level} {number}", *each, RANGE) for number, each in enumerate(parts, start=1))
    return Prompt(given.name, text, named, question[0])


def check_apart(sources: Sequence[Source]) -> None:
    """Raise InspectionError if two ranges share a character."""
    ordered = sorted(sources, key=lambda each: each.start)
    for one, other in pairwise(ordered):
        if other.start < one.end:
            raise InspectionError(
                f"sources {one.name!r} and {other.name!r} overlap at character {other.start}, expected each "
                "character in one source. END is the first character after a source."
            )


def check_no_special_token(text: NamedText, subject: Subject) -> None:
    """Raise InspectionError if the model would read a part of the text as a token of its template."""
    found = next((each for each in subject.special_tokens if each in text.content), None)
    if found is not None:
        raise InspectionError(
            f"{shown_name(text.name)} contains {shown_name(found)}, a special token of {subject.name}, which "
            "would read it as its template's own. Remove it, or write it in another way."
        )
