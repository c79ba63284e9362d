"""at.observe: attention() that also says where it looked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope import kernels, reference
from attnscope.attention import Implementation, chosen
from attnscope.observation.observation import Observation
from attnscope.problem import Mask, Segments, describe, read_questions


def observe(  # noqa: PLR0913  # as attention(), and what is asked
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
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool | NDArray[Any] = False,
    block_map_size: int | None = None,
) -> Observation:
    """Compute attention, and where each row looked, in memory that grows with the rows and never with their square.

    Shapes, arguments
        As in attention(), and
        segments      which segment each key belongs to: integers from 0 to 63, [key_len] or [batch, key_len], or
                      {name: (start, end)}, which covers all keys
        first_keys    how many of the first keys make first_mass, the attention sink
        top_keys      how many of each row's strongest keys are kept
        received      whether to add up what each key is given, a second pass over the scores; or how much each query
                      counts in that, floats [query_len], [batch, query_len] or [batch, query_heads, query_len]
        block_map_size      a map of at most so many blocks of queries, and so many of keys: the same second pass
    Precision
        The output is attention()'s, bit for bit. Statistics equal those of the whole matrix to float32's rounding,
        and are float32; float64 where the reference runs.
    Errors
        As attention(); AttentionError for segments that overlap, leave keys out or are more than 64, and for a map or
        top_keys beyond the number of keys.
    Source
        Entropy from the online softmax's own sums: ln Z - sum p s / sum p; see csrc/kernels/statistics.inl.hpp.

    >>> import numpy as np
    >>> seen = observe(np.zeros((1, 1), np.float32), np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))
    >>> [round(float(x), 6) for x in (seen.effective_keys[0], seen.max_weight[0])]  # four equal keys
    [4.0, 0.25]
    """
    options: dict[str, Any] = {
        "mask": mask, "scale": scale, "softcap": softcap, "bias": bias, "alibi_slopes": alibi_slopes, "sinks": sinks,
    }  # fmt: skip
    problem, operands = describe(query, key, value, **options)
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
        output, seen = reference.statistics(query, key, value, questions=asked, **options)
        output = output.astype(query.dtype)
    return Observation.of(output, seen, asked, problem.shape.key_len, (0,) * (4 - operands.rank))
