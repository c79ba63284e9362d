"""Every piece can be seen, and none changes what stands around it."""

import sys
import unicodedata

import pytest

from attnscope.inspection.shown import shown_character, shown_name, shown_piece


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (" the", "␣the"), ("\n", "⏎"), ("\t", "⇥"), ("\r\n", "␍⏎"), ("\u00a0", "⍽"), ("", "…"), ("\x00\x1b", "␀␛"),
        ("\x7f", "␡"), ("\x85", "⟨U+0085⟩"), ("\u202e", "⟨U+202E⟩"), ("\u200b", "⟨U+200B⟩"), ("\u2028", "⟨U+2028⟩"),
        ("\ue000", "⟨U+E000⟩"), ("\ufeff", "⟨U+FEFF⟩"), ("é日本", "é日本"), ("</script>", "</script>"),
    ],
)  # fmt: skip
def test_what_has_no_shape_is_shown_by_a_sign(piece: str, shown: str) -> None:
    assert shown_piece(piece) == shown


def test_whatever_is_shown_is_visible() -> None:
    for code in range(sys.maxunicode + 1):
        shown = shown_character(chr(code))
        assert shown
        assert shown.isprintable(), hex(code)
        assert not any(unicodedata.category(each).startswith(("C", "Z")) for each in shown), hex(code)


def test_a_name_keeps_its_blanks_and_loses_its_escapes() -> None:
    assert shown_name("a b\x1b[2J\n") == "a b␛[2J⏎"
