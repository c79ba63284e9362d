"""The forms in which attend() takes sequences and queries: one, a batch, or a list of different lengths."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief
from attnscope.errors import AttentionMaskError, AttentionShapeError, CacheError
from attnscope.problem import Mask, ScoringOptions, read_vectors


def is_one(sequences: Any) -> bool:
    """Whether it is the number of one sequence, and not a list of them."""
    return isinstance(sequences, int | np.integer)


def listed(sequences: Any) -> Sequence[Any]:
    """The sequences as a list, also if it is one; raise CacheError if it is neither."""
    if is_one(sequences):
        return [sequences]
    if not isinstance(sequences, list | tuple | range | np.ndarray):
        raise CacheError(f"sequences={brief(sequences)}: expected a sequence's number, or a list of them.")
    return sequences  # type: ignore[return-value]  # an array of numbers is one, too


def as_batch(query: Any, sequences: Any) -> NDArray[Any]:
    """View queries as (sequences, query_heads, query_len, key_dim); those of one sequence have no first axis.

    Raises CacheError, AttentionShapeError or AttentionFormatError.
    """
    listed(sequences)
    array = read_vectors(query, "query")
    one = is_one(sequences)
    if array.ndim != (3 if one else 4):
        raise AttentionShapeError(
            f"query has shape {list(array.shape)} for sequences={brief(sequences)}, expected [query_heads, "
            "query_len, "
            "key_dim] for one sequence, or [sequences, query_heads, query_len, key_dim] for a list of them."
        )
    return array[None] if one else array


def by_shape(
    queries: Sequence[Any], sequences: Any, compute: Callable[[list[int], NDArray[Any]], NDArray[Any]]
) -> list[NDArray[Any]]:
    """The outputs of a list of queries, one per sequence; queries of one shape are computed together.

    Raises CacheError, AttentionShapeError or AttentionFormatError.
    """
    if is_one(sequences):
        raise CacheError(
            f"query is a list, expected an array for one sequence, or a list of sequences: [{sequences}]."
        )
    if len(queries) != len(sequences):
        raise AttentionShapeError(
            f"query is a list of {len(queries)} arrays, expected one for each of {len(sequences)} sequences."
        )
    arrays = [read_vectors(each, f"query[{i}]") for i, each in enumerate(queries)]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, array in enumerate(arrays):
        if array.ndim != 3:
            raise AttentionShapeError(
                f"query[{i}] has shape {list(array.shape)}, expected [query_heads, query_len, key_dim]."
            )
        groups.setdefault((array.dtype, array.shape), []).append(i)
    outputs: dict[int, NDArray[Any]] = {}
    for group in groups.values():
        rows = np.stack([arrays[i] for i in group]) if len(group) > 1 else arrays[group[0]][None]
        outputs.update(zip(group, compute([sequences[i] for i in group], rows), strict=True))
    return [outputs[i] for i in range(len(queries))]


def check_shared(mask: Any, out: Any, scoring: ScoringOptions) -> None:
    """Check that the arguments mean the same for queries of different lengths.

    Raises AttentionMaskError or AttentionShapeError.
    """
    if mask is not None and (not isinstance(mask, Mask) or mask.implied_sizes().batch > 1):
        raise AttentionMaskError(
            "mask has one row per sequence, but the queries differ in length: expected one mask for all, "
            "such as "
            "Causal(). Call attend() once per sequence."
        )
    for name, given in (("bias", scoring.get("bias")), ("out", out)):
        if given is not None:
            raise AttentionShapeError(
                f"{name} is an array, but the queries differ in length: no one shape fits all. "
                "Call attend() once per sequence."
            )
