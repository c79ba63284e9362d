"""Keys and values as int8, with one scale per token and head."""

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError
from attnscope.problem import Array, read_vectors

LARGEST = 127  # not -128: the range is the same on both sides


def quantize(vectors: Array, name: str = "vectors") -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round vectors to int8 multiples of a scale per vector.

    `scale = max |x| / 127`, `stored = round(x / scale)`, and x is read back as `stored * scale`.

    Parameters
    ----------
    vectors : ndarray, shape (..., dim)
        float32, bfloat16 (ml_dtypes) or float16.
    name : str
        What error messages call the array.

    Returns
    -------
    stored : ndarray of int8, shape (..., dim)
        From -127 to 127.
    scales : ndarray of float32, shape (...)
        One per vector.

    Raises
    ------
    AttentionFormatError
        For arrays of another format, and for NaN and infinities, which int8 cannot hold.

    Notes
    -----
    `|x - stored * scale| <= max |x| / 254`, half a step, up to the float32 rounding of scale, quotient and
    product: a factor of `1 + 2**-15`, and `2**-142` if the scale is subnormal.

    Examples
    --------
    >>> stored, scales = quantize(np.array([[1.0, -2.0, 0.25]], np.float32))
    >>> stored, scales * 127
    (array([[  64, -127,   16]], dtype=int8), array([2.], dtype=float32))
    """
    array = read_vectors(vectors, name)
    if array.dtype == np.float64 or not array.ndim:
        raise AttentionFormatError(
            f"{name} is {array.dtype} {list(array.shape)}, expected float32, bfloat16 or float16 vectors "
            "[..., dim]. "
            f"Use {name}.astype(np.float32)."
        )
    wide = array.astype(np.float32, copy=False)
    largest = np.abs(wide).max(axis=-1, initial=0.0)
    if not np.isfinite(largest).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(largest))[0]]
        raise AttentionFormatError(
            f"{name}{where} holds a NaN or an infinity, which int8 cannot hold. "
            "Find its source, or use a float32, bfloat16 or float16 cache."
        )
    scales = (largest / np.float32(LARGEST)).astype(np.float32)
    steps = np.where(scales == 0, np.float32(1), scales)[..., None]
    # a subnormal scale is rounded coarsely: the quotient may lie a little beyond the range
    stored = np.clip(np.rint(wide / steps), -LARGEST, LARGEST).astype(np.int8)
    return stored, scales


def dequantize(stored: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float32 numbers that the kernel reads: each product is rounded once."""
    return stored.astype(np.float32) * scales[..., None]
