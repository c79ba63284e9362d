"""From arrays to a problem: the only validation there is."""

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem.added import read_added
from attnscope.problem.arrays import check_vectors, plain
from attnscope.problem.dense import Dense
from attnscope.problem.formats import FORMAT_NAMES
from attnscope.problem.mask import Mask
from attnscope.problem.operands import Operands
from attnscope.problem.problem import AttentionProblem
from attnscope.problem.scoring import Scoring, positive_number
from attnscope.problem.shape import AttentionShape

MOST_BYTES_KEPT = 2**16  # of a mask's arrays: 256 problems are kept, each with its mask
Shape = tuple[int, ...]


def describe(  # noqa: PLR0913  the arguments of attention()
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
) -> tuple[AttentionProblem, Operands]:
    """Check the arguments of attention() and separate what is asked from the arrays it is asked of.

    A repeated call is given the same AttentionProblem again.

    Errors
        AttentionError and its kinds, for everything that can be wrong with a call.
    """
    if not type(query) is type(key) is type(value) is np.ndarray:
        query, key, value = plain(query, "query"), plain(key, "key"), plain(value, "value")
    check_vectors(query, "query")
    check_vectors(key, "key")
    check_vectors(value, "value")
    visible: Any = mask
    if mask is not None and not issubclass(type(mask), Mask):
        visible = Dense(visible)
    kept = visible is None or visible.held_bytes <= MOST_BYTES_KEPT
    problem = (_problem if kept else _new_problem)(
        query.shape, key.shape, value.shape, query.dtype, key.dtype, value.dtype, visible,
        scale if scale is None or type(scale) is float else positive_number(scale, "scale"),
        softcap if softcap is None or type(softcap) is float else positive_number(softcap, "softcap"),
        bias is not None, alibi_slopes is not None, sinks is not None,
    )  # fmt: skip
    rank = query.ndim
    if rank < 4:
        lead = (None,) * (4 - rank)
        query, key, value = query[lead], key[lead], value[lead]
    return problem, Operands(query, key, value, *read_added(problem, bias, alibi_slopes, sinks), rank)


def _new_problem(  # noqa: PLR0913  all that makes a problem, as a key to keep it by
    query: Shape, key: Shape, value: Shape, query_dtype: Any, key_dtype: Any, value_dtype: Any,
    mask: Mask | None, scale: float | None, softcap: float | None, bias: bool, alibi_slopes: bool, sinks: bool,
) -> AttentionProblem:  # fmt: skip
    shape = shape_of(query, key, value)
    if not query_dtype == key_dtype == value_dtype:
        raise AttentionFormatError(
            f"query is {query_dtype}, key is {key_dtype} and value is {value_dtype}, expected one format. "
            "Convert them to the widest: nothing is narrowed or widened silently."
        )
    scoring = Scoring(1 / sqrt(shape.key_dim) if scale is None else scale, softcap, bias, alibi_slopes, sinks)
    return AttentionProblem(shape, FORMAT_NAMES[query_dtype], mask, scoring)


_problem = lru_cache(maxsize=256)(_new_problem)


def shape_of(query: Shape, key: Shape, value: Shape) -> AttentionShape:
    """The sizes that three arrays' shapes agree on.

    Errors
        AttentionShapeError.
    """
    ranks = (len(query), len(key), len(value))
    if len(set(ranks)) > 1 or not 2 <= ranks[0] <= 4:
        raise AttentionShapeError(
            f"query has {ranks[0]} axes, key {ranks[1]} and value {ranks[2]}, expected the same number for all: "
            "[batch, heads, tokens, dim], [heads, tokens, dim] or [tokens, dim]. Add axes with x[None]."
        )
    lead = (1,) * (4 - ranks[0])
    batch, query_heads, query_len, key_dim = lead + query
    key_batch, kv_heads, key_len, dim_of_key = lead + key
    value_batch, value_heads, value_len, value_dim = lead + value
    for name, other in (("key", key_batch), ("value", value_batch)):
        if other != batch:
            raise AttentionShapeError(
                f"{name} has batch={other} and query has batch={batch}, expected the same. "
                f"np.broadcast_to({name}, ...) repeats one without a copy."
            )
    if dim_of_key != key_dim:
        raise AttentionShapeError(
            f"key has key_dim={dim_of_key} and query has key_dim={key_dim}, expected the same: they are multiplied. "
            "A [batch, heads, dim, tokens] array is passed as np.ascontiguousarray(x.swapaxes(2, 3))."
        )
    if (value_heads, value_len) != (kv_heads, key_len):
        raise AttentionShapeError(
            f"value has {value_heads} heads x {value_len} tokens and key has {kv_heads} x {key_len}, "
            "expected a value for each key. A [batch, tokens, heads, dim] array is passed as x.swapaxes(1, 2)."
        )
    return AttentionShape(batch, query_heads, kv_heads, query_len, key_len, key_dim, value_dim)
