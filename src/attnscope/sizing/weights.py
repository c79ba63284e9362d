"""Bytes of the weights: counted where the files are there, else estimated and called so."""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.arguments import brief
from attnscope.errors import ConfigError
from attnscope.sizing.model import ModelDescription
from attnscope.sizing.number_formats import bytes_of

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SHARD = re.compile(r"model-\d+-of-(\d+)\.safetensors")
LONGEST_HEADER = 100 * 2**20  # the format's own limit
LONGEST_INDEX = 2**28


@dataclass(frozen=True)
class Weights:
    """Bytes of the weights; `exact` where they were read from files, and `said` tells how they came about."""

    weight_bytes: int | None
    exact: bool
    said: str


def weights_of(model: ModelDescription, folder: Path | None) -> Weights:
    """From a safetensors index or header beside the config, else from the sizes in it.

    Errors
        ConfigError for an index or header that is none.
    """
    if folder is not None:
        index = folder / INDEX
        if index.is_file():
            return Weights(_from_index(index), True, f"counted in {INDEX}")
        files = _whole_set(folder)
        if files:
            return Weights(
                sum(map(_from_header, files)),
                True,
                f"counted in {', '.join(path.name for path in files[:3])}",
            )
    number = model.weights
    if number is None:
        return Weights(None, False, f"{model.weights_missing}")
    if model.quantized:
        return Weights(None, False, f"{number:,} parameters, quantised in a way that is not read here")
    number_format = model.number_format or "bfloat16"
    return Weights(
        bytes_of(number, number_format),
        False,
        f"estimated: {number:,} parameters in {number_format}, norms and what surrounds the decoder left out",
    )


def _whole_set(folder: Path) -> list[Path]:
    """The one file of all weights, or all shards of a set; other variants of the same weights are not added."""
    single = folder / SINGLE
    if single.is_file():
        return [single]
    shards = [(path, match) for path in sorted(folder.iterdir()) if (match := SHARD.fullmatch(path.name))]
    whole = len(shards) > 0 and all(int(match[1]) == len(shards) for _, match in shards)
    return [path for path, _ in shards] if whole else []


def _from_index(path: Path) -> int:
    """metadata.total_size."""
    if path.stat().st_size > LONGEST_INDEX:
        raise ConfigError(
            f"{path}: an index of {path.stat().st_size:,} bytes. Expected less than {LONGEST_INDEX:,}."
        )
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: no JSON ({error}). Download it again, or move it away.") from None
    metadata = index.get("metadata") if isinstance(index, Mapping) else None
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    if type(total) is float and total.is_integer():
        total = int(total)
    if type(total) is not int or total < 0:
        raise ConfigError(
            f"{path}: metadata.total_size={brief(total)}: expected a number of bytes. Download it again, or move it away."
        )
    return total


def _from_header(path: Path) -> int:
    """The tensors' bytes: 8 bytes that tell how long the header is, the header, and then nothing else."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ConfigError(
                f"{path}: its header is {length:,} bytes of {size:,}: no safetensors. Download it again."
            )
        try:
            header: Any = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: its header is no JSON ({error}). Download it again.") from None
    ends = [0]
    for name, tensor in header.items() if isinstance(header, Mapping) else ():
        offsets = tensor.get("data_offsets") if isinstance(tensor, Mapping) else None
        if name != "__metadata__":
            if not (
                isinstance(offsets, list) and len(offsets) == 2 and all(type(end) is int for end in offsets)
            ):
                raise ConfigError(f"{path}: {brief(name)} has no data_offsets. Download it again.")
            ends.append(offsets[1])
    if max(ends) != size - 8 - length:
        raise ConfigError(
            f"{path}: its header speaks of {max(ends):,} bytes, and {size - 8 - length:,} follow. Download it again."
        )
    return max(ends)
