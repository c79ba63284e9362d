"""Keys and values as they are given to a cache."""

from typing import Any

from numpy.typing import NDArray

from attnscope.cache.int8 import quantize
from attnscope.cache.layout import DTYPES
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem import check_vectors, plain


def read_new_tokens(
    key: Any, value: Any, rows: tuple[int, int], dims: tuple[int, int], dtype: str
) -> list[NDArray[Any]]:
    """What is to be stored: keys, values and, for int8, their scales, (sequences, kv_heads, tokens, ...).

    rows are sequences and kv heads, dims the last axes of keys and values.

    Errors
        AttentionShapeError, AttentionFormatError.
    """
    arrays = []
    for name, given, dim in (("key", key, dims[0]), ("value", value, dims[1])):
        array = plain(given, name)
        check_vectors(array, name)
        lead = (None,) * (4 - array.ndim)
        full = array[lead] if array.ndim < 4 else array
        if array.ndim < 2 or full.ndim != 4 or full.shape[:2] != rows or full.shape[3] != dim:
            raise AttentionShapeError(
                f"{name} has shape {list(array.shape)}, expected {_expected(rows, dim)}. "
                "A [tokens, heads, dim] array is passed as x.swapaxes(0, 1)."
            )
        arrays.append(full)
    if arrays[0].shape[2] != arrays[1].shape[2]:
        raise AttentionShapeError(
            f"key has {arrays[0].shape[2]} tokens and value has {arrays[1].shape[2]}, expected a value for each key."
        )
    if dtype == "int8":
        pairs = [quantize(array, name) for array, name in zip(arrays, ("key", "value"), strict=True)]
        return [*(stored for stored, _ in pairs), *(scales for _, scales in pairs)]
    for array, name in zip(arrays, ("key", "value"), strict=True):
        if array.dtype != DTYPES[dtype]:
            raise AttentionFormatError(
                f"{name} is {array.dtype}, expected {dtype}, as the cache. Convert it: {name}.astype({_numpy(dtype)})."
            )
    return arrays


def _expected(rows: tuple[int, int], dim: int) -> str:
    sequences, kv_heads = rows
    if sequences == 1:
        return f"[kv_heads, tokens, dim] = [{kv_heads}, tokens, {dim}]"
    return f"[sequences, kv_heads, tokens, dim] = [{sequences}, {kv_heads}, tokens, {dim}]"


def _numpy(dtype: str) -> str:
    return "ml_dtypes.bfloat16" if dtype == "bfloat16" else f"np.{dtype}"
