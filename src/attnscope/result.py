"""Results that more than one room returns."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Partial:
    """Attention over some of the keys, with what is needed to merge it with the rest.

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        log_normalizer    (batch, query_heads, query_len)      natural log; -inf: no key seen
        without the axes that the query came without: a query of two axes has an output of two, a normalizer of one
    Precision
        float32, also for bfloat16 and float16 inputs, so that merging rounds once; float64 for float64.
    """

    output: NDArray[Any]
    log_normalizer: NDArray[Any]
