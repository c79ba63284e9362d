"""The front door: attention(), and attention over parts of the keys."""

from typing import Any, Literal, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from attnscope import kernels, reference
from attnscope.errors import AttentionError
from attnscope.problem import (
    Array,
    AttentionOptions,
    AttentionProblem,
    Mask,
    ScoringOptions,
    accumulation_dtype,
    check_out,
    describe,
)
from attnscope.result import PartialAttention

Out = TypeVar("Out", bound=Array)
Implementation = Literal["auto", "kernel", "reference"]


class CallOptions(AttentionOptions, total=False):
    """The keyword arguments of attention(), without `out`: mask, scoring options, and how to compute."""

    threads: int | None
    implementation: Implementation


@overload
def attention(
    query: Array, key: Array, value: Array, *, out: None = None, **options: Unpack[CallOptions]
) -> NDArray[Any]: ...


@overload
def attention(query: Array, key: Array, value: Array, *, out: Out, **options: Unpack[CallOptions]) -> Out: ...


def attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Mask | Array | None = None,
    out: Array | None = None,
    threads: int | None = None,
    implementation: Implementation = "auto",
    **scoring: Unpack[ScoringOptions],
) -> Array:
    """Compute softmax attention: mix the values by how well each key matches the query.

    `output[i] = sum_j softmax_j(score[i, j]) value[j]`, with
    `score[i, j] = cap(scale * query[i] . key[j]) + bias[i, j] - alibi_slope * |i + key_len - query_len - j|`.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
        float32, bfloat16 (ml_dtypes), float16 or float64. The batch axis may be absent, or batch and heads.
    key : ndarray, shape (batch, kv_heads, key_len, key_dim)
        Query head h reads kv head h // (query_heads // kv_heads).
    value : ndarray, shape (batch, kv_heads, key_len, value_dim)
    mask : Mask or ndarray of bool, optional
        Which keys each query sees: Causal(), Window(...), or an array (True = visible) that broadcasts to
        (batch, query_heads, query_len, key_len). None: every key.
    out : ndarray, shape (batch, query_heads, query_len, value_dim), optional
        Receives the output, in the query's format; also returned.
    threads : int, optional
        The largest number of threads; kernels.default_threads() by default.
    implementation : {"auto", "kernel", "reference"}, default "auto"
        "kernel" is compiled and computes in float32; "reference" is readable NumPy in float64. "auto" takes
        the kernel if it can run the problem: not float64 arrays, nor CPUs without fused multiply-add.
    **scoring : Unpack[ScoringOptions]
        How scores are made. Each is optional:

        scale : float, default 1 / sqrt(key_dim)
            Multiplies the dot products.
        softcap : float
            cap(s) = softcap * tanh(s / softcap).
        bias : ndarray, broadcastable to (batch, query_heads, query_len, key_len)
            Added to the scores. -inf hides a key.
        alibi_slopes : array_like, shape (query_heads,)
            What the score loses per token of distance.
        sinks : array_like, shape (query_heads,)
            One logit per query head that joins the softmax denominator and has no value.

    Returns
    -------
    ndarray, shape (batch, query_heads, query_len, value_dim)
        Of the query's rank and format. The row of a query that sees no key is 0.

    Raises
    ------
    AttentionError
        One of its kinds, if an argument is wrong. The message names the argument and what to do.
    UnsupportedProblemError
        If implementation="kernel" and the kernel cannot run the problem; kernels.why_not() returns the
        reason.
    TypeError
        For an unknown option.

    Notes
    -----
    Arrays of other libraries that export DLPack from the CPU's memory, such as torch's tensors and JAX's
    arrays, are read in place, and written as `out`; without `out`, the result is a NumPy array.

    Arrays may have any strides if the last axis is contiguous: pass [batch, tokens, heads, dim] as
    x.swapaxes(1, 2).

    float32, bfloat16 and float16 are accumulated in float32, float64 in float64. The bits of an output row
    depend on that row's query, keys, values, mask and scoring only, not on the batch, threads, strides,
    chunks or CPU level.

    Time is O(query_len * visible keys); memory beyond the arrays is O(query_len).

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> two_keys = np.array([[1.0], [1.0]], np.float32)  # equal keys get equal weights
    >>> attention(np.array([[3.0]], np.float32), two_keys, np.array([[10.0], [20.0]], np.float32))
    array([[15.]], dtype=float32)
    """
    problem, operands = describe(query, key, value, mask=mask, **scoring)
    written = None if out is None else check_out(out, problem, operands)
    if chosen(implementation, problem) == "kernel":
        rows = None if written is None else written[(None,) * (4 - operands.rank)]
        output, _ = kernels.run(problem, operands, out=rows, threads=threads)
        return output[operands.added_axes] if out is None else out
    computed = reference.attention(query, key, value, mask=mask, **scoring)
    if out is None or written is None:
        return computed.astype(operands.query.dtype)
    written[...] = computed
    return out


def partial_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Mask | Array | None = None,
    threads: int | None = None,
    implementation: Implementation = "auto",
    **scoring: Unpack[ScoringOptions],
) -> PartialAttention:
    """Compute attention over some of the keys, with the logsumexp that merge_partials() needs.

    logsumexp[i] = log(sum_j exp(score[i, j]) + exp(sink))

    Parameters
    ----------
    query, key, value : ndarray
        As in attention(), with some of the keys and their values.
    mask : Mask or ndarray of bool, optional
        Which of these keys each query sees. Positions count from these keys: give a Causal or Window an
        offset.
    threads, implementation
        As in attention().
    **scoring : Unpack[ScoringOptions]
        scale, softcap, bias, alibi_slopes and sinks, as in attention(). Pass the sinks to one of the parts
        only.

    Returns
    -------
    PartialAttention
        Without the axes that the query lacks.

    Raises
    ------
    AttentionError, TypeError
        As attention() does.

    Notes
    -----
    Output and logsumexp are float32, also for bfloat16 and float16, so that merging rounds once; float64
    for float64.

    References
    ----------
    Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> query, ones = np.zeros((1, 1), np.float32), np.ones((4, 1), np.float32)
    >>> part = partial_attention(query, ones, ones)
    >>> float(np.exp(part.logsumexp[0]))  # four keys with score 0: 4 * exp(0)
    4.0
    """
    problem, operands = describe(query, key, value, mask=mask, **scoring)
    if chosen(implementation, problem) == "kernel":
        output, logsumexp = kernels.run(
            problem, operands, logsumexp=True, output_format="float32", threads=threads
        )
        assert logsumexp is not None
        return PartialAttention(operands.like_query(output), operands.like_query(logsumexp))
    computed = reference.partial_attention(query, key, value, mask=mask, **scoring)
    accumulated = accumulation_dtype(problem.number_format)
    return PartialAttention(computed.output.astype(accumulated), computed.logsumexp.astype(accumulated))


def merge_partials(*partials: PartialAttention) -> PartialAttention:
    """Combine attention over disjoint sets of keys into attention over all of them.

    output = sum_p exp(logsumexp_p) output_p / sum_p exp(logsumexp_p)

    Parameters
    ----------
    *partials : PartialAttention
        Attention of the same queries over disjoint sets of keys: equal shapes.

    Returns
    -------
    PartialAttention
        Attention over the union of the keys.

    Raises
    ------
    AttentionShapeError
        If there is no partial, or their shapes differ.

    Notes
    -----
    Computed in float64, rounded once to the format of the partials. A partial without visible keys has the
    logsumexp -inf and does not contribute.

    References
    ----------
    Milakov & Gimelshein 2018, arXiv:1805.02867, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> query, key = np.zeros((1, 1), np.float32), np.zeros((3, 1), np.float32)
    >>> value = np.array([[1.0], [2.0], [6.0]], np.float32)
    >>> first = partial_attention(query, key[:2], value[:2])
    >>> rest = partial_attention(query, key[2:], value[2:])
    >>> merge_partials(first, rest).output  # (1 + 2 + 6) / 3
    array([[3.]], dtype=float32)
    """
    whole = reference.merge_partials(*partials)
    accumulated = np.result_type(*(part.output.dtype for part in partials))
    return PartialAttention(whole.output.astype(accumulated), whole.logsumexp.astype(accumulated))


def chosen(implementation: str, problem: AttentionProblem) -> str:
    """Resolve "auto" for this problem, and check a name: "kernel" or "reference"."""
    if implementation == "auto":
        return "kernel" if kernels.why_not(problem) is None else "reference"
    if implementation not in ("kernel", "reference"):
        raise AttentionError(f"implementation={implementation!r}: expected 'auto', 'kernel' or 'reference'.")
    return implementation
