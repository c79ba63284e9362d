"""Arrays as they may be given: what can be read without a copy, and what is said of all others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import kind_of
from attnscope.errors import AttentionError, AttentionFormatError
from attnscope.problem.formats import FORMAT_LIST, FORMAT_NAMES


def check_array(array: NDArray[Any], name: str) -> None:
    """Check that an array's numbers can be read where they lie: format, byte order, alignment.

    Errors
        AttentionFormatError.
    """
    if array.dtype not in FORMAT_NAMES:
        raise AttentionFormatError(not_a_format(array, name))
    if not array.flags.aligned:
        raise AttentionFormatError(
            f"{name} is not aligned in memory, expected aligned numbers. Pass {name}.copy()."
        )


def check_vectors(array: NDArray[Any], name: str) -> None:
    """Check that an array's vectors, along the last axis, can be read where they lie.

    Errors
        AttentionFormatError.
    """
    check_array(array, name)
    if array.ndim and array.strides[-1] != array.itemsize and array.shape[-1] > 1 and array.size:
        raise AttentionFormatError(
            f"{name} has a last axis that is not contiguous: its stride is {array.strides[-1]} bytes, expected "
            f"{array.itemsize}. Use np.ascontiguousarray({name})."
        )


def plain(given: Any, name: str, *, error: type[AttentionError] = AttentionFormatError) -> NDArray[Any]:
    """The same memory as an array of no subclass.

    Errors
        `error` for what is no array, and for masked arrays, whose mask would be lost.
    """
    kind = type(given)
    if not issubclass(kind, np.ndarray):
        raise error(not_an_array(given, name))
    if is_masked(given):
        raise error(
            f"{name} is a masked array, expected a plain one: its mask would be lost. "
            f"Pass {name}.data, and which keys are visible as mask=."
        )
    return np.ndarray.view(given, np.ndarray)


def is_masked(given: Any) -> bool:
    """Whether it is a masked array, told by name: numpy.ma need not be loaded for it."""
    return any(kind.__name__ == "MaskedArray" for kind in type(given).__mro__)


def not_an_array(given: Any, name: str) -> str:
    """The error's text for something that is no array."""
    kind = kind_of(given)
    if kind.startswith("torch."):
        way_out = f"Pass {name}.numpy()."
    elif isinstance(given, np.generic | list | tuple):
        way_out = f"Use np.asarray({name}, np.float32)."
    else:
        way_out = f"Where it holds numbers, np.asarray({name}, np.float32) may make one."
    return f"{name} is a {kind}, expected a NumPy array of {FORMAT_LIST}. {way_out}"


def not_a_format(array: NDArray[Any], name: str) -> str:
    """The error's text for an array of the wrong dtype."""
    if array.dtype.kind == "f" and array.dtype.newbyteorder("=") in FORMAT_NAMES:
        return (
            f"{name} is {array.dtype.str}, in the other byte order, expected {array.dtype.newbyteorder('=')}. "
            f"Use {name}.astype({name}.dtype.newbyteorder('='))."
        )
    way_out = f"Convert it, for example {name}.astype(np.float32)."
    if array.dtype.kind == "c":
        way_out = f"Pass {name}.real where the imaginary part plays no part."
    elif array.dtype.kind not in "biufOV" or array.dtype.names:
        way_out = "Pass the numbers that are meant."
    return f"{name} is {' '.join(str(array.dtype).split())[:60]}, expected {FORMAT_LIST}. {way_out}"
