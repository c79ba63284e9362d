"""Pages and block tables as they may be given: what is checked before anything is read or written."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.cache.layout import NAMES
from attnscope.errors import AttentionFormatError, AttentionShapeError, CacheError
from attnscope.kernels import Pages
from attnscope.problem import overlap, plain


def check_pages(pages: Pages) -> None:
    """Check that pages and their block table fit together.

    Errors
        AttentionShapeError, AttentionFormatError, CacheError.
    """
    if not isinstance(pages, Pages):
        raise AttentionFormatError(
            f"pages is a {type(pages).__name__}, expected attnscope.cache.Pages(key, value, ...)."
        )
    for name, vectors in (("pages.key", pages.key), ("pages.value", pages.value)):
        _check_arena(vectors, name)
    if pages.value.dtype != pages.key.dtype or pages.value.shape[:3] != pages.key.shape[:3]:
        raise AttentionShapeError(
            f"pages.value is {pages.value.dtype} {list(pages.value.shape)} and pages.key is {pages.key.dtype} "
            f"{list(pages.key.shape)}, expected the same but for the last axis."
        )
    for name, scales in (("pages.key_scales", pages.key_scales), ("pages.value_scales", pages.value_scales)):
        _check_scales(scales, name, pages)
    _check_index(pages.block_table, "block_table", 2, np.int32)
    _check_index(pages.key_lens, "key_lens", 1, np.int64)
    if len(pages.block_table) != len(pages.key_lens):
        raise AttentionShapeError(
            f"block_table has {len(pages.block_table)} rows and key_lens has {len(pages.key_lens)}, "
            "expected one of each a sequence."
        )
    check_table(pages)


def check_writable(pages: Pages) -> None:
    """Check that tokens can be written into the pages.

    Errors
        AttentionFormatError.
    """
    arrays = [
        (name, array) for name, array in zip(Pages._fields[:4], pages[:4], strict=True) if array is not None
    ]
    for name, array in arrays:
        if not array.flags.writeable:
            raise AttentionFormatError(
                f"pages.{name} is read-only, expected an array that can be written to."
            )
    for i, (name, array) in enumerate(arrays):
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
    if vectors.dtype not in NAMES:
        raise AttentionFormatError(
            f"{name} is {vectors.dtype}, expected float32, bfloat16 (ml_dtypes), float16 or int8."
        )
    if vectors.ndim != 4 or not all(vectors.shape[1:]):
        raise AttentionShapeError(
            f"{name} has shape {list(vectors.shape)}, expected [pages, kv_heads, page_tokens, dim], none but pages 0."
        )
    if not vectors.flags.aligned or (vectors.shape[3] > 1 and vectors.strides[3] != vectors.itemsize):
        raise AttentionFormatError(
            f"{name} is not aligned or has a last axis that is not contiguous. Use np.ascontiguousarray({name})."
        )


def _check_scales(scales: Any, name: str, pages: Pages) -> None:
    if pages.key.dtype != np.int8:
        if scales is not None:
            raise AttentionFormatError(f"{name} is given, and {pages.key.dtype} pages have none. Pass None.")
        return
    expected = pages.key.shape[:3]
    if type(scales) is not np.ndarray or scales.dtype != np.float32 or scales.shape != expected:
        raise AttentionFormatError(
            f"{name} is {_told(scales)}, expected a float32 array [pages, kv_heads, page_tokens] = {list(expected)}: "
            "int8 pages have a scale a token and head."
        )


def _check_index(numbers: Any, name: str, rank: int, dtype: type) -> None:
    good = type(numbers) is np.ndarray and numbers.dtype == dtype and numbers.ndim == rank
    if not (good and numbers.flags.c_contiguous and numbers.flags.aligned):
        raise AttentionFormatError(
            f"{name} is {_told(numbers)}, expected a contiguous {np.dtype(dtype)} array of {rank} "
            f"{'axis' if rank == 1 else 'axes'}. Use np.ascontiguousarray({name}, np.{np.dtype(dtype)})."
        )


def _told(given: Any) -> str:
    return (
        f"{given.dtype} {list(given.shape)}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"
    )


def check_table(pages: Pages) -> None:
    """Check that each sequence's tokens have pages, and that these are there.

    Errors
        CacheError.
    """
    page_tokens, blocks = pages.key.shape[2], pages.block_table.shape[1]
    wrong = np.flatnonzero((pages.key_lens < 0) | (pages.key_lens > blocks * page_tokens))
    if wrong.size:
        raise CacheError(
            f"key_lens[{wrong[0]}] is {pages.key_lens[wrong[0]]}, expected 0 to {blocks * page_tokens}: block_table has "
            f"{blocks} blocks of {page_tokens} tokens a sequence."
        )
    named = named_pages(pages)
    outside = named[(named < 0) | (named >= len(pages.key))]
    if outside.size:
        raise CacheError(
            f"block_table names page {outside[0]}, expected 0 to {len(pages.key) - 1}, the pages that there are."
        )


def named_pages(pages: Pages, first_token: NDArray[np.int64] | None = None) -> NDArray[np.int32]:
    """The pages that the block table names, for tokens from the first on."""
    page_tokens, block = pages.key.shape[2], np.arange(pages.block_table.shape[1])
    used = block < -(-pages.key_lens[:, None] // page_tokens)
    if first_token is not None:
        used &= block >= first_token[:, None] // page_tokens
    named: NDArray[np.int32] = pages.block_table[used]
    return named
