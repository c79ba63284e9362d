"""Attention over, and writing into, pages and a block table that the caller keeps."""

from collections.abc import Sequence
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnscope.cache.checked_pages import check_pages, check_table, check_writable, named_pages
from attnscope.cache.layout import NAMES
from attnscope.cache.new_tokens import read_new_tokens
from attnscope.cache.writing import write_tokens
from attnscope.errors import AttentionFormatError, AttentionShapeError, CacheError
from attnscope.kernels import Pages, run_pages
from attnscope.problem import (
    FORMATS,
    AttentionProblem,
    AttentionShape,
    Causal,
    Dense,
    KeyBitmap,
    KeySpans,
    Mask,
    Operands,
    Scoring,
    check_out,
    check_vectors,
    lower_ragged,
    plain,
    read_scoring_arrays,
)

CAUSAL = Causal()
QUERY_FORMATS = {dtype: name for name, dtype in FORMATS.items() if name != "float64"}


def attend(  # noqa: PLR0913  # as attention()
    query: NDArray[Any],
    pages: Pages,
    *,
    mask: Mask | NDArray[np.bool_] | None = CAUSAL,
    scale: float | None = None,
    softcap: float | None = None,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[Any] | Sequence[float] | None = None,
    sinks: NDArray[Any] | Sequence[float] | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Attention of each sequence's last queries over its keys and values, wherever its pages lie.

    output[s] = attention(query[s], the keys of s, the values of s, mask=...), bit for bit

    Shapes
        query     (sequences, query_heads, query_len, key_dim)      float32, bfloat16 or float16; the last query meets
                                                                    the sequence's last key
        pages     as Pages says: arrays [pages, kv_heads, page_tokens, dim], block_table [sequences, blocks] int32 and
                  key_lens [sequences] int64
        output    (sequences, query_heads, query_len, value_dim)    in the query's format
    Arguments
        mask      Causal() unless given; None: every key of the sequence. Sizes that a mask or a bias is checked
                  against are (sequences, query_heads, query_len, longest of key_lens); what lies beyond a sequence's
                  own keys is not read.
        others    as in attention()
    Errors
        AttentionError and its kinds; CacheError for a block table that points outside the pages.

    >>> one_page = np.ones((1, 1, 4, 2), np.float32)  # 4 tokens of 1 head: keys and values of 1
    >>> pages = Pages(one_page, one_page, None, None, np.zeros((1, 1), np.int32), np.array([3]))
    >>> attend(np.ones((1, 1, 1, 2), np.float32), pages)
    array([[[[1., 1.]]]], dtype=float32)
    """
    query = plain(query, "query")
    check_vectors(query, "query")
    check_pages(pages)
    return attend_checked(
        query, pages, mask=mask, scale=scale, softcap=softcap, bias=bias, alibi_slopes=alibi_slopes, sinks=sinks, out=out, threads=threads
    )  # fmt: skip


def append(pages: Pages, key: NDArray[Any], value: NDArray[Any]) -> Pages:
    """Write new tokens into the pages, in place, at the end of each sequence.

    The block table must have their pages already, and each page that is written to must stand in it once: no other
    sequence may read it. All of it is checked before anything is written.

    Shapes
        key       (sequences, kv_heads, tokens, key_dim)      in the pages' format, or float32, bfloat16 or float16 for int8
        value     (sequences, kv_heads, tokens, value_dim)
        pages     are returned with key_lens longer by `tokens`
    Errors
        AttentionShapeError, AttentionFormatError, CacheError.

    >>> arena = np.zeros((2, 1, 4, 2), np.float32)
    >>> empty = Pages(arena, arena.copy(), None, None, np.array([[1]], np.int32), np.array([0]))
    >>> append(empty, np.ones((1, 1, 3, 2), np.float32), np.ones((1, 1, 3, 2), np.float32)).key_lens
    array([3])
    >>> arena[1, 0, :, 0]
    array([1., 1., 1., 0.], dtype=float32)
    """
    check_pages(pages)
    sequences, kv_heads, page_tokens = len(pages.key_lens), pages.key.shape[1], pages.key.shape[2]
    new = read_new_tokens(
        key, value, (sequences, kv_heads), (pages.key.shape[3], pages.value.shape[3]), NAMES[pages.key.dtype]
    )
    tokens = new[0].shape[2]
    arenas = [array for array in pages[:4] if array is not None]
    check_writable(pages)
    longer = pages._replace(key_lens=pages.key_lens + tokens)
    check_table(longer)
    if not (tokens and sequences):
        return longer
    written = named_pages(longer, first_token=pages.key_lens)
    twice = written[np.bincount(named_pages(longer))[written] > 1]
    if twice.size:
        raise CacheError(
            f"block_table names page {twice[0]} twice, and new tokens would be written into it. "
            f"Give each sequence a page of its own there, with the {page_tokens} tokens copied."
        )
    write_tokens(arenas, new, pages.block_table, pages.key_lens)
    return longer


class PagedCall(NamedTuple):
    """What attention over pages was asked for, looked at and read."""

    shape: AttentionShape
    scoring: Scoring
    visible: KeySpans | KeyBitmap | None
    bias: NDArray[Any] | None
    alibi_slopes: NDArray[Any] | None
    sinks: NDArray[Any] | None


def read_call(  # noqa: PLR0913  # as attention()
    query: NDArray[Any],
    pages: Pages,
    *,
    mask: Mask | NDArray[np.bool_] | None,
    scale: float | None = None,
    softcap: float | None = None,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[Any] | Sequence[float] | None = None,
    sinks: NDArray[Any] | Sequence[float] | None = None,
    out: NDArray[Any] | None = None,
) -> PagedCall:
    """Check the arguments of attend() against a query array and pages that have been looked at."""
    shape = _shape_of(query, pages)
    if mask is not None and not isinstance(mask, Mask):
        mask = Dense(mask)
    scoring = Scoring(
        1 / sqrt(shape.key_dim) if scale is None else scale,
        softcap, bias is not None, alibi_slopes is not None, sinks is not None,
    )  # fmt: skip
    problem = AttentionProblem(shape, QUERY_FORMATS[query.dtype], mask, scoring)
    added = read_scoring_arrays(
        {"bias": bias, "alibi_slopes": alibi_slopes, "sinks": sinks}, shape, problem.number_format
    )
    if out is not None:
        check_out(out, problem, Operands(query, pages.key, pages.value, *added, 4))
    visible = None
    if not (shape.query_len == 1 and mask == CAUSAL):  # one query at the end sees every key
        visible = lower_ragged(mask, shape, pages.key_lens.tolist())
    return PagedCall(shape, scoring, visible, *added)


def attend_checked(
    query: NDArray[Any],
    pages: Pages,
    *,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    **options: Any,
) -> NDArray[Any]:
    """attend(), of pages and a query array that have been looked at."""
    _, scoring, visible, *added = read_call(query, pages, out=out, **options)
    bias, alibi_slopes, sinks = added
    output, _ = run_pages(
        query,
        pages,
        visible,
        scoring,
        bias=bias,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
        out=out,
        threads=threads,
    )
    return output


def _shape_of(query: NDArray[Any], pages: Pages) -> AttentionShape:
    """The sizes, with the longest key_lens as key_len.

    Errors
        AttentionShapeError, AttentionFormatError.
    """
    if query.dtype not in QUERY_FORMATS:
        raise AttentionFormatError(
            f"query is {query.dtype}, expected float32, bfloat16 or float16: paged attention computes in float32. "
            "Use query.astype(np.float32)."
        )
    _, kv_heads, _, key_dim = pages.key.shape
    sequences = len(pages.key_lens)
    if query.ndim != 4 or query.shape[0] != sequences or query.shape[3] != key_dim:
        raise AttentionShapeError(
            f"query has shape {list(query.shape)}, expected [sequences, query_heads, query_len, key_dim] = "
            f"[{sequences}, query_heads, query_len, {key_dim}]."
        )
    longest = int(pages.key_lens.max(initial=0))
    return AttentionShape(
        sequences, query.shape[1], kv_heads, query.shape[2], longest, key_dim, pages.value.shape[3]
    )
