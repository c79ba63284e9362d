"""Where a config comes from: a mapping, a config.json or the folder that holds it, or the header of a GGUF file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from attnscope.arguments import brief, kind_of
from attnscope.errors import ConfigError
from attnscope.sizing.gguf import MAGIC, read_header
from attnscope.sizing.gguf_fields import config_of_gguf

LARGEST_CONFIG = 2**24


@dataclass(frozen=True)
class ConfigFile:
    """A config's fields, and the folder beside which weights may lie."""

    fields: Mapping[str, Any]
    folder: Path | None = None
    tensor_bytes: int | None = None  # of a GGUF file: all that follows its header


def read_config(given: Any) -> ConfigFile:
    """The fields of a config.

    Errors
        ConfigError for files that are missing, too large, or hold no mapping.
    """
    if isinstance(given, Mapping):
        return ConfigFile(given)
    to_dict = getattr(given, "to_dict", None)
    if callable(to_dict) and not isinstance(given, type) and isinstance(fields := to_dict(), Mapping):
        return ConfigFile(fields)
    if not isinstance(given, str | PathLike) or not isinstance(path_text := str(given), str):
        raise ConfigError(
            f"config={brief(given)}: expected a dict, the path of a config.json, of its folder or of a GGUF file, or an "
            f"AttentionShape, got {kind_of(given)}."
        )
    try:
        return _read_path(Path(path_text))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path_text[:200]!r} cannot be read: {error}.") from None


def _read_path(path: Path) -> ConfigFile:
    if path.is_dir():
        inner = path / "config.json"
        if not inner.is_file():
            raise ConfigError(f"{path} has no config.json. Give the path of a config.json or a GGUF file.")
        path = inner
    if not path.is_file():
        raise ConfigError(
            f"{path} does not exist. Give the path of a config.json, of its folder or of a GGUF file."
        )
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start == MAGIC or path.suffix == ".gguf":
        header = read_header(path)
        fields = config_of_gguf(header.metadata, path)
        parts = header.metadata.get("split.count", 1)
        if parts not in (0, 1):  # the other files hold the other tensors, in formats of their own
            return ConfigFile(fields | {"quantization_config": f"one of {parts} files"})
        return ConfigFile(fields, None, header.tensor_bytes)
    if path.stat().st_size > LARGEST_CONFIG:
        raise ConfigError(f"{path} has {path.stat().st_size:,} bytes: no config is that large.")
    return ConfigFile(_read_json(path), path.parent)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}.") from None
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON that a config could be: {error}.") from None
    if not isinstance(fields, Mapping):
        raise ConfigError(
            f"{path} holds {brief(fields)}: expected a mapping of fields, got {kind_of(fields)}."
        )
    return fields
