"""Queries over what a KVCache holds, observed: decoding, or chunk by chunk."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope import kernels
from attnscope.arguments import brief
from attnscope.cache import KVCache
from attnscope.cache.paged import CAUSAL, read_call
from attnscope.errors import AttentionShapeError
from attnscope.observation.observation import Observation
from attnscope.problem import Mask, Segments, check_vectors, plain, read_questions


def cached(  # noqa: PLR0913  # as observe(), over a cache
    cache: KVCache,
    sequences: int | Sequence[int],
    layer: int,
    query: NDArray[Any],
    *,
    mask: Mask | NDArray[np.bool_] | None = CAUSAL,
    scale: float | None = None,
    softcap: float | None = None,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[Any] | Sequence[float] | None = None,
    sinks: NDArray[Any] | Sequence[float] | None = None,
    threads: int | None = None,
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool | NDArray[Any] = False,
    block_map_size: int | None = None,
) -> Observation:
    """Observe cache.attend(sequences, layer, query): the same output, bit for bit, and where its rows looked.

    Shapes
        query    (sequences, query_heads, query_len, key_dim)      or (query_heads, query_len, key_dim) for one sequence
        As in Observation. Keys are counted from each sequence's first token, and key_len is the longest's: where
        sequences differ, segments are [sequences, longest], and keys that a sequence lacks receive nothing.
    Arguments
        As in KVCache.attend() and observe().
    Errors
        As in KVCache.attend() and observe().

    >>> cache = KVCache(layers=1, kv_heads=1, key_dim=2)
    >>> text = cache.new_sequence()
    >>> cache.append(text, 0, np.ones((1, 3, 2), np.float32), np.ones((1, 3, 2), np.float32))
    >>> cached(cache, text, 0, np.zeros((1, 1, 2), np.float32)).max_weight.round(2)  # three equal keys
    array([[0.33]], dtype=float32)
    """
    one = isinstance(sequences, int | np.integer)
    rows = plain(query, "query")
    check_vectors(rows, "query")
    if rows.ndim != (3 if one else 4):
        raise AttentionShapeError(
            f"query has {rows.ndim} axes for sequences={brief(sequences)}, expected [query_heads, query_len, key_dim] for "
            "one sequence, or [sequences, query_heads, query_len, key_dim] for a list of them."
        )
    rows = rows[None] if one else rows
    pages, mask = cache.reading([sequences] if one else sequences, layer, rows.shape[2], mask)  # type: ignore[list-item, arg-type]
    shape, scoring, visible, *added = read_call(
        rows,
        pages,
        mask=mask,
        scale=scale,
        softcap=softcap,
        bias=bias,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
    )
    asked = read_questions(
        shape,
        segments=segments,
        first_keys=first_keys,
        top_keys=top_keys,
        received=received,
        block_map_size=block_map_size,
    )
    output, seen = kernels.observe_pages(
        rows,
        pages,
        visible,
        scoring,
        asked,
        bias=added[0],
        alibi_slopes=added[1],
        sinks=added[2],
        threads=threads,
    )
    return Observation.of(output, seen, asked, shape.key_len, (0,) if one else ())
