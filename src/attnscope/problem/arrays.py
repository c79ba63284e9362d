"""Number formats, and the checks that an array can be read in place, without a copy."""

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import kind_of
from attnscope.errors import AttentionError, AttentionFormatError
from attnscope.problem.dlpack import shared

# name -> dtype, in this machine's byte order
FORMATS: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float64": np.dtype(np.float64),
}
FORMAT_NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in FORMATS.items()}
FORMAT_LIST = "float32, bfloat16 (ml_dtypes), float16 or float64"

OVERLAP_EFFORT = 10_000  # steps of the exact overlap test; beyond them, arrays count as overlapping


def accumulation_dtype(number_format: str) -> np.dtype[Any]:
    """The dtype of sums: float64 for float64, float32 for every other format."""
    return FORMATS["float64" if number_format == "float64" else "float32"]


def check_array(array: NDArray[Any], name: str) -> None:
    """Raise AttentionFormatError unless the format, byte order and alignment can be read in place."""
    if array.dtype not in FORMAT_NAMES:
        raise AttentionFormatError(not_a_format(array, name))
    if not array.flags.aligned:
        raise AttentionFormatError(
            f"{name} is not aligned in memory, expected aligned numbers. Pass {name}.copy()."
        )


def check_vectors(array: NDArray[Any], name: str) -> None:
    """Raise AttentionFormatError unless check_array() passes and the last axis is contiguous."""
    check_array(array, name)
    if array.ndim and array.strides[-1] != array.itemsize and array.shape[-1] > 1 and array.size:
        raise AttentionFormatError(
            f"{name} has a last axis that is not contiguous: its stride is {array.strides[-1]} bytes, "
            "expected "
            f"{array.itemsize}. Use np.ascontiguousarray({name})."
        )


def read_vectors(given: Any, name: str) -> NDArray[Any]:
    """View an array whose vectors (last axis) can be read in place, or raise AttentionFormatError."""
    array = plain(given, name)
    check_vectors(array, name)
    return array


def plain(given: Any, name: str, *, error: type[AttentionError] = AttentionFormatError) -> NDArray[Any]:
    """View the same memory as an array of no subclass; arrays of other libraries through DLPack.

    Raises `error` if it is no array, not in the CPU's memory, or a masked array, whose mask would be lost.
    """
    kind = type(given)
    if not issubclass(kind, np.ndarray):
        if hasattr(kind, "__dlpack__"):
            return shared(given, name, error=error)
        raise error(not_an_array(given, name))
    if is_masked(given):
        raise error(
            f"{name} is a masked array, expected a plain one: its mask would be lost. "
            f"Pass {name}.data, and which keys are visible as mask=."
        )
    return np.ndarray.view(given, np.ndarray)


def is_masked(given: Any) -> bool:
    """Whether it is a masked array. Compares names, so that numpy.ma need not be imported."""
    return any(kind.__name__ == "MaskedArray" for kind in type(given).__mro__)


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays share memory; True also if that takes too long to find out."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=OVERLAP_EFFORT))  # type: ignore[arg-type]  # the stub lists 0, -1
    except np.exceptions.TooHardError:
        return True


def not_an_array(given: Any, name: str) -> str:
    """The error message for an argument that is not an array."""
    kind = kind_of(given)
    if kind.startswith("torch."):
        way_out = f"Pass {name}.numpy()."
    elif isinstance(given, np.generic | list | tuple):
        way_out = f"Use np.asarray({name}, np.float32)."
    else:
        way_out = f"If it holds numbers, np.asarray({name}, np.float32) may convert it."
    return f"{name} is a {kind}, expected a NumPy array of {FORMAT_LIST}. {way_out}"


def not_a_format(array: NDArray[Any], name: str) -> str:
    """The error message for an array of an unsupported dtype."""
    if array.dtype.kind == "f" and array.dtype.newbyteorder("=") in FORMAT_NAMES:
        return (
            f"{name} is {array.dtype.str}, in the other byte order, expected "
            f"{array.dtype.newbyteorder('=')}. "
            f"Use {name}.astype({name}.dtype.newbyteorder('='))."
        )
    way_out = f"Convert it, for example {name}.astype(np.float32)."
    if array.dtype.kind == "c":
        way_out = f"Pass {name}.real if the imaginary part is 0."
    elif array.dtype.kind not in "biufOV" or array.dtype.names:
        way_out = "Pass the numbers themselves."
    return f"{name} is {' '.join(str(array.dtype).split())[:60]}, expected {FORMAT_LIST}. {way_out}"
