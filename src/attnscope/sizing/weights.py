"""Bytes of the weights: counted from the files beside the config, otherwise estimated from its sizes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.arguments import brief, one_line, regular_file
from attnscope.errors import ConfigError
from attnscope.sizing.config_file import parse_json, read_json
from attnscope.sizing.model import ModelDescription
from attnscope.sizing.units import bytes_of

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SHARD = re.compile(r"model-\d+-of-(\d+)\.safetensors")
LARGEST_JSON = 2**25  # bytes of an index, or of all headers together: 140,000 tensors take 15 MB
LARGEST_WEIGHTS = 2**60  # bytes


@dataclass(frozen=True)
class Weights:
    """Bytes of the weights.

    Parameters
    ----------
    weight_bytes : int or None
        The bytes; None if neither files nor config determine them.
    exact : bool
        They were counted in files.
    source : str
        How they were found.
    """

    weight_bytes: int | None
    exact: bool
    source: str


def weights_of(model: ModelDescription, folder: Path | None) -> Weights:
    """The bytes in a safetensors index or header beside the config, otherwise an estimate.

    Raises ConfigError if the index or a header is broken.
    """
    if folder is not None:
        index = folder / INDEX
        if index.exists():
            return Weights(_from_index(index), True, f"counted in {INDEX}")
        files = _complete_set(folder)
        if files:
            names = ", ".join(path.name for path in files[:3])
            return Weights(_from_headers(files), True, f"counted in {names}")
    number = model.weights
    if number is None:
        return Weights(None, False, f"{model.weights_missing}")
    if model.quantized:
        return Weights(None, False, f"{number:,} parameters, quantized in a format that is not read here")
    number_format = model.number_format or "bfloat16"
    return Weights(
        bytes_of(number, number_format),
        False,
        f"estimated: {number:,} parameters in {number_format}, without norms and what surrounds the decoder",
    )


def _complete_set(folder: Path) -> list[Path]:
    """The single file, or all shards of one set; other variants of the same weights are not added."""
    single = folder / SINGLE
    if single.exists():
        return [single]
    shards = [(path, match) for path in sorted(folder.iterdir()) if (match := SHARD.fullmatch(path.name))]
    complete = len(shards) > 0 and all(int(match[1]) == len(shards) for _, match in shards)
    return [path for path, _ in shards] if complete else []


def _from_index(path: Path) -> int:
    """metadata.total_size."""
    with regular_file(path, ConfigError) as (file, _):
        index = read_json(file, path, LARGEST_JSON)
    metadata = index.get("metadata") if isinstance(index, Mapping) else None
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    if type(total) is float and total.is_integer():
        total = int(total)
    if type(total) is not int or not 0 <= total <= LARGEST_WEIGHTS:
        raise ConfigError(
            f"{one_line(path)}: metadata.total_size={brief(total)}: expected a number of bytes, at most "
            "2**60. Download the index again, or move it away."
        )
    return total


def _from_headers(paths: list[Path]) -> int:
    total, budget = 0, LARGEST_JSON
    for path in paths:
        tensor_bytes, header_bytes = _from_header(path, budget)
        total, budget = total + tensor_bytes, budget - header_bytes
    return total


def _from_header(path: Path, budget: int) -> tuple[int, int]:
    """Bytes of the tensors and of the header; a file is a length of 8 bytes, the header and the tensors."""
    name = one_line(path)
    with regular_file(path, ConfigError) as (file, size):
        start = file.read(8)
        length = int.from_bytes(start, "little") if len(start) == 8 else 0
        if not 2 <= length <= size - 8:
            raise ConfigError(
                f"{name}: its header has {length:,} of the file's {size:,} bytes: expected a safetensors "
                "file. Download it again."
            )
        if length > budget:
            raise ConfigError(f"{name}: its header has {length:,} bytes: expected at most {budget:,}.")
        header = parse_json(file.read(length), f"{name}: its header")
    end = max(_tensor_ends(header, name), default=0)
    if end != size - 8 - length:
        raise ConfigError(
            f"{name}: its header lists {brief(end)} bytes of tensors, and {size - 8 - length:,} follow. "
            "Download it again."
        )
    return end, length


def _tensor_ends(header: Any, name: str) -> list[int]:
    """Where each tensor ends."""
    tensors = header.items() if isinstance(header, Mapping) else ()
    ends = []
    for tensor_name, tensor in tensors:
        if tensor_name == "__metadata__":
            continue
        offsets = tensor.get("data_offsets") if isinstance(tensor, Mapping) else None
        if not isinstance(offsets, list) or [type(end) for end in offsets] != [int, int]:
            raise ConfigError(f"{name}: {brief(tensor_name)} has no data_offsets. Download it again.")
        ends.append(offsets[1])
    return ends
