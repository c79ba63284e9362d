"""The front door: attention(), and attention in parts."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope import kernels, reference
from attnscope.errors import AttentionError
from attnscope.problem import AttentionProblem, Mask, check_out, describe
from attnscope.result import PartialAttention

Implementation = Literal["auto", "kernel", "reference"]


def attention(  # noqa: PLR0913  # what a score is made of, each by its name
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    mask: Mask | NDArray[np.bool_] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[Any] | Sequence[float] | None = None,
    sinks: NDArray[Any] | Sequence[float] | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    implementation: Implementation = "auto",
) -> NDArray[Any]:
    """Mix the values by how well each key answers the query.

    output[i] = sum_j softmax_j(score[i, j]) value[j]
    score[i, j] = cap(scale * query[i] . key[j]) + bias[i, j] - slope * |i + key_len - query_len - j|

    Shapes
        query     (batch, query_heads, query_len, key_dim)     or without batch, or without batch and heads
        key       (batch, kv_heads, key_len, key_dim)          query head h reads kv head h // (query_heads // kv_heads)
        value     (batch, kv_heads, key_len, value_dim)
        bias      broadcasts to (batch, query_heads, query_len, key_len); -inf hides a key
        alibi_slopes    (query_heads,)                               ALiBi: what a token of distance costs
        sinks     (query_heads,)                               a logit that joins the normalizer, without a value
        output    (batch, query_heads, query_len, value_dim)   of the query's rank and format
        Any strides, the last axis contiguous: a [batch, tokens, heads, dim] user passes x.swapaxes(1, 2).
    Arguments
        mask      which keys each query sees: Causal(), Window(...), a bool array (True = visible), or None: all
        scale     multiplies the dot products; 1/sqrt(key_dim) unless given
        softcap   cap(s) = softcap * tanh(s / softcap)
        out       an array to write into, and return
        threads   how many at the most; attnscope.kernels.default_threads() unless given
        implementation    "kernel": compiled, float32; "reference": readable, float64; "auto": the kernel wherever
                          it can run, the reference elsewhere (float64 arrays, CPUs without fused multiply-add).
                          attnscope.kernels.why_not() says why. A request by name never falls back.
    Precision
        float32, bfloat16 and float16 are accumulated in float32, float64 in float64. The bits of a row depend on that
        row's query, keys, values, mask and scoring alone: not on batch, threads, strides, chunking or CPU level.
    Errors
        AttentionError and its kinds: each names the argument, what was expected, what came, and the way out.
    Source
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.

    >>> import numpy as np
    >>> two_keys = np.array([[1.0], [1.0]], np.float32)  # equal keys: equal weights
    >>> attention(np.array([[3.0]], np.float32), two_keys, np.array([[10.0], [20.0]], np.float32))
    array([[15.]], dtype=float32)
    """
    options: dict[str, Any] = {
        "mask": mask, "scale": scale, "softcap": softcap, "bias": bias, "alibi_slopes": alibi_slopes, "sinks": sinks,
    }  # fmt: skip
    problem, operands = describe(query, key, value, **options)
    if out is not None:
        check_out(out, problem, operands)
    drop = (0,) * (4 - operands.rank)
    if chosen(implementation, problem) == "kernel":
        rows = None if out is None else out[(None,) * len(drop)]
        output, _ = kernels.run(problem, operands, out=rows, threads=threads)
        return output[drop] if out is None else out
    computed = reference.attention(query, key, value, **options)
    if out is None:
        return computed.astype(query.dtype)
    out[...] = computed
    return out


def partial_attention(  # noqa: PLR0913  # as attention()
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    mask: Mask | NDArray[np.bool_] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[Any] | Sequence[float] | None = None,
    sinks: NDArray[Any] | Sequence[float] | None = None,
    threads: int | None = None,
    implementation: Implementation = "auto",
) -> PartialAttention:
    """Attention over some of the keys, with the logsumexp that merge_partials() needs to join it to the rest.

    logsumexp[i] = log(sum_j e^score[i, j] + e^sink)      natural log; -inf: no key seen

    Shapes, arguments, errors
        As in attention(). Give the sinks to one of the parts only.
    Precision
        Output and logsumexp are float32, also for bfloat16 and float16, so that merging rounds once;
        float64 for float64.

    >>> import numpy as np
    >>> part = partial_attention(np.zeros((1, 1), np.float32), np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))
    >>> float(np.exp(part.logsumexp[0]))  # four keys that score 0: the sum of four times e^0
    4.0
    """
    options: dict[str, Any] = {
        "mask": mask, "scale": scale, "softcap": softcap, "bias": bias, "alibi_slopes": alibi_slopes, "sinks": sinks,
    }  # fmt: skip
    problem, operands = describe(query, key, value, **options)
    if chosen(implementation, problem) == "kernel":
        output, logsumexp = kernels.run(
            problem, operands, logsumexp=True, output_format="float32", threads=threads
        )
        assert logsumexp is not None
        drop = (0,) * (4 - operands.rank)
        return PartialAttention(output[drop], logsumexp[drop])
    computed = reference.partial_attention(query, key, value, **options)
    accumulated = np.float64 if problem.number_format == "float64" else np.float32
    return PartialAttention(computed.output.astype(accumulated), computed.logsumexp.astype(accumulated))


def merge_partials(*partials: PartialAttention) -> PartialAttention:
    """Combine attention over disjoint sets of keys; merging all parts is the whole.

    output = sum_p e^(logsumexp_p) output_p / sum_p e^(logsumexp_p)

    Shapes
        As in PartialAttention; all parts alike.
    Precision
        Computed in float64, rounded once to the parts' own format.
    Errors
        AttentionError for no part, or parts of different shapes.
    Source
        Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    >>> import numpy as np
    >>> query, key = np.zeros((1, 1), np.float32), np.zeros((3, 1), np.float32)
    >>> value = np.array([[1.0], [2.0], [6.0]], np.float32)
    >>> merge_partials(partial_attention(query, key[:2], value[:2]), partial_attention(query, key[2:], value[2:])).output
    array([[3.]], dtype=float32)
    """
    whole = reference.merge_partials(*partials)
    accumulated = np.result_type(*(part.output.dtype for part in partials))
    return PartialAttention(whole.output.astype(accumulated), whole.logsumexp.astype(accumulated))


def chosen(implementation: str, problem: AttentionProblem) -> str:
    """What "auto" comes to for this problem, and a name itself: "kernel" or "reference"."""
    if implementation == "auto":
        return "kernel" if kernels.why_not(problem) is None else "reference"
    if implementation not in ("kernel", "reference"):
        raise AttentionError(f"implementation={implementation!r}: expected 'auto', 'kernel' or 'reference'.")
    return implementation
