"""Messages between the judge and a notebook's process: JSON and arrays, nothing that can run.

A message is the length of its header and of its arrays, a header in JSON, and the arrays, each as NumPy's own
file format writes it, without pickles. So a message from a notebook is data and nothing else.
"""

import json
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from attnscope.lesson.unwatched import Suspect, suspects

LONGEST = 1 << 28  # bytes of a message: no question has a longer answer


class WireError(Exception):
    """The other process has ended, or its message cannot be read."""


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message. Raises WireError if the other process no longer reads."""
    arrays = BytesIO()
    header = json.dumps(packed(message, arrays)).encode()
    try:
        stream.write(struct.pack("<QQ", len(header), arrays.tell()) + header + arrays.getvalue())
        stream.flush()
    except (OSError, ValueError) as error:
        raise WireError(str(error)) from error


def receive(read: Callable[[int], bytes]) -> dict[str, Any]:
    """Read one message. `read` returns that many bytes, or fewer if no more will come.

    Raises WireError if there is no message, or none that can be read. A TimeoutError of `read` is passed on.
    """
    try:
        sizes = struct.unpack("<QQ", exactly(read, 16))
        if max(sizes) > LONGEST:
            raise WireError("the message is too long")
        header, arrays = exactly(read, sizes[0]), BytesIO(exactly(read, sizes[1]))
        message = unpacked(json.loads(header), arrays)
    except TimeoutError:  # an OSError too, but the other process may still be there
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, MemoryError) as error:
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
        np.save(arrays, value, allow_pickle=False)
        return {"array": True}
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
    return np.lib.format.read_array(arrays, allow_pickle=False)


def with_suspects(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments in which a suspect's name is replaced by the suspect."""
    name = arguments.get("attention_fn")
    if not isinstance(name, str):
        return arguments
    return {**arguments, "attention_fn": Suspect(suspects(int(arguments["tokens"]))[name])}
