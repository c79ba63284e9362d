"""Check texts that come from outside, and show them: nothing stays invisible or moves the cursor."""

import unicodedata
from dataclasses import dataclass

from attnscope.errors import AttentionError

BLANKS = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
CONTINUED = "…"  # the token continues a character that an earlier token began
PICTURES = 0x2400  # Unicode's pictures of the control characters below 0x20
DELETE = 0x7F
DRAWN_AS_NOTHING = {  # letters, marks and symbols: joiners, fillers, an empty Braille cell
    *map(chr, range(0xFE00, 0xFE10)),  # variation selectors
    *map(chr, range(0xE0100, 0xE01F0)),
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0",
}
INVISIBLE = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")  # Unicode categories


class InspectionError(AttentionError):
    """A text, a chat, segments or a model that cannot be inspected as requested."""


@dataclass(frozen=True)
class NamedText:
    """A text, and the name that reports use for it."""

    name: str
    content: str


def decoded(name: str, content: bytes) -> NamedText:
    """Bytes as a text.

    Raises
    ------
    InspectionError
        If the bytes are not UTF-8 text, or are empty.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InspectionError(
            f"{shown_name(name)} is not UTF-8 text: byte {content[error.start]:#04x} at {error.start:,}. "
            "Give a text file, or convert it with iconv -t utf-8. A model is given by --model."
        ) from error
    if "\0" in text:
        raise InspectionError(
            f"{shown_name(name)} looks binary: byte 0x00 at {content.index(0):,}. Give a text file. "
            "A model is given by --model."
        )
    return checked(name, text)


def checked(name: str, text: str) -> NamedText:
    """A text with at least one visible character, in which every character has UTF-8 bytes.

    Command-line arguments and JSON can hold surrogates, which have none.

    Raises
    ------
    InspectionError
        If the text has a surrogate, or only blanks.
    """
    surrogates = [character for character in text if "\ud800" <= character <= "\udfff"]
    if surrogates:
        raise InspectionError(
            f"{shown_name(name)} is not UTF-8 text: it contains a surrogate, U+{ord(surrogates[0]):04X}. "
            "Give UTF-8 text."
        )
    if not text.strip():
        raise InspectionError(f"{shown_name(name)} is empty. Give a text, a file, or --chat FILE.")
    return NamedText(name, text)


def shown_piece(piece: str) -> str:
    r"""One token with every character visible.

    >>> shown_piece(" the"), shown_piece("\n\n"), shown_piece("a\u202eb"), shown_piece("")
    ('␣the', '⏎⏎', 'a⟨U+202E⟩b', '…')
    """
    return "".join(map(shown_character, piece)) or CONTINUED


def shown_name(name: str) -> str:
    r"""A name, path or fact on one line: blanks stay, and control characters become visible.

    >>> shown_name("my \x1b[31mnotes\n")
    'my ␛[31mnotes⏎'
    """
    return "".join(character if character == " " else shown_character(character) for character in name)


def shown_character(character: str) -> str:
    """A character, or a sign if it is a blank, invisible, or changes the direction of the text around it."""
    if character in BLANKS:
        return BLANKS[character]
    code = ord(character)
    if code < 0x20:
        return chr(PICTURES + code)
    if code == DELETE:
        return "␡"
    if (
        unicodedata.category(character) in INVISIBLE
        or character in DRAWN_AS_NOTHING
        or not character.isprintable()
    ):
        return f"⟨U+{code:04X}⟩"
    return character
