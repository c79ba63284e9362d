"""The texts that the tour reads, and those that it refuses."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attnscope.tour.text import MOST_BYTES, TextError, own_readme, read_text, shown, shown_byte, shown_bytes

PLENTY = b"the quick brown fox jumps over the lazy dog; " * 4


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "text.txt"
        path.write_bytes(content)
        return path

    return write


def test_a_short_text_is_read_whole(written: Callable[[bytes], Path]) -> None:
    text = read_text(written(PLENTY))
    assert (text.content, text.total_bytes) == (PLENTY, len(PLENTY))
    assert text.name.endswith("text.txt")


def test_a_long_text_is_cut_and_its_length_is_known(written: Callable[[bytes], Path]) -> None:
    text = read_text(written(b"a" * (MOST_BYTES + 5)))
    assert (len(text.content), text.total_bytes) == (MOST_BYTES, MOST_BYTES + 5)


def test_a_character_at_the_cut_is_not_split(written: Callable[[bytes], Path]) -> None:
    text = read_text(written("é".encode() * MOST_BYTES), most_bytes=101)
    assert text.content == "é".encode() * 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty\. Give a text of 64 bytes or more"),
        (b"short", r"has 5 bytes, expected 64 or more\. Give a longer text"),
        (PLENTY + b"\xff", r"is not UTF-8 text: byte 0xff at 180\. .* iconv -t utf-8"),
        (b"\x7fELF" + bytes(99), r"looks binary: byte 0x00 at 4\. Give a text file"),
        ("text".encode("utf-16") * 20, r"is not UTF-8 text: byte 0xff at 0"),
    ],
)
def test_other_than_a_text_is_refused(written: Callable[[bytes], Path], content: bytes, message: str) -> None:
    with pytest.raises(TextError, match=message):
        read_text(written(content))


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"cannot read .*missing\.txt: No such file or directory\."):
        read_text(tmp_path / "missing.txt")


@pytest.mark.parametrize(("length", "total"), [(100, 100), (MOST_BYTES + 9, None)])
def test_standard_input_is_a_dash_and_its_length_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, length: int, total: int | None
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a" * length)))
    text = read_text(Path("-"))
    assert (text.name, text.total_bytes) == ("standard input", total)


def test_the_default_is_a_text_that_is_always_there() -> None:
    name, content = own_readme()
    assert name in ("README.md", "the model's own code")
    assert read_text(None).content == content[:MOST_BYTES]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"one\ttwo\n", "one→two↵"),
        (b" a  b   c ", " a␣␣b␣␣␣c "),
        ("für".encode()[2:], "r"),
        ("für".encode()[:2], "f"),
        (b"a\xffb\x07", "a�b�"),
    ],
)
def test_bytes_are_shown_on_one_line(content: bytes, line: str) -> None:
    assert shown(content) == line


def test_each_byte_has_its_label() -> None:
    assert shown_bytes("a é\n".encode()) == ["a", "␣", "é", "…", "↵"]
    assert [shown_byte(byte) for byte in b"a \xe9"] == ["a", "␣", "0xe9"]
