"""Attention over, and writing into, pages and a block table that the caller keeps."""

from typing import Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from attnscope.cache.new_tokens import read_new_tokens, write_tokens
from attnscope.cache.windows import CAUSAL
from attnscope.errors import CacheError
from attnscope.kernels import run_pages
from attnscope.problem import (
    PAGE_FORMATS,
    Array,
    AttentionOptions,
    Mask,
    Pages,
    ScoringOptions,
    check_out,
    check_table,
    check_writable,
    describe_pages,
    lower_pages,
    named_pages,
    read_pages,
    read_vectors,
)

Out = TypeVar("Out", bound=Array)


class PagedOptions(AttentionOptions, total=False):
    """The keyword arguments of attend(), without `out`."""

    threads: int | None


@overload
def attend(
    query: Array, pages: Pages, *, out: None = None, **options: Unpack[PagedOptions]
) -> NDArray[Any]: ...


@overload
def attend(query: Array, pages: Pages, *, out: Out, **options: Unpack[PagedOptions]) -> Out: ...


def attend(
    query: Array,
    pages: Pages,
    *,
    mask: Mask | Array | None = CAUSAL,
    out: Array | None = None,
    threads: int | None = None,
    **scoring: Unpack[ScoringOptions],
) -> Array:
    """Compute attention of each sequence's last queries over its keys and values, wherever its pages lie.

    output[s] = attention(query[s], the keys of s, the values of s, mask=...), bit for bit

    Parameters
    ----------
    query : ndarray, shape (sequences, query_heads, query_len, key_dim)
        float32, bfloat16 (ml_dtypes) or float16. The last query is aligned with the sequence's last key.
    pages : Pages
        Arrays of pages, and the block table.
    mask : Mask or ndarray of bool, default Causal()
        Which keys each query sees; None: every key of the sequence. A mask or a bias is checked against the
        sizes (sequences, query_heads, query_len, longest of key_lens). Entries beyond a sequence's own keys
        are not read.
    out : ndarray, shape (sequences, query_heads, query_len, value_dim), optional
        Receives the output, in the query's format; also returned.
    threads : int, optional
        The largest number of threads; kernels.default_threads() by default.
    **scoring : Unpack[ScoringOptions]
        scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    ndarray, shape (sequences, query_heads, query_len, value_dim)
        In the query's format.

    Raises
    ------
    AttentionError
        One of its kinds, if an argument is wrong.
    CacheError
        If the block table names a page that does not exist.

    Examples
    --------
    >>> one_page = np.ones((1, 1, 4, 2), np.float32)  # 4 tokens of 1 head: keys and values of 1
    >>> pages = Pages(one_page, one_page, None, None, np.zeros((1, 1), np.int32), np.array([3]))
    >>> attend(np.ones((1, 1, 1, 2), np.float32), pages)
    array([[[[1., 1.]]]], dtype=float32)
    """
    rows = read_vectors(query, "query")
    output = attend_pages(rows, read_pages(pages), mask=mask, out=out, threads=threads, **scoring)
    return output if out is None else out


def append(pages: Pages, key: Array, value: Array) -> Pages:
    """Write new tokens into the pages, in place, at the end of each sequence.

    Parameters
    ----------
    pages : Pages
        The block table must already name the pages of the new tokens. Each page that is written to must stand
        in it once, so that no other sequence reads it.
    key : ndarray, shape (sequences, kv_heads, tokens, key_dim)
        In the format of the pages; for int8 pages in float32, bfloat16 or float16.
    value : ndarray, shape (sequences, kv_heads, tokens, value_dim)
        In the same format.

    Returns
    -------
    Pages
        The same arrays, with key_lens longer by `tokens`.

    Raises
    ------
    AttentionShapeError, AttentionFormatError, CacheError
        If an argument is wrong. Everything is checked before anything is written.

    Examples
    --------
    >>> arena = np.zeros((2, 1, 4, 2), np.float32)
    >>> empty = Pages(arena, arena.copy(), None, None, np.array([[1]], np.int32), np.array([0]))
    >>> append(empty, np.ones((1, 1, 3, 2), np.float32), np.ones((1, 1, 3, 2), np.float32)).key_lens
    array([3])
    >>> arena[1, 0, :, 0]
    array([1., 1., 1., 0.], dtype=float32)
    """
    own = read_pages(pages)
    sequences, (_, kv_heads, page_tokens, key_dim) = len(own.key_lens), own.key.shape
    dims = (key_dim, own.value.shape[3])
    new = read_new_tokens(key, value, (sequences, kv_heads), dims, PAGE_FORMATS[own.key.dtype])
    tokens = new[0].shape[2]
    check_writable(own)
    longer = own._replace(key_lens=own.key_lens + tokens)
    check_table(longer)
    if tokens and sequences:
        written = named_pages(longer, first_token=own.key_lens)
        twice = written[np.bincount(named_pages(longer))[written] > 1]
        if twice.size:
            raise CacheError(
                f"block_table names page {twice[0]} twice, and new tokens would be written into it. "
                f"Copy its {page_tokens} tokens to a page of its own for each sequence."
            )
        write_tokens([array for array in own[:4] if array is not None], new, own.block_table, own.key_lens)
    return longer._replace(block_table=pages.block_table)


def attend_pages(
    query: NDArray[Any],
    pages: Pages,
    *,
    mask: Mask | Array | None,
    out: Array | None = None,
    threads: int | None = None,
    **scoring: Unpack[ScoringOptions],
) -> NDArray[Any]:
    """attend() over pages that are known to be right, and a query that is a plain array."""
    problem, operands = describe_pages(query, pages, mask=mask, **scoring)
    output, _ = run_pages(
        query,
        pages,
        lower_pages(problem, pages),
        problem.scoring,
        bias=operands.bias,
        alibi_slopes=operands.alibi_slopes,
        sinks=operands.sinks,
        out=None if out is None else check_out(out, problem, operands),
        threads=threads,
    )
    return output
