"""Messages between a judge and the process of a notebook: JSON and arrays, and nothing that could run.

A message is a header in JSON, behind its length, and the arrays that it counts, each as NumPy's own file format writes
it, without pickles. What a notebook sends is data, whoever wrote the notebook.
"""

import json
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from attnscope.lesson.suspects import Suspect, suspects

LONGEST = 1 << 28  # bytes of a message: more is no answer to any question


class WireError(Exception):
    """The other side is gone, or speaks another language."""


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message.

    Errors
        WireError where nobody reads any more.
    """
    arrays = BytesIO()
    header = json.dumps(packed(message, arrays)).encode()
    try:
        stream.write(struct.pack("<QQ", len(header), arrays.tell()) + header + arrays.getvalue())
        stream.flush()
    except (OSError, ValueError) as error:
        raise WireError(str(error)) from error


def receive(read: Callable[[int], bytes]) -> dict[str, Any]:
    """Read one message; `read` gives so many bytes, or fewer where no more will come.

    Errors
        WireError where there is none, or none that can be read.
    """
    try:
        sizes = struct.unpack("<QQ", exactly(read, 16))
        if max(sizes) > LONGEST:
            raise WireError("a message of a size that none has")
        header, arrays = exactly(read, sizes[0]), BytesIO(exactly(read, sizes[1]))
        message = unpacked(json.loads(header), arrays)
    except TimeoutError:  # an OSError too, but the other side may still be there
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, MemoryError) as error:
        raise WireError(str(error)) from error
    if not isinstance(message, dict):
        raise WireError("a message that is no object")
    return message


def exactly(read: Callable[[int], bytes], count: int) -> bytes:
    """So many bytes."""
    data = read(count)
    if data is None or len(data) < count:
        raise WireError("the other side is gone")
    return data


def packed(value: Any, arrays: BytesIO) -> Any:
    """A value as JSON; its arrays are written one behind the other."""
    if isinstance(value, dict):
        return {"of": {str(name): packed(each, arrays) for name, each in value.items()}}
    if isinstance(value, list | tuple):
        return [packed(each, arrays) for each in value]
    if isinstance(value, Suspect):
        return {"suspect": repr(value)[1:-1]}
    if isinstance(value, np.ndarray):
        if value.dtype == object:  # a whole number, which may be too long for NumPy's
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
    """Arguments whose suspect came by its name, with the suspect itself."""
    name = arguments.get("attention_fn")
    if not isinstance(name, str):
        return arguments
    return {**arguments, "attention_fn": Suspect(suspects(int(arguments["tokens"]))[name])}
