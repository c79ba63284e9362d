"""Attention over keys and values that lie in pages, through the compiled kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels import _core
from attnscope.kernels.level import level
from attnscope.kernels.run import NAMES, as_bits
from attnscope.kernels.threads import checked_threads, default_threads
from attnscope.problem import KeyBitmap, KeySpans, Pages, Scoring


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
    statistics: "_core.StatisticsArrays | None" = None,
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Compute output and, if asked for, the logsumexp and statistics. The caller has validated everything.

    Shapes
        query             (sequences, query_heads, query_len, key_dim)     float32, bfloat16 or float16
        bias              (sequences, query_heads, query_len, longest key_lens)
        visible           its spans or bits count keys of each sequence
        output            (sequences, query_heads, query_len, value_dim)   in the query's format
        logsumexp    (sequences, query_heads, query_len)
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    name = level()
    if name is None:
        raise UnsupportedProblemError(
            "paged attention needs the kernel, and this CPU has none of its levels."
        )
    sequences, query_heads, query_len, key_dim = query.shape
    kv_heads, value_dim = pages.value.shape[1], pages.value.shape[3]
    key_len = int(pages.key_lens.max(initial=0))
    plan = _core.Plan(
        name,
        (sequences, query_heads, kv_heads, query_len, key_len, key_dim, value_dim),
        NAMES[query.dtype],
        "int8" if pages.key.dtype == np.int8 else NAMES[pages.key.dtype],
        NAMES[query.dtype],
        scoring.scale,
        scoring.softcap,
        visible.first_key if isinstance(visible, KeySpans) else None,
        visible.end_key if isinstance(visible, KeySpans) else None,
        visible.words if isinstance(visible, KeyBitmap) else None,
    )
    if out is None:
        out = np.empty((sequences, query_heads, query_len, value_dim), query.dtype)
    normalizer = np.empty((sequences, query_heads, query_len), np.float32) if logsumexp else None
    bias_format = "float32" if bias is None else NAMES[bias.dtype]
    plan.run_pages(
        as_bits(query),
        as_bits(pages.key),
        as_bits(pages.value),
        pages.key_scales,
        pages.value_scales,
        pages.block_table,
        pages.key_lens,
        as_bits(out),
        normalizer,
        None if bias is None else as_bits(bias),
        bias_format,
        alibi_slopes,
        sinks,
        threads,
        statistics,
    )
    return out, normalizer
