"""Messages between the judge and a notebook's process: JSON and arrays, nothing that can run.

A message is the length of its header and of its arrays, a header in JSON, and the numbers of the arrays. So
a message from a notebook is data and nothing else. Its lengths are checked before anything is read, and the
size of an array before it is made, so that no forged message costs memory.
"""

import json
import math
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.unwatched import Suspect, suspects

MOST_HEADER_BYTES = 1 << 16
MOST_ARRAY_BYTES = 8 << 20  # twice the longest question; the longest right answer is a fiftieth of it
MOST_AXES = 8


class WireError(Exception):
    """The other process has ended, or its message cannot be read."""


def encoded(message: dict[str, Any]) -> bytes:
    """A message as bytes."""
    arrays = BytesIO()
    header = json.dumps(packed(message, arrays)).encode()
    return struct.pack("<QQ", len(header), arrays.tell()) + header + arrays.getvalue()


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message. Raises WireError if the other process no longer reads."""
    try:
        stream.write(encoded(message))
        stream.flush()
    except (OSError, ValueError) as error:
        raise WireError(str(error)) from error


def receive(read: Callable[[int], bytes]) -> dict[str, Any]:
    """Read one message. `read` returns that many bytes, or fewer if no more will come.

    Raises WireError if there is no message, or it is too long or cannot be read. A TimeoutError of `read` is
    passed on.
    """
    try:
        sizes = struct.unpack("<QQ", exactly(read, 16))
        if sizes[0] > MOST_HEADER_BYTES or sizes[1] > MOST_ARRAY_BYTES:
            raise WireError("the message is too long")
        header, arrays = exactly(read, sizes[0]), BytesIO(exactly(read, sizes[1]))
        message = unpacked(json.loads(header), arrays)
    except TimeoutError:  # an OSError too, but the other process may still be there
        raise
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:
        raise WireError(str(error)) from error
    if not isinstance(message, dict):
        raise WireError("the message is not an object")
    return message


def exactly(read: Callable[[int], bytes], count: int) -> bytes:
    """That many bytes, or a WireError."""
    data = read(count)
    if data is None or len(data) < count:
        raise WireError("the process has ended")
    return data


def packed(value: Any, arrays: BytesIO) -> Any:
    """A value as JSON; its arrays are appended to `arrays`."""
    if isinstance(value, dict):
        return {"of": {str(name): packed(each, arrays) for name, each in value.items()}}
    if isinstance(value, list | tuple):
        return [packed(each, arrays) for each in value]
    if isinstance(value, Suspect):
        return {"suspect": repr(value)[1:-1]}
    if isinstance(value, np.ndarray):
        if value.dtype == object:  # a whole number, which may be too long for NumPy's formats
            return {"whole": str(value[()])}
        arrays.write(value.tobytes())
        return {"array": value.dtype.str, "shape": list(value.shape)}
    return value.item() if isinstance(value, np.generic) else value


def unpacked(value: Any, arrays: BytesIO) -> Any:
    """The value that was packed."""
    if isinstance(value, list):
        return [unpacked(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    if "of" in value:
        return {name: unpacked(each, arrays) for name, each in value["of"].items()}
    if "suspect" in value:
        return str(value["suspect"])
    if "whole" in value:
        return np.asarray(int(value["whole"]), dtype=object)
    return array_of(np.dtype(str(value["array"])), list(value["shape"]), arrays)


def array_of(dtype: np.dtype[Any], shape: list[Any], arrays: BytesIO) -> NDArray[Any]:
    """The next array. Raises ValueError unless its numbers are there."""
    if dtype.kind not in "biuf" or len(shape) > MOST_AXES:
        raise ValueError("expected an array of numbers")
    if not all(isinstance(size, int) and 0 <= size <= MOST_ARRAY_BYTES for size in shape):
        raise ValueError("expected sizes")
    data = bytearray(arrays.read(math.prod(shape) * dtype.itemsize))
    return np.ndarray(shape, dtype, data)  # fails if bytes are missing


def with_suspects(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments in which a suspect's name is replaced by the suspect."""
    name = arguments.get("attention_fn")
    if not isinstance(name, str):
        return arguments
    return {**arguments, "attention_fn": Suspect(suspects(int(arguments["tokens"]))[name])}
