"""One inspection: find the text and its segments, let the model read it once, and keep what its heads looked at."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

import attnscope as at
from attnscope.inspection.chat import read_chat
from attnscope.inspection.error import InspectionError
from attnscope.inspection.inspection import Inspection, Segments
from attnscope.inspection.marking import MarkedText, question_after
from attnscope.inspection.model_source import subject_of
from attnscope.inspection.seen_layer import summarized
from attnscope.inspection.segments import check_count, read_layers, read_ranges
from attnscope.inspection.subject import Subject, Tokens
from attnscope.inspection.text import read_file, read_given

FIRST_KEYS = 4
TOP_KEYS = 8
MAP_SIZE = 64
WRITTEN = "written"
EXAMPLE = Path(__file__).parent / "example"
EXAMPLE_DOCUMENTS = (EXAMPLE / "lovelace.txt", EXAMPLE / "hopper.txt")
EXAMPLE_NAME = "Example chat"
EXAMPLE_NEW_TOKENS = 24

Progress = Callable[[float, str], None]  # share done, what comes next


@dataclass(frozen=True)
class Request:
    """What to inspect.

    text          TEXT, a file's name or "-"; None with no chat: an example that comes with the package
    model         a folder or a GGUF file; None: the hand-written model
    chat          a JSON file of messages, instead of a text
    documents     files: before the question, or somewhere in the chat's messages
    segments      NAME:START-END in tokens, instead of what chat and documents say
    rest          the name of tokens that `segments` leave out
    layers        such as "0-3,7"; None: all
    new_tokens    how many the model writes on, before all is inspected
    reads         a segment that is going to be asked for, refused early where there is none of that name
    """

    text: str | None = None
    model: Path | None = None
    chat: Path | None = None
    documents: tuple[Path, ...] = ()
    segments: tuple[str, ...] = ()
    rest: str | None = None
    layers: str | None = None
    new_tokens: int = 0
    reads: str | None = None


def inspect(request: Request, progress: Progress = lambda _share, _next: None) -> Inspection:
    """Read a text with a model, and see where every head looks.

    Errors
        InspectionError for whatever cannot be used, with what to do.

    >>> found = inspect(Request("the cat sat. the cat sat. the cat"))
    >>> found.ranked("induction")[-1].name
    'induction'
    """
    check(request)
    progress(0.0, "loading the model")
    subject = subject_of(request.model)
    request = with_example(request, subject)
    marked = marked_text(request, subject)
    tokens = tokens_of(marked, subject, request.new_tokens)
    layers = read_layers(request.layers, subject.layers)
    if request.new_tokens:
        progress(0.0, "writing on")
        tokens = subject.write_on(tokens, request.new_tokens)
    segments = segments_of(request, marked, tokens, subject)
    check_reads(request.reads, segments)
    progress(0.0, f"layer {layers[0]}")
    many = len(tokens.ids)
    asked = {
        "segments": None if segments is None else segments.labels,
        "first_keys": FIRST_KEYS,
        "top_keys": min(TOP_KEYS, many),
        "received": True,
        "block_map_size": min(MAP_SIZE, many),
    }

    def step(done: int) -> None:
        progress(done / len(layers), f"layer {layers[min(done, len(layers) - 1)]}")

    seen = tuple(
        summarized(each, tokens.ids, None if segments is None else segments.labels)
        for each in subject.observe(tokens, layers, asked, step)
    )
    return Inspection(marked.name, subject.name, tokens, segments, seen, facts_of(subject, marked, many))


def check(request: Request) -> None:
    """What can be said before a model is loaded."""
    if request.text is not None and request.chat is not None:
        raise InspectionError("give either TEXT or --chat FILE, not both: each is all that the model reads.")
    if request.rest is not None and not request.segments:
        raise InspectionError(
            f"rest={request.rest!r} names what --segments leave out, and there are none. Give both."
        )
    if request.new_tokens < 0:
        raise InspectionError(f"new-tokens={request.new_tokens}: expected 0 or more.")
    if request.documents and request.text is None and request.chat is None:
        raise InspectionError(
            "--document needs a question: give it as TEXT, or --chat FILE with the whole chat."
        )


def with_example(request: Request, subject: Subject) -> Request:
    """The example where nothing is given: a chat, or a question for models without a template.

    The hand-written model writes its answer on.
    """
    if request.text is not None or request.chat is not None:
        return request
    whole = {"chat": EXAMPLE / "chat.json"} if subject.chats else {"text": str(EXAMPLE / "question.txt")}
    new_tokens = EXAMPLE_NEW_TOKENS if request.model is None else 0
    return replace(request, documents=EXAMPLE_DOCUMENTS, new_tokens=request.new_tokens or new_tokens, **whole)


def marked_text(request: Request, subject: Subject) -> MarkedText:
    """What the model reads, with the segments that chat and documents make."""
    documents = tuple(read_file(path) for path in request.documents)
    if request.chat is not None:
        chat = read_chat(request.chat)
        answer_next = request.new_tokens > 0 and chat.waits_for_an_answer
        template = partial(subject.template, answer_next=answer_next)
        marked = chat.marked(template).with_documents(documents)
    else:
        assert request.text is not None
        text = read_given(request.text)
        marked = question_after(documents, text) if documents else MarkedText(text.name, text.content)
    is_example = request.documents == EXAMPLE_DOCUMENTS
    return replace(marked, name=EXAMPLE_NAME) if is_example else marked


def tokens_of(marked: MarkedText, subject: Subject, new_tokens: int) -> Tokens:
    """The model's tokens, where they fit.

    Errors
        InspectionError for a text longer than the model's context, and for one that has no token.
    """
    tokens = subject.tokenize(marked.content, templated=marked.templated)
    many = len(tokens.ids)
    if many == 0:
        raise InspectionError(f"{marked.name} has no token for {subject.name}: there is nothing to read.")
    if subject.context is not None and many + new_tokens > subject.context:
        beyond = f" and {new_tokens:,} new ones" if new_tokens else ""
        raise InspectionError(
            f"{marked.name} has {many:,} tokens{beyond}, expected at most {subject.context:,} in all, the context of "
            f"{subject.name}. Shorten the text, or take a model with a longer context."
        )
    return tokens


def segments_of(request: Request, marked: MarkedText, tokens: Tokens, subject: Subject) -> Segments | None:
    """A segment for each token, from the command line or else from the marks; what the model wrote is one of its own."""
    new = request.new_tokens
    read = len(tokens.ids) - new
    if request.segments:
        labels, names = read_ranges(request.segments, read, request.rest)
    elif marked.marks:
        check_places(tokens, subject)
        labels, names = marked.labels(tokens.starts[:read], tokens.ends[:read])
    elif new:
        labels, names = np.zeros(read, np.int64), ("text",)
    else:
        return None
    if new:
        if WRITTEN in names:
            raise InspectionError(
                f"a segment is named {WRITTEN!r}, as what the model writes is. Choose another name."
            )
        labels, names = np.concatenate([labels, np.full(new, len(names))]), (*names, WRITTEN)
    check_count(names)
    return Segments(labels, names)


def check_reads(reads: str | None, segments: Segments | None) -> None:
    """Whether there is a segment of that name.

    Errors
        InspectionError.
    """
    names = () if segments is None else segments.names
    if reads is not None and reads not in names:
        known = ", ".join(names) or "none: give --chat, --document or --segments"
        raise InspectionError(f"reads={reads!r}: expected a segment. There are {known}.")


def check_places(tokens: Tokens, subject: Subject) -> None:
    """Whether tokens say which characters they stand for.

    Errors
        InspectionError.
    """
    if not (tokens.starts < tokens.ends).any():
        raise InspectionError(
            f"{subject.name}'s tokenizer does not say where its tokens stand in the text, so messages and documents cannot be "
            "found among them. Give the text alone, and its parts by --segments NAME:START-END."
        )


def facts_of(subject: Subject, marked: MarkedText, tokens: int) -> dict[str, str]:
    versions = {"attnscope": metadata.version("attnscope"), "Python": sys.version.split()[0]}
    return {
        "text": f"{marked.name}, {tokens:,} tokens",
        **subject.facts,
        "computed by": f"at.observe(), {at.kernels.level() or 'the reference'}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
