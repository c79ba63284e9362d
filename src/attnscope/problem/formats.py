"""The number formats of arrays, and what each is accumulated in."""

from typing import Any

import ml_dtypes
import numpy as np

# name -> dtype, in this machine's byte order
FORMATS: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float64": np.dtype(np.float64),
}
FORMAT_NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in FORMATS.items()}
FORMAT_LIST = "float32, bfloat16 (ml_dtypes), float16 or float64"


def accumulation_dtype(number_format: str) -> np.dtype[Any]:
    """What sums are taken in: float64 for float64, float32 for everything else."""
    return FORMATS["float64" if number_format == "float64" else "float32"]
