"""Where a config comes from: a mapping, a config.json or its folder, or the header of a GGUF file.

Files are hostile until they are read: only regular files are opened, and only so many bytes are parsed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from attnscope.arguments import brief, kind_of, one_line, regular_file
from attnscope.errors import ConfigError
from attnscope.sizing.gguf import MAGIC, config_of_gguf, read_header

LARGEST_CONFIG = 2**22  # bytes; published configs have some kB


@dataclass(frozen=True)
class ConfigFile:
    """A config's fields, the folder in which weights may lie, and the bytes of a GGUF file's tensors."""

    fields: Mapping[str, Any]
    folder: Path | None = None
    tensor_bytes: int | None = None


def read_config(given: Any) -> ConfigFile:
    """The fields of a mapping, a Transformers config or a file; raises ConfigError if there are none."""
    if isinstance(given, Mapping):
        return ConfigFile(given)
    to_dict = getattr(given, "to_dict", None)
    if callable(to_dict) and not isinstance(given, type) and isinstance(fields := to_dict(), Mapping):
        return ConfigFile(fields)
    if not isinstance(given, str | PathLike) or not isinstance(text := os.fspath(given), str):
        raise ConfigError(
            f"config={brief(given)}: expected a dict, the path of a config.json, of its folder or of a GGUF "
            f"file, or an AttentionShape, got {kind_of(given)}."
        )
    try:
        return _read_path(Path(text))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{one_line(text)} cannot be read: {one_line(error)}.") from None


def _read_path(path: Path) -> ConfigFile:
    if path.is_dir():
        folder, path = path, path / "config.json"
        if not path.exists():
            raise ConfigError(
                f"{one_line(folder)} has no config.json. Give the path of a config.json or a GGUF file."
            )
    if not path.exists():
        raise ConfigError(
            f"{one_line(path)} does not exist. Give the path of a config.json, of its folder or of a GGUF "
            "file."
        )
    with regular_file(path, ConfigError) as (file, size):
        if path.suffix == ".gguf" or file.read(len(MAGIC)) == MAGIC:
            return _read_gguf(file, size, one_line(path))
        fields = read_json(file, path, LARGEST_CONFIG)
    if not isinstance(fields, Mapping):
        raise ConfigError(
            f"{one_line(path)} holds {brief(fields)}: expected a mapping of fields, got {kind_of(fields)}."
        )
    return ConfigFile(fields, path.parent)


def _read_gguf(file: BinaryIO, size: int, name: str) -> ConfigFile:
    header = read_header(file, size, name)
    fields = config_of_gguf(header.metadata, name)
    parts = header.metadata.get("split.count", 1)
    if parts not in (0, 1):  # the other files hold the other tensors, in formats of their own
        return ConfigFile(fields | {"quantization_config": f"one of {brief(parts)} files"})
    return ConfigFile(fields, None, header.tensor_bytes)


def read_json(file: BinaryIO, path: Path, largest: int) -> Any:
    """The JSON value that a file holds, from its start; raises ConfigError if it is too large or no JSON."""
    file.seek(0)
    content = file.read(largest + 1)
    name = one_line(path)
    if len(content) > largest:
        raise ConfigError(f"{name} has more than {largest:,} bytes: expected a smaller JSON file.")
    return parse_json(content, name)


def parse_json(content: bytes, name: str) -> Any:
    """The value of a JSON text; raises ConfigError, with the place of the mistake, if it is none."""
    try:
        return json.loads(content)
    except UnicodeDecodeError as error:
        reason = f"is no UTF-8 text: {error.reason} at byte {error.start}"
    except json.JSONDecodeError as error:
        reason = f"is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError) as error:
        reason = f"is no JSON that a config could be: {error}"
    raise ConfigError(f"{name} {reason}. Correct it, or download it again.")
