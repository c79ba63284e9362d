"""From arguments to a problem: the one place where the arguments of attention are checked."""

from functools import lru_cache
from math import sqrt
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem.arrays import FORMAT_NAMES, check_vectors, plain, read_vectors
from attnscope.problem.dense import Dense
from attnscope.problem.dlpack import Array
from attnscope.problem.mask import Mask
from attnscope.problem.operands import Operands
from attnscope.problem.pages import Pages
from attnscope.problem.problem import AttentionProblem
from attnscope.problem.scoring import (
    NO_ARRAYS,
    NO_OPTIONS,
    Scoring,
    ScoringOptions,
    Summary,
    checked_summary,
    read_scoring_arrays,
)
from attnscope.problem.shape import AttentionShape

MOST_BYTES_KEPT = 2**16  # of a mask's arrays: the cache holds 256 problems, each with its mask
Shape = tuple[int, ...]


def describe(
    query: Any,
    key: Any,
    value: Any,
    *,
    mask: Mask | Array | None = None,
    **scoring: Unpack[ScoringOptions],
) -> tuple[AttentionProblem, Operands]:
    """Check the arguments of attention(), and separate the problem from its arrays.

    Parameters
    ----------
    query, key, value : ndarray
        As in attention().
    mask : Mask or ndarray of bool, optional
        As in attention().
    **scoring : Unpack[ScoringOptions]
        scale, softcap, bias, alibi_slopes, sinks.

    Returns
    -------
    problem : AttentionProblem
        The same object again if a call repeats.
    operands : Operands
        Views of the arrays with 4 axes.

    Raises
    ------
    AttentionError
        One of its kinds, for everything that can be wrong with a call.
    TypeError
        For an unknown option.
    """
    if not type(query) is type(key) is type(value) is np.ndarray:
        query, key, value = plain(query, "query"), plain(key, "key"), plain(value, "value")
    check_vectors(query, "query")
    check_vectors(key, "key")
    check_vectors(value, "value")
    shapes, dtypes = (query.shape, key.shape, value.shape), (query.dtype, key.dtype, value.dtype)
    visible = None if mask is None else as_mask(mask)
    make = _problem if visible is None or visible.held_bytes <= MOST_BYTES_KEPT else _new_problem
    given = checked_summary(scoring) if scoring else NO_OPTIONS
    problem = make(shapes, dtypes, visible, given)
    rank = query.ndim
    if rank < 4:
        lead = (None,) * (4 - rank)
        query, key, value = query[lead], key[lead], value[lead]
    arrays = NO_ARRAYS
    if any(given[2:]):
        arrays = read_scoring_arrays(scoring, problem.shape, problem.number_format)
    return problem, Operands(query, key, value, *arrays, rank)


def describe_pages(
    query: NDArray[Any],
    pages: Pages,
    *,
    mask: Mask | Array | None = None,
    **scoring: Unpack[ScoringOptions],
) -> tuple[AttentionProblem, Operands]:
    """Check a call whose keys and values lie in pages, as describe() does for arrays.

    Parameters
    ----------
    query : ndarray, shape (sequences, query_heads, query_len, key_dim)
        float32, bfloat16 or float16.
    pages : Pages
        Pages that read_pages() has checked, or that a cache keeps.
    mask, **scoring
        As in describe(), for the key_len of the longest sequence.

    Returns
    -------
    problem : AttentionProblem
        Its batch rows are the sequences, its key_len that of the longest.
    operands : Operands
        Its key and value are the arrays of pages.

    Raises
    ------
    AttentionError, TypeError
        As describe() does.
    """
    query = read_vectors(query, "query")
    if FORMAT_NAMES[query.dtype] == "float64":
        raise AttentionFormatError(
            "query is float64, expected float32, bfloat16 or float16: "
            "attention over pages computes in float32. Use query.astype(np.float32)."
        )
    (_, kv_heads, _, key_dim), sequences = pages.key.shape, len(pages.key_lens)
    if query.ndim != 4 or query.shape[0] != sequences or query.shape[3] != key_dim:
        raise AttentionShapeError(
            f"query has shape {list(query.shape)}, expected [sequences, query_heads, query_len, key_dim] = "
            f"[{sequences}, query_heads, query_len, {key_dim}]."
        )
    _, query_heads, query_len, _ = query.shape
    longest, value_dim = int(pages.key_lens.max(initial=0)), pages.value.shape[3]
    shape = AttentionShape(sequences, query_heads, kv_heads, query_len, longest, key_dim, value_dim)
    number_format = FORMAT_NAMES[query.dtype]
    visible = None if mask is None else as_mask(mask)
    problem = AttentionProblem(shape, number_format, visible, _scoring(checked_summary(scoring), key_dim))
    arrays = read_scoring_arrays(scoring, shape, number_format)
    return problem, Operands(query, pages.key, pages.value, *arrays, 4)


def as_mask(given: Any) -> Mask:
    """Return a mask itself, or make one of a bool array."""
    return given if issubclass(type(given), Mask) else Dense(given)


def _new_problem(
    shapes: tuple[Shape, Shape, Shape], dtypes: tuple[Any, Any, Any], mask: Mask | None, scoring: Summary
) -> AttentionProblem:
    shape = shape_of(*shapes)
    query, key, value = dtypes
    if not query == key == value:
        raise AttentionFormatError(
            f"query is {query}, key is {key} and value is {value}, expected one format. "
            "Convert them to the widest: nothing is narrowed or widened silently."
        )
    return AttentionProblem(shape, FORMAT_NAMES[query], mask, _scoring(scoring, shape.key_dim))


_problem = lru_cache(maxsize=256)(_new_problem)


def _scoring(given: Summary, key_dim: int) -> Scoring:
    scale, *others = given
    return Scoring(1 / sqrt(key_dim) if scale is None else scale, *others)  # type: ignore[arg-type]  # mixed tuple


def shape_of(query: Shape, key: Shape, value: Shape) -> AttentionShape:
    """The sizes on which three arrays' shapes agree; raise AttentionShapeError if they do not."""
    ranks = (len(query), len(key), len(value))
    if len(set(ranks)) > 1 or not 2 <= ranks[0] <= 4:
        raise AttentionShapeError(
            f"query has {ranks[0]} axes, key {ranks[1]} and value {ranks[2]}, expected the same number for "
            "all: "
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
            f"key has key_dim={dim_of_key} and query has key_dim={key_dim}, expected the same: they are "
            "multiplied. "
            "A [batch, heads, dim, tokens] array is passed as np.ascontiguousarray(x.swapaxes(2, 3))."
        )
    if (value_heads, value_len) != (kv_heads, key_len):
        raise AttentionShapeError(
            f"value has {value_heads} heads x {value_len} tokens and key has {kv_heads} x {key_len}, "
            "expected a value for each key. A [batch, tokens, heads, dim] array is passed as x.swapaxes(1, "
            "2)."
        )
    return AttentionShape(batch, query_heads, kv_heads, query_len, key_len, key_dim, value_dim)
