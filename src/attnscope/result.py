"""Results that more than one room returns."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PartialAttention:
    """Attention over some of the keys, with what is needed to merge it with the rest.

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        logsumexp    (batch, query_heads, query_len)      natural log; -inf: no key seen
        without the axes that the query came without: a query of two axes has an output of two, a normalizer of one
    Precision
        float32, also for bfloat16 and float16 inputs, so that merging rounds once; float64 for float64.
    """

    output: NDArray[Any]
    logsumexp: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Where the rows of one call of attention looked.

    w[i, j] is the weight of key j in row i, over the visible keys alone: each row sums to 1, with or without a sink.

    Shapes
        logsumexp    (batch, query_heads, query_len)                natural log; -inf: no key seen
        entropy           (batch, query_heads, query_len)                -sum_j w ln w, in nats
        max_weight        (batch, query_heads, query_len)                of the strongest key; 0: no key seen
        max_key           (batch, query_heads, query_len)                the strongest key, the first of equals; -1: none
        first_mass        (batch, query_heads, query_len)                sum of w over the first keys: attention sinks
        mean_distance     (batch, query_heads, query_len)                sum_j w |position - j|, in tokens
        sink_mass         (batch, query_heads, query_len)                e^(sink - logsumexp), the sink's share; 0: no sink
        visible_keys      (batch, query_heads, query_len)                how many keys the row may see
        segment_mass      (batch, query_heads, query_len, segments)      sum of w over each segment's keys, or None
        top_keys          (batch, query_heads, query_len, top_keys)      strongest first; -1 past the last; or None
        top_weights       (batch, query_heads, query_len, top_keys)      their weights; or None
        received          (batch, query_heads, key_len)                  sum_i w: what each key is given; or None
        block_map               (batch, query_heads, map_rows, map_columns)    mean over a block's queries of the weight on
                                                                         a block of keys; or None
        without the axes that the query came without
    Precision
        float32 and int32 from the kernel, float64 and int32 from the reference. A row that is NaN has no keys: -1.
    """

    logsumexp: NDArray[Any]
    entropy: NDArray[Any]
    max_weight: NDArray[Any]
    max_key: NDArray[Any]
    first_mass: NDArray[Any]
    mean_distance: NDArray[Any]
    sink_mass: NDArray[Any]
    visible_keys: NDArray[Any]
    segment_mass: NDArray[Any] | None
    top_keys: NDArray[Any] | None
    top_weights: NDArray[Any] | None
    received: NDArray[Any] | None
    block_map: NDArray[Any] | None
