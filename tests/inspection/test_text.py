"""What is read is a text; what is none is refused with the way out."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.text import NamedText, read_file, read_given


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
def test_a_path_that_does_not_exist_is_not_taken_for_words(given: str) -> None:
    with pytest.raises(
        InspectionError, match=rf"^{given}: no such file.*echo '{given}' \| attnscope inspect -$"
    ):
        read_given(given)


def test_a_text_longer_than_any_file_s_name_is_words() -> None:
    words = "x " * 5000
    assert read_given(words).content == words


@pytest.mark.parametrize("text", ["", " ", "\n\t\n"])
def test_an_empty_text_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        InspectionError, match=r"is empty: there is nothing to read. Give a text, a file, or --chat FILE"
    ):
        read_file(path)


def test_a_binary_file_is_refused_with_the_byte_that_tells(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"GGUF\x03\xff\xfe")
    with pytest.raises(
        InspectionError, match=r"not UTF-8 text: byte 0xff at 5. .*A model is named by --model"
    ):
        read_file(path)
    path.write_bytes(b"GGUF\x03\x00\x00")
    with pytest.raises(InspectionError, match=r"looks binary: byte 0x00 at 5. .*a model is named by --model"):
        read_file(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=rf"cannot read {tmp_path}: Is a directory"):
        read_file(tmp_path)


def test_half_a_character_is_refused() -> None:
    """As the shell's arguments hold it where a byte is no UTF-8."""
    with pytest.raises(
        InspectionError, match=r'^"caf⟨U\+DCE9⟩" is not UTF-8 text: it holds half a character, U\+DCE9'
    ):
        read_given("caf\udce9")
