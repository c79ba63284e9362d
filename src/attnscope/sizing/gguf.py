"""The header of a GGUF file: its metadata, read with limits, since a length in a file is only a claim.

Source
    The format's specification: github.com/ggml-org/ggml, docs/gguf.md, versions 2 and 3, little-endian.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from attnscope.errors import ConfigError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_FIELDS = 65_536
MOST_TENSORS = 1_000_000
LONGEST_STRING = 2**24  # chat templates are long
MOST_ELEMENTS = 2**24  # vocabularies too
MOST_KEPT = 4_096  # of longer lists, which are vocabularies, only so many are kept
DEEPEST = 4
NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
STRING, LIST = 8, 9
ALIGNMENT = "general.alignment"


@dataclass(frozen=True)
class Header:
    """The metadata, and how many bytes of tensors follow."""

    metadata: dict[str, Any]
    tensor_bytes: int


def read_header(path: Path) -> Header:
    """All key-value pairs of a GGUF file.

    Errors
        ConfigError for a file that is none, is cut short, or claims what no file holds.
    """
    with path.open("rb") as file:
        reader = _Reader(file, path, path.stat().st_size)
        if reader.take(4) != MAGIC:
            raise ConfigError(f"{path} does not begin with GGUF: it is no GGUF file.")
        version = reader.number("<I")
        if version not in VERSIONS:
            raise ConfigError(f"{path}: GGUF version {version}. Expected 2 or 3, little-endian.")
        tensors = reader.count("<Q", MOST_TENSORS, "tensors")
        fields = reader.count("<Q", MOST_FIELDS, "fields")
        metadata: dict[str, Any] = {}
        for _ in range(fields):
            name = reader.text()
            metadata[name] = reader.value(reader.number("<I"))
        for _ in range(tensors):
            reader.text()
            dims = reader.count("<I", 8, "axes of a tensor")
            reader.take(8 * dims + 4 + 8)
        alignment = metadata.get(ALIGNMENT, 32)
        if type(alignment) is not int or not 0 < alignment <= 2**20:
            raise ConfigError(f"{path}: {ALIGNMENT}={alignment!r}: expected 1 to 2**20.")
        start = -(-file.tell() // alignment) * alignment
    return Header(metadata, max(0, reader.size - start))


class _Reader:
    """Reads what the file says comes next, and never more than it has."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.file, self.path, self.size = file, path, size

    def take(self, length: int) -> bytes:
        if length > self.size - self.file.tell():
            raise ConfigError(
                f"{self.path} ends within its header: {length:,} bytes were to come at byte {self.file.tell():,} of "
                f"{self.size:,}. Download it again."
            )
        return self.file.read(length)

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def count(self, form: str, most: int, what: str) -> int:
        claimed: int = self.number(form)
        if claimed > most:
            raise ConfigError(f"{self.path} claims {claimed:,} {what}: expected at most {most:,}.")
        return claimed

    def text(self) -> str:
        return self.take(self.count("<Q", LONGEST_STRING, "bytes of a string")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.text()
        if kind != LIST or depth >= DEEPEST:
            raise ConfigError(
                f"{self.path} has a value of type {kind}, which GGUF does not know, or too deep a list."
            )
        inner = self.number("<I")
        length = self.count("<Q", MOST_ELEMENTS, "elements of a list")
        kept = [self.value(inner, depth + 1) for _ in range(min(length, MOST_KEPT))]
        if inner in NUMBERS:
            self.take(struct.calcsize(NUMBERS[inner]) * (length - len(kept)))
        else:
            for _ in range(length - len(kept)):
                self.value(inner, depth + 1)
        return kept
