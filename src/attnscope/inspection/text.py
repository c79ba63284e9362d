"""The text that is read: given as it is, in a file, or on standard input."""

import sys
from dataclasses import dataclass
from pathlib import Path

from attnscope.inspection.error import InspectionError
from attnscope.inspection.shown import shown_name

LONGEST_SHOWN = 40


@dataclass(frozen=True)
class NamedText:
    """A text, and what reports call it."""

    name: str
    content: str


def read_given(given: str) -> NamedText:
    """TEXT, the name of a file, or "-" for standard input.

    Errors
        InspectionError for what is empty or no UTF-8 text, and for what looks like a path and is none.

    >>> read_given("the cat sat").content
    'the cat sat'
    """
    if given == "-":
        return decoded("standard input", sys.stdin.buffer.read())
    if is_file(given):
        return read_file(Path(given))
    if looks_like_a_path(given):
        raise InspectionError(
            f"{given}: no such file. To inspect these words themselves: echo '{given}' | attnscope inspect -"
        )
    shown = given if len(given) <= LONGEST_SHOWN else given[: LONGEST_SHOWN - 1] + "…"
    return checked(f'"{shown}"', given)


def read_file(path: Path) -> NamedText:
    """A UTF-8 text file.

    Errors
        InspectionError for a file that cannot be read, is empty or no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InspectionError(f"cannot read {path}: {error.strerror}.") from error
    return decoded(str(path), content)


def decoded(name: str, content: bytes) -> NamedText:
    """Bytes as text, or what is wrong with them."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InspectionError(
            f"{name} is not UTF-8 text: byte {content[error.start]:#04x} at {error.start:,}. Give a text file; convert "
            "another encoding with iconv -t utf-8. A model is named by --model."
        ) from error
    if "\0" in text:
        raise InspectionError(
            f"{name} looks binary: byte 0x00 at {content.index(0):,}. Give a text file; a model is named by --model."
        )
    return checked(name, text)


def checked(name: str, text: str) -> NamedText:
    """A text that has words, and that UTF-8 has bytes for: arguments and JSON can hold halves of characters.

    Errors
        InspectionError.
    """
    halves = [character for character in text if "\ud800" <= character <= "\udfff"]
    if halves:
        raise InspectionError(
            f"{shown_name(name)} is not UTF-8 text: it holds half a character, U+{ord(halves[0]):04X}. Give a text in UTF-8."
        )
    if not text.strip():
        raise InspectionError(
            f"{name} is empty: there is nothing to read. Give a text, a file, or --chat FILE."
        )
    return NamedText(name, text)


def is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # a text longer than any name can be, or with a NUL in it
        return False


def looks_like_a_path(given: str) -> bool:
    """One word with a folder or an ending, which nobody would inspect for its own sake.

    >>> looks_like_a_path("notes/today.txt"), looks_like_a_path("e.g. this one"), looks_like_a_path("word.")
    (True, False, False)
    """
    if any(character.isspace() for character in given):
        return False
    return "/" in given or Path(given).suffix not in ("", ".")
