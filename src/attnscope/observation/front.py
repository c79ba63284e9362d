"""observe(): attention(), with statistics of its weights."""

from typing import Any, Unpack

from numpy.typing import NDArray

from attnscope import kernels, reference
from attnscope.attention import Implementation, chosen
from attnscope.observation.observation import Observation
from attnscope.problem import Array, Mask, ScoringOptions, Segments, describe, read_questions


def observe(  # noqa: PLR0913  # attention()'s arguments, and one for each statistic
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Mask | Array | None = None,
    threads: int | None = None,
    implementation: Implementation = "auto",
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool | NDArray[Any] = False,
    block_map_size: int | None = None,
    **scoring: Unpack[ScoringOptions],
) -> Observation:
    """Compute attention, and statistics of each row's weights, without the matrix of weights.

    Parameters
    ----------
    query, key, value : ndarray
        As in attention().
    mask, threads, implementation
        As in attention().
    segments : array_like of int, or mapping of str to (start, end), optional
        The segment of each key: integers from 0 to 63, of shape (key_len,) or (batch, key_len); or named
        ranges that cover all keys.
    first_keys : int, default 4
        How many of the first keys count for first_mass, the attention sink.
    top_keys : int, default 0
        How many of each row's strongest keys are kept.
    received : bool or ndarray, default False
        Whether to sum what each key receives from all queries. An array gives each query a factor: floats
        of shape (query_len,), (batch, query_len) or (batch, query_heads, query_len).
    block_map_size : int, optional
        Pool the weights to a map of at most so many blocks of queries, by so many blocks of keys.
    **scoring : Unpack[ScoringOptions]
        scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    Observation
        Without the axes that the query lacks.

    Raises
    ------
    AttentionError
        If segments overlap, leave keys out or are more than 64; if top_keys is more than 1,024; if there
        are fewer keys than top_keys or block_map_size; and as attention() does.
    TypeError
        For an unknown option.

    Notes
    -----
    The output is attention()'s, bit for bit. Statistics agree with those of the whole matrix up to the
    rounding of float32, and are float32; float64 from the reference.

    Memory grows with the rows. Time is that of attention(); `received` and `block_map_size` add a second
    pass over the scores.

    References
    ----------
    Entropy comes from the sums of the online softmax, ln Z - sum p s / sum p:
    csrc/kernels/statistics.inl.hpp.

    Examples
    --------
    >>> import numpy as np
    >>> seen = observe(np.zeros((1, 1), np.float32), np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))
    >>> [round(float(x), 6) for x in (seen.effective_keys[0], seen.max_weight[0])]  # four equal keys
    [4.0, 0.25]
    """
    problem, operands = describe(query, key, value, mask=mask, **scoring)
    asked = read_questions(
        problem.shape,
        segments=segments,
        first_keys=first_keys,
        top_keys=top_keys,
        received=received,
        block_map_size=block_map_size,
    )
    if chosen(implementation, problem) == "kernel":
        output, seen = kernels.observe(problem, operands, asked, threads=threads)
    else:
        output, seen = reference.statistics(query, key, value, questions=asked, mask=mask, **scoring)
        output = output.astype(operands.query.dtype)
    return Observation.of(output, seen, asked, problem.shape.key_len, operands.added_axes)
