"""Read what a request names, and mark which characters belong to which segment."""

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from attnscope.arguments import content_of
from attnscope.inspection.chat import parse_chat
from attnscope.inspection.request import Request
from attnscope.inspection.subject import Subject
from attnscope.inspection.text import InspectionError, NamedText, checked, decoded, shown_name

QUESTION = "question"
EXAMPLE_NAME = "Example chat"
LONGEST_NAME = 40
MOST_BYTES = 2**24  # of a text, a document or a chat; 131,072 tokens have about 2**19


@dataclass(frozen=True)
class Mark:
    """The characters start <= i < end of a text belong to a segment."""

    segment: str
    start: int
    end: int


@dataclass(frozen=True)
class MarkedText:
    """A text and its marks. Later marks override earlier ones; characters without a mark are template tokens.

    `templated` is set if a chat template rendered the text, special tokens included: the tokenizer then adds
    none.
    """

    name: str
    content: str
    marks: tuple[Mark, ...] = ()
    templated: bool = False


def read(request: Request, subject: Subject) -> MarkedText:
    """The text that the model reads, with the segments that chat and documents define.

    Raises
    ------
    InspectionError
        If a file cannot be read, or a document is not in the chat, or two segments have the same name.
    """
    documents = tuple(read_file(path) for path in request.documents)
    if request.chat is not None:
        marked = mark_documents(read_chat(request, subject), documents)
    else:
        assert request.text is not None
        text = read_given(request.text)
        marked = question_after(documents, text) if documents else MarkedText(text.name, text.content)
    check_unique([mark.segment for mark in marked.marks])
    return replace(marked, name=EXAMPLE_NAME) if request.is_example else marked


def read_chat(request: Request, subject: Subject) -> MarkedText:
    """The chat as the model reads it. Generated tokens answer it if it does not end with the assistant."""
    assert request.chat is not None
    chat = parse_chat(read_file(request.chat))
    answer_next = request.new_tokens > 0 and chat.awaits_answer
    content, places = chat.rendered(partial(subject.template, answer_next=answer_next))
    marks = tuple(Mark(name, *place) for name, place in zip(chat.segments, places, strict=True))
    return MarkedText(chat.name, content, marks, templated=True)


def read_given(given: str) -> NamedText:
    """A text itself, the name of a file, or "-" for standard input.

    Raises
    ------
    InspectionError
        If there is no such file, or it is not UTF-8 text, or the text is empty.

    Examples
    --------
    >>> read_given("the cat sat").content
    'the cat sat'
    """
    if given == "-":
        return decoded("standard input", standard_input())
    if is_file(given):
        return read_file(Path(given))
    if looks_like_path(given):
        raise InspectionError(
            f"{given}: no such file. To give these words themselves, put them on standard input: "
            f"echo '{given}' | attnscope ... -"
        )
    shown = given if len(given) <= LONGEST_NAME else given[: LONGEST_NAME - 1] + "…"
    return checked(f'"{shown}"', given)


def standard_input() -> bytes:
    """All of it. Raises InspectionError if that is too much."""
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InspectionError(f"standard input has more than {MOST_BYTES:,} bytes. Give a shorter text.")
    return content


def read_file(path: Path) -> NamedText:
    """A UTF-8 text file.

    Raises
    ------
    InspectionError
        If it is no regular file, cannot be read, or is too large, empty or not UTF-8 text.
    """
    return decoded(str(path), content_of(path, MOST_BYTES, InspectionError))


def is_file(given: str) -> bool:
    """Whether a file has this name."""
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # longer than any name can be, or with a NUL character
        return False


def looks_like_path(given: str) -> bool:
    """Whether this is one word with a folder or a suffix: more likely a mistyped path than a text to inspect.

    >>> looks_like_path("notes/today.txt"), looks_like_path("e.g. this one"), looks_like_path("word.")
    (True, False, False)
    """
    if any(character.isspace() for character in given):
        return False
    return "/" in given or Path(given).suffix not in ("", ".")


def mark_documents(marked: MarkedText, documents: tuple[NamedText, ...]) -> MarkedText:
    """The text with a further mark for each document that it quotes word for word.

    Raises
    ------
    InspectionError
        If the text does not contain a document.
    """
    marks = list(marked.marks)
    for document in documents:
        words = document.content.strip()
        start = marked.content.find(words)
        if start < 0:
            raise InspectionError(
                f"document {shown_name(document.name)} does not occur in {shown_name(marked.name)}, "
                "expected its text word for word in one of the messages. "
                "Add it there, or give a question in place of the chat: documents are then put before it."
            )
        marks.append(Mark(segment_of(document), start, start + len(words)))
    return replace(marked, marks=tuple(marks))


def question_after(documents: tuple[NamedText, ...], question: NamedText) -> MarkedText:
    r"""Documents with an empty line after each, then the question.

    >>> marked = question_after((NamedText("a.txt", "Cats sleep. "),), NamedText("q", "Who sleeps?"))
    >>> marked.content, marked.marks[1]
    ('Cats sleep.\n\nWho sleeps?', Mark(segment='question', start=13, end=24))
    """
    content, marks = "", []
    for document in documents:
        words = document.content.strip()
        marks.append(Mark(segment_of(document), len(content), len(content) + len(words)))
        content += words + "\n\n"
    marks.append(Mark(QUESTION, len(content), len(content) + len(question.content)))
    return MarkedText(question.name, content + question.content, tuple(marks))


def segment_of(document: NamedText) -> str:
    """The segment of a document: the name of its file without the folder."""
    return document.name.rsplit("/", 1)[-1]


def check_unique(names: list[str]) -> None:
    """Raise InspectionError if two marks have the same name: their segments would be merged."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InspectionError(
            f"two segments are named {shown_name(repeated[0])}: documents are named by their files, "
            "messages by their roles. Rename a file, or give the parts by --segments NAME:START-END."
        )
