"""Attention over keys and values in pages, computed by the compiled kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels.core import StatisticsArrays
from attnscope.kernels.level import level, why_no_level
from attnscope.kernels.plan import as_bits, make_plan
from attnscope.kernels.threads import checked_threads, default_threads
from attnscope.problem import FORMAT_NAMES, AttentionShape, KeyBitmap, KeySpans, Pages, Scoring


def shape_of_pages(query: NDArray[Any], pages: Pages) -> AttentionShape:
    """The sizes of a call over pages; key_len is that of the longest sequence."""
    sequences, query_heads, query_len, key_dim = query.shape
    return AttentionShape(
        batch=sequences,
        query_heads=query_heads,
        kv_heads=pages.key.shape[1],
        query_len=query_len,
        key_len=int(pages.key_lens.max(initial=0)),
        key_dim=key_dim,
        value_dim=pages.value.shape[3],
    )


def run_pages(  # noqa: PLR0913  # as attention()
    query: NDArray[Any],
    pages: Pages,
    visible: KeySpans | KeyBitmap | None,
    scoring: Scoring,
    *,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[np.float32] | None = None,
    sinks: NDArray[np.float32] | None = None,
    out: NDArray[Any] | None = None,
    logsumexp: bool = False,
    threads: int | None = None,
    statistics: StatisticsArrays | None = None,
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Compute the output and, if asked for, the logsumexp; fill the arrays of `statistics`.

    Parameters
    ----------
    query : ndarray, shape (sequences, query_heads, query_len, key_dim)
        float32, bfloat16 or float16.
    pages : Pages
    visible : KeySpans or KeyBitmap, optional
        Counts the keys of each sequence.
    scoring : Scoring
    bias : ndarray, shape (sequences, query_heads, query_len, longest key_lens), optional
    alibi_slopes, sinks : ndarray of float32, shape (query_heads,), optional
    out : ndarray, shape (sequences, query_heads, query_len, value_dim), optional
        Receives the output, in the query's format.
    logsumexp : bool, default False
    threads : int, optional
    statistics : StatisticsArrays, optional

    Returns
    -------
    output : ndarray, shape (sequences, query_heads, query_len, value_dim)
        In the query's format.
    logsumexp : ndarray of float32, shape (sequences, query_heads, query_len), or None

    Raises
    ------
    UnsupportedProblemError
        If this CPU has no level.
    AttentionError
        If `threads` is not a number of threads.

    Notes
    -----
    The arrays must have been validated.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    name = level()
    if name is None:
        raise UnsupportedProblemError(f"paged attention needs the kernel, and {why_no_level()}.")
    shape = shape_of_pages(query, pages)
    plan = make_plan(
        name,
        shape,
        visible,
        scoring,
        number_format=FORMAT_NAMES[query.dtype],
        key_value_format="int8" if pages.key.dtype == np.int8 else FORMAT_NAMES[pages.key.dtype],
        output_format=FORMAT_NAMES[query.dtype],
    )
    rows = (shape.batch, shape.query_heads, shape.query_len)
    if out is None:
        out = np.empty((*rows, shape.value_dim), query.dtype)
    normalizer = np.empty(rows, np.float32) if logsumexp else None
    plan.run_pages(
        query=as_bits(query),
        key_pages=as_bits(pages.key),
        value_pages=as_bits(pages.value),
        key_scales=pages.key_scales,
        value_scales=pages.value_scales,
        block_table=pages.block_table,
        key_lens=pages.key_lens,
        output=as_bits(out),
        logsumexp=normalizer,
        bias=None if bias is None else as_bits(bias),
        slopes=alibi_slopes,
        sinks=sinks,
        threads=threads,
        statistics=statistics,
    )
    return out, normalizer
