"""The text that the tour reads: a file, standard input, or the README of the project."""

import codecs
import inspect
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from attnscope.errors import AttentionError
from attnscope.kernels import level
from attnscope.models import Transformer, copying_transformer

LEAST_BYTES = 64  # shorter texts repeat too little
MOST_BYTES = 8192
MOST_BYTES_WITHOUT_KERNEL = 1024  # the reference keeps all weights of a layer
FIRST_NOT_ASCII = 0x80
CONTINUATION_BYTES = bytes(range(0x80, 0xC0))  # of UTF-8: they do not begin a character
SIGNS = {" ": "␣", "\n": "↵", "\t": "→"}


class TextError(AttentionError):
    """A file that is not a text, or is too short."""


@dataclass(frozen=True)
class Text:
    """The part of a text that is read.

    Parameters
    ----------
    name : str
        The name of the text.
    content : bytes
        Its first bytes, UTF-8.
    total_bytes : int or None
        The length of the whole text, if it is known.
    """

    name: str
    content: bytes
    total_bytes: int | None


def most_bytes() -> int:
    """Return how much of a text the tour reads on this CPU.

    Returns
    -------
    int
        The number of bytes.
    """
    return MOST_BYTES if level() else MOST_BYTES_WITHOUT_KERNEL


def read_text(path: Path | None, *, most_bytes: int = MOST_BYTES) -> Text:
    """Read the first bytes of a UTF-8 text.

    Parameters
    ----------
    path : Path or None
        A file; Path("-") for standard input; None for the README.
    most_bytes : int
        How many bytes to read.

    Returns
    -------
    Text
        The text.

    Raises
    ------
    TextError
        If the file cannot be read, or is empty, too short, or not UTF-8 text.
    """
    if path is None:
        name, content = own_readme()
        return checked_text(name, content[:most_bytes], len(content))
    try:
        if str(path) == "-":
            name, size, content = "standard input", 0, sys.stdin.buffer.read(most_bytes + 1)
        else:
            with path.open("rb") as file:
                name, size, content = str(path), path.stat().st_size, file.read(most_bytes + 1)
    except OSError as error:
        raise TextError(f"cannot read {path}: {error.strerror}.") from error
    total = len(content) if len(content) <= most_bytes else size or None  # pipes and devices have the size 0
    return checked_text(name, content[:most_bytes], total)


def checked_text(name: str, content: bytes, total_bytes: int | None) -> Text:
    """A text without a character that the limit has split.

    Raises
    ------
    TextError
        If it is not a text, or too short.
    """
    if not content:
        raise TextError(f"{name} is empty. Give a text of {LEAST_BYTES} bytes or more.")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        split_by_the_limit = total_bytes != len(content) and error.start >= len(content) - 3
        if not split_by_the_limit:
            raise TextError(
                f"{name} is not UTF-8 text: byte {content[error.start]:#04x} at {error.start:,}. "
                "Give a text file, or convert it with iconv -t utf-8."
            ) from error
        content = content[: error.start]
    if b"\0" in content:
        raise TextError(f"{name} looks binary: byte 0x00 at {content.index(0):,}. Give a text file.")
    if len(content) < LEAST_BYTES:
        raise TextError(
            f"{name} has {len(content)} bytes, expected {LEAST_BYTES} or more. Give a longer text."
        )
    return Text(name, content, total_bytes)


def own_readme() -> tuple[str, bytes]:
    """The README beside the sources, else that of the installed package, else the code of the model."""
    root = Path(__file__).parents[3]
    content = b""
    if (root / "pyproject.toml").is_file() and (root / "README.md").is_file():
        content = (root / "README.md").read_bytes()
    else:
        with suppress(metadata.PackageNotFoundError):
            content = str(metadata.metadata("attnscope").json.get("description", "")).strip().encode()
    if len(content) >= LEAST_BYTES:
        return "README.md", content
    code = "".join(
        inspect.getsource(sys.modules[each.__module__]) for each in (copying_transformer, Transformer)
    )
    return "the model's own code", code.encode()


def shown(content: bytes) -> str:
    """Bytes on one line: signs for line ends, tabs and repeated blanks, no incomplete characters."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    # Not final: an incomplete character at the end is left out.
    text = decoder.decode(content.lstrip(CONTINUATION_BYTES))
    text = "".join(map(shown_character, text))
    return re.sub(r"(?<!␣)␣(?!␣)", " ", text)


def shown_character(character: str) -> str:
    """A visible character, or a sign for it."""
    if character in SIGNS:
        return SIGNS[character]
    return character if character.isprintable() else "�"


def shown_bytes(content: bytes) -> list[str]:
    """A label for each byte of a UTF-8 text: the character at its first byte, "…" at the others."""
    labels = []
    for character in content.decode():
        labels += [shown_character(character), *["…"] * (len(character.encode()) - 1)]
    return labels


def shown_byte(byte: int) -> str:
    """One byte: its character if it is ASCII, else its number."""
    return shown_character(chr(byte)) if byte < FIRST_NOT_ASCII else f"{byte:#04x}"
