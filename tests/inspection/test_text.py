"""Texts are checked, and every character of what is shown is visible."""

import sys
import unicodedata

import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.text import NamedText, checked, decoded, shown_character, shown_name, shown_piece


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (" the", "␣the"),
        ("\n", "⏎"),
        ("\t", "⇥"),
        ("\r\n", "␍⏎"),
        ("\u00a0", "⍽"),
        ("", "…"),
        ("\x00\x1b", "␀␛"),
        ("\x7f", "␡"),
        ("\x85", "⟨U+0085⟩"),
        ("\u202e", "⟨U+202E⟩"),
        ("\u200b", "⟨U+200B⟩"),
        ("\u2028", "⟨U+2028⟩"),
        ("\ue000", "⟨U+E000⟩"),
        ("\ufeff", "⟨U+FEFF⟩"),
        ("a\ufe0f\U000e0100", "a⟨U+FE0F⟩⟨U+E0100⟩"),
        ("\u3164\u115f\u2800", "⟨U+3164⟩⟨U+115F⟩⟨U+2800⟩"),
        ("é日本", "é日本"),
        ("</script>", "</script>"),
    ],
)
def test_an_invisible_character_is_shown_by_a_sign(piece: str, shown: str) -> None:
    assert shown_piece(piece) == shown


def test_every_character_is_shown_visibly() -> None:
    for code in range(sys.maxunicode + 1):
        shown = shown_character(chr(code))
        assert shown
        assert shown.isprintable(), hex(code)
        assert not any(unicodedata.category(each).startswith(("C", "Z")) for each in shown), hex(code)


def test_a_name_keeps_its_blanks_and_loses_its_escapes() -> None:
    assert shown_name("a b\x1b[2J\n") == "a b␛[2J⏎"


def test_bytes_become_a_text() -> None:
    assert decoded("t", "the cat sät".encode()) == NamedText("t", "the cat sät")


@pytest.mark.parametrize("text", ["", " ", "\n\t\n"])
def test_a_text_without_visible_characters_is_refused(text: str) -> None:
    with pytest.raises(InspectionError, match=r"^t is empty. Give a text, a file, or --chat FILE\.$"):
        checked("t", text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF\x03\xff\xfe", r"not UTF-8 text: byte 0xff at 5. .*A model is given by --model"),
        (b"GGUF\x03\x00\x00", r"looks binary: byte 0x00 at 5. .*A model is given by --model"),
    ],
)
def test_binary_data_is_refused_with_its_first_wrong_byte(content: bytes, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        decoded("model.bin", content)


def test_a_surrogate_is_refused() -> None:
    """The shell's arguments contain surrogates for bytes that are not UTF-8."""
    with pytest.raises(
        InspectionError, match=r'^"caf⟨U\+DCE9⟩" is not UTF-8 text: it contains a surrogate, U\+DCE9'
    ):
        checked('"caf\udce9"', "caf\udce9")
