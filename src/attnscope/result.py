"""Results that more than one room returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PartialAttention:
    """Attention over some of the keys, with the logsumexp that merges it with the rest.

    Both arrays lack the axes that the query lacks: a query with 2 axes has an output with 2 and a logsumexp
    with 1.

    Parameters
    ----------
    output : ndarray, shape (batch, query_heads, query_len, value_dim)
        float32, also for bfloat16 and float16 inputs, so that merging rounds once; float64 for float64.
    logsumexp : ndarray, shape (batch, query_heads, query_len)
        Natural log of the softmax denominator, in the same format; -inf if no key is visible.
    """

    output: NDArray[Any]
    logsumexp: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Gradients:
    """The gradients of a loss with respect to the inputs of attention.

    Parameters
    ----------
    query, key, value : ndarray
        Of the shapes of the inputs.
    bias : ndarray, or None
        Of the shape of the bias: axes over which it was broadcast are summed. None without a bias, or if it
        was not asked for.
    sinks : ndarray, shape (query_heads,), or None
        None without sinks.

    Notes
    -----
    float64 from the reference; from attention_gradients(), query, key and value are in the format of the
    inputs, bias and sinks in that of the sums.
    """

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    bias: NDArray[Any] | None
    sinks: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of the attention weights of each row of one call.

    w[i, j] is the weight of key j in row i, renormalised over the visible keys: each row sums to 1, with or
    without a sink. All arrays lack the axes that the query lacks.

    Parameters
    ----------
    logsumexp : ndarray, shape (batch, query_heads, query_len)
        Natural log of the softmax denominator; -inf if no key is visible.
    entropy : ndarray, shape (batch, query_heads, query_len)
        -sum_j w ln w, in nats.
    max_weight : ndarray, shape (batch, query_heads, query_len)
        The largest weight; 0 if no key is visible.
    max_key : ndarray of int, shape (batch, query_heads, query_len)
        The key with the largest score, the first of equals; -1 if no key is visible.
    first_mass : ndarray, shape (batch, query_heads, query_len)
        Sum of w over the first keys, where attention sinks are.
    mean_distance : ndarray, shape (batch, query_heads, query_len)
        sum_j w |position - j|, in tokens.
    sink_mass : ndarray, shape (batch, query_heads, query_len)
        exp(sink - logsumexp), the sink's share of the softmax; 0 without a sink.
    visible_keys : ndarray of int, shape (batch, query_heads, query_len)
        Number of keys that the row sees.
    segment_mass : ndarray, shape (batch, query_heads, query_len, segments), or None
        Sum of w over the keys of each segment.
    top_keys : ndarray of int, shape (batch, query_heads, query_len, top_keys), or None
        The keys with the largest weights, largest first; -1 past the last visible key.
    top_weights : ndarray, shape (batch, query_heads, query_len, top_keys), or None
        Their weights.
    received : ndarray, shape (batch, query_heads, key_len), or None
        sum_i w, the attention that each key receives.
    block_map : ndarray, shape (batch, query_heads, map_rows, map_columns), or None
        Mean over a block's queries of their weight on a block of keys.

    Notes
    -----
    float32 and int32 from the kernel, float64 and int32 from the reference. In a row of NaN, keys are -1.
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

    @property
    def query_len(self) -> int:
        """Number of queries."""
        return int(self.entropy.shape[-1])

    @property
    def effective_keys(self) -> NDArray[Any]:
        """exp(entropy): how many keys of equal weight have this entropy; 1 for a row that sees one key."""
        keys: NDArray[Any] = np.exp(self.entropy)
        return keys

    @property
    def normalized_entropy(self) -> NDArray[Any]:
        """Entropy over its maximum, ln(visible keys): 0 is peaked at one key, 1 is uniform.

        0 if a row sees at most one key.
        """
        most = np.log(np.maximum(self.visible_keys, 1))
        return np.where(most > 0, self.entropy / np.where(most > 0, most, 1.0), 0.0)
