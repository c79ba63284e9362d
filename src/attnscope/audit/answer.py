"""What a function returned, in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answer:
    """One call's result, widened; the bits it came in are kept for comparisons of bits.

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        log_normalizer    (batch, query_heads, query_len), or None
    """

    output: NDArray[np.float64]
    log_normalizer: NDArray[np.float64] | None
    bits: bytes

    @classmethod
    def of(cls, output: NDArray[Any], log_normalizer: NDArray[Any] | None) -> "Answer":
        """Widen copies: what the function does to its arrays later does not show here."""
        wide = None if log_normalizer is None else log_normalizer.astype(np.float64)
        bits = output.tobytes() + (b"" if log_normalizer is None else log_normalizer.tobytes())
        return cls(output.astype(np.float64), wide, bits)
