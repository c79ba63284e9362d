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
        logsumexp    (batch, query_heads, query_len), or None
    """

    output: NDArray[np.float64]
    logsumexp: NDArray[np.float64] | None
    bits: bytes

    @classmethod
    def of(cls, output: NDArray[Any], logsumexp: NDArray[Any] | None) -> "Answer":
        """Widen copies: what the function does to its arrays later does not show here."""
        wide = None if logsumexp is None else logsumexp.astype(np.float64)
        bits = output.tobytes() + (b"" if logsumexp is None else logsumexp.tobytes())
        return cls(output.astype(np.float64), wide, bits)
