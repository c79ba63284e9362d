"""What a request names is read, and its characters are marked."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from attnscope.inspection import InspectionError, Request
from attnscope.inspection.hand_written import HandWritten
from attnscope.inspection.reader import (
    MOST_BYTES,
    Mark,
    MarkedText,
    mark_documents,
    question_after,
    read,
    read_file,
    read_given,
)
from attnscope.inspection.text import NamedText

TEXT = MarkedText("t", "<u>cats sleep</u>", (Mark("user", 3, 13),))


def test_words_are_read_as_they_are() -> None:
    assert read_given("the cat sat.") == NamedText('"the cat sat."', "the cat sat.")


def test_a_long_text_has_a_short_name() -> None:
    found = read_given("many words " * 20)
    assert found.name == '"many words many words many words many w…"'
    assert found.content == "many words " * 20


def test_the_name_of_a_file_is_read_as_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a note.txt"
    path.write_text("the cat sät", encoding="utf-8")
    assert read_given(str(path)) == NamedText(str(path), "the cat sät")


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe")))
    assert read_given("-") == NamedText("standard input", "from a pipe")


@pytest.mark.parametrize("given", ["notes.txt", "some/folder", "./x"])
def test_a_path_that_does_not_exist_is_not_inspected_as_words(given: str) -> None:
    with pytest.raises(
        InspectionError, match=rf"^{given}: no such file.*echo '{given}' \| attnscope \.\.\. -$"
    ):
        read_given(given)


def test_a_text_longer_than_any_file_s_name_is_words() -> None:
    words = "x " * 5000
    assert read_given(words).content == words


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=rf"^{tmp_path} is not a regular file"):
        read_file(tmp_path)


def test_a_document_is_marked_within_a_message() -> None:
    marked = mark_documents(TEXT, (NamedText("folder/a.txt", " sleep\n"),))
    assert marked.marks == (Mark("user", 3, 13), Mark("a.txt", 8, 13))


def test_a_document_that_is_not_in_the_chat_is_named_with_the_way_out() -> None:
    with pytest.raises(
        InspectionError, match=r"document b.txt does not occur in t, .*give a question in place of the chat"
    ):
        mark_documents(TEXT, (NamedText("b.txt", "dogs"),))


def test_documents_are_put_before_the_question() -> None:
    marked = question_after((NamedText("x/a", "one\n"), NamedText("x/b", " two")), NamedText("q", "three?"))
    assert marked.content == "one\n\ntwo\n\nthree?"
    assert [(mark.segment, marked.content[mark.start : mark.end]) for mark in marked.marks] == [
        ("a", "one"),
        ("b", "two"),
        ("question", "three?"),
    ]


@pytest.mark.parametrize(
    "names", [("x/a", "y/a"), ("question", "b")], ids=["two documents", "the question's name"]
)
def test_two_segments_of_one_name_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    paths = tuple(tmp_path / name for name in names)
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"document {number}", encoding="utf-8")
    with pytest.raises(InspectionError, match=rf"two segments are named {paths[0].name}: .*Rename a file"):
        read(Request("who?", documents=paths), HandWritten())


def test_a_document_with_the_name_of_a_role_is_refused(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("cats sleep", encoding="utf-8")
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "cats sleep. who?"}]', encoding="utf-8")
    with pytest.raises(InspectionError, match=r"two segments are named user: "):
        read(Request(chat=tmp_path / "chat.json", documents=(tmp_path / "user",)), HandWritten())


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "fifo"])
def test_only_regular_files_are_read(path: str, tmp_path: Path) -> None:
    if path == "fifo":
        os.mkfifo(tmp_path / path)
    with pytest.raises(InspectionError, match=r"is not a regular file|cannot be read"):
        read_file(tmp_path / path)


def test_a_text_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InspectionError, match=r"long\.txt has more than 16,777,216 bytes"):
        read_file(path)
    with Path("/dev/zero").open("rb") as zeros:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=zeros))
        with pytest.raises(InspectionError, match="standard input has more than 16,777,216 bytes"):
            read_given("-")
