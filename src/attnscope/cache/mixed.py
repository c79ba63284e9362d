"""Calls that bring queries of different number for different sequences."""

from collections.abc import Mapping, Sequence
from typing import Any

from attnscope.errors import AttentionMaskError, AttentionShapeError
from attnscope.problem import Mask, check_vectors, plain


def group_by_query_len(queries: Sequence[Any], sequences: int) -> list[list[int]]:
    """Which of the queries can be taken together, in the order in which they first come.

    Errors
        AttentionShapeError, AttentionFormatError.
    """
    if len(queries) != sequences:
        raise AttentionShapeError(
            f"query is a list of {len(queries)} arrays, expected one for each of {sequences} sequences."
        )
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, each in enumerate(queries):
        array = plain(each, f"query[{i}]")
        check_vectors(array, f"query[{i}]")
        if array.ndim != 3:
            raise AttentionShapeError(
                f"query[{i}] has shape {list(array.shape)}, expected [query_heads, query_len, key_dim]."
            )
        groups.setdefault((array.dtype, array.shape), []).append(i)
    return list(groups.values())


def check_shared(options: Mapping[str, Any]) -> None:
    """Check that what comes with the queries is meant for each of them alike.

    Errors
        AttentionMaskError, AttentionShapeError.
    """
    mask = options.get("mask")
    if mask is not None and (not isinstance(mask, Mask) or mask.implied_sizes().batch > 1):
        raise AttentionMaskError(
            "mask has a row for each sequence, and the queries differ in number: expected one mask for all, such as "
            "Causal(). Call attend() once for each sequence."
        )
    for name in ("bias", "out"):
        if options.get(name) is not None:
            raise AttentionShapeError(
                f"{name} is given, and the queries differ in number: it would have no one shape. "
                "Call attend() once for each sequence."
            )
