"""Keys and values in pages, and the checks that a block table and its pages fit together."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError, AttentionShapeError, CacheError
from attnscope.problem.arrays import FORMAT_NAMES, overlap, plain

# dtype -> name, of what a page can hold
PAGE_FORMATS = {dtype: name for dtype, name in FORMAT_NAMES.items() if name != "float64"}
PAGE_FORMATS[np.dtype(np.int8)] = "int8"


class Pages(NamedTuple):
    """Keys and values in pages, and a block table of the pages in which each sequence's tokens lie.

    Parameters
    ----------
    key : ndarray, shape (pages, kv_heads, page_tokens, key_dim)
        float32, bfloat16 (ml_dtypes), float16 or int8.
    value : ndarray, shape (pages, kv_heads, page_tokens, value_dim)
        The same format.
    key_scales, value_scales : ndarray of float32, shape (pages, kv_heads, page_tokens), or None
        For int8: an element is stored * scale. None for the other formats.
    block_table : ndarray of int32, shape (sequences, blocks)
        Token t of sequence s lies in page block_table[s, t // page_tokens].
    key_lens : ndarray of int64, shape (sequences,)
        How many tokens each sequence has.
    """

    key: NDArray[Any]
    value: NDArray[Any]
    key_scales: NDArray[np.float32] | None
    value_scales: NDArray[np.float32] | None
    block_table: NDArray[np.int32]
    key_lens: NDArray[np.int64]


def read_pages(pages: Pages) -> Pages:
    """Check that pages and their block table fit together, and return them with a block table of their own.

    Raises AttentionShapeError, AttentionFormatError, or CacheError if the table names a page that does not
    exist.
    """
    if not isinstance(pages, Pages):
        raise AttentionFormatError(
            f"pages is a {type(pages).__name__}, expected attnscope.cache.Pages(key, value, ...)."
        )
    _check_arena(pages.key, "pages.key")
    _check_arena(pages.value, "pages.value")
    if pages.value.dtype != pages.key.dtype or pages.value.shape[:3] != pages.key.shape[:3]:
        raise AttentionShapeError(
            f"pages.value is {pages.value.dtype} {list(pages.value.shape)} and pages.key is "
            f"{pages.key.dtype} "
            f"{list(pages.key.shape)}, expected the same but for the last axis."
        )
    _check_scales(pages.key_scales, "pages.key_scales", pages)
    _check_scales(pages.value_scales, "pages.value_scales", pages)
    _check_index(pages.block_table, "block_table", 2, np.int32)
    _check_index(pages.key_lens, "key_lens", 1, np.int64)
    if len(pages.block_table) != len(pages.key_lens):
        raise AttentionShapeError(
            f"block_table has {len(pages.block_table)} rows and key_lens has {len(pages.key_lens)}, "
            "expected one of each per sequence."
        )
    # Copied before they are checked: another thread may change them, and they lead to memory.
    own = pages._replace(block_table=pages.block_table.copy(), key_lens=pages.key_lens.copy())
    check_table(own)
    return own


def check_table(pages: Pages) -> None:
    """Raise CacheError unless each sequence's tokens have pages, and these exist."""
    page_tokens, blocks = pages.key.shape[2], pages.block_table.shape[1]
    wrong = np.flatnonzero((pages.key_lens < 0) | (pages.key_lens > blocks * page_tokens))
    if wrong.size:
        raise CacheError(
            f"key_lens[{wrong[0]}] is {pages.key_lens[wrong[0]]}, expected 0 to {blocks * page_tokens}: "
            "block_table has "
            f"{blocks} blocks of {page_tokens} tokens per sequence."
        )
    named = named_pages(pages)
    outside = named[(named < 0) | (named >= len(pages.key))]
    if outside.size:
        raise CacheError(
            f"block_table names page {outside[0]}, expected 0 to {len(pages.key) - 1}, the pages of "
            "pages.key."
        )


def named_pages(pages: Pages, first_token: NDArray[np.int64] | None = None) -> NDArray[np.int32]:
    """The pages that the block table names, for tokens from `first_token` (sequences,) on."""
    page_tokens, block = pages.key.shape[2], np.arange(pages.block_table.shape[1])
    used = block < -(-pages.key_lens[:, None] // page_tokens)
    if first_token is not None:
        used &= block >= first_token[:, None] // page_tokens
    named: NDArray[np.int32] = pages.block_table[used]
    return named


def check_writable(pages: Pages) -> None:
    """Raise AttentionFormatError unless tokens can be written into the pages."""
    arrays = [
        (name, array) for name, array in zip(Pages._fields[:4], pages[:4], strict=True) if array is not None
    ]
    for i, (name, array) in enumerate(arrays):
        if not array.flags.writeable:
            raise AttentionFormatError(f"pages.{name} is read-only, expected a writable array.")
        for other, other_array in arrays[:i]:
            if overlap(array, other_array):
                raise AttentionFormatError(
                    f"pages.{name} and pages.{other} overlap in memory: one would be written over the other."
                )


def _check_arena(vectors: Any, name: str) -> None:
    if type(vectors) not in (np.ndarray, np.memmap):
        plain(vectors, name)
        raise AttentionFormatError(
            f"{name} is an array of a subclass, expected a plain one: np.asarray({name})."
        )
    if vectors.dtype not in PAGE_FORMATS:
        raise AttentionFormatError(
            f"{name} is {vectors.dtype}, expected float32, bfloat16 (ml_dtypes), float16 or int8."
        )
    if vectors.ndim != 4 or not all(vectors.shape[1:]):
        raise AttentionShapeError(
            f"{name} has shape {list(vectors.shape)}, expected [pages, kv_heads, page_tokens, dim], none but "
            "pages 0."
        )
    if not vectors.flags.aligned or (vectors.shape[3] > 1 and vectors.strides[3] != vectors.itemsize):
        raise AttentionFormatError(
            f"{name} is not aligned or has a last axis that is not contiguous. Use "
            f"np.ascontiguousarray({name})."
        )


def _check_scales(scales: Any, name: str, pages: Pages) -> None:
    if pages.key.dtype != np.int8:
        if scales is not None:
            raise AttentionFormatError(
                f"{name} is given, but {pages.key.dtype} pages have no scales. Pass None."
            )
        return
    expected = pages.key.shape[:3]
    if type(scales) is not np.ndarray or scales.dtype != np.float32 or scales.shape != expected:
        raise AttentionFormatError(
            f"{name} is {_kind(scales)}, expected a float32 array [pages, kv_heads, page_tokens] = "
            f"{list(expected)}: "
            "int8 pages have one scale per token and head."
        )


def _check_index(numbers: Any, name: str, rank: int, dtype: type) -> None:
    good = type(numbers) is np.ndarray and numbers.dtype == dtype and numbers.ndim == rank
    if not (good and numbers.flags.c_contiguous and numbers.flags.aligned):
        raise AttentionFormatError(
            f"{name} is {_kind(numbers)}, expected a contiguous {np.dtype(dtype)} array of {rank} "
            f"{'axis' if rank == 1 else 'axes'}. Use np.ascontiguousarray({name}, np.{np.dtype(dtype)})."
        )


def _kind(given: Any) -> str:
    return (
        f"{given.dtype} {list(given.shape)}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"
    )
