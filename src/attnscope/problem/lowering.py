"""From a mask to what the kernel reads: one or two spans of keys per row, or one bit per key."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from attnscope.problem.dense import Dense
from attnscope.problem.mask import Mask
from attnscope.problem.pages import Pages
from attnscope.problem.position_masks import Causal
from attnscope.problem.problem import AttentionProblem
from attnscope.problem.shape import AttentionShape, Sizes

CAUSAL = Causal()
MOST_SPANS = 2
WORD_BITS = 64
MOST_ROWS_KEPT = 2**16  # of one mask in the cache: at most 1 MiB of spans
MOST_BYTES_KEPT = 2**20  # of a mask's own arrays
ENTRIES_AT_ONCE = 2**22  # of the score matrix, while a bitmap is made


@dataclass(frozen=True, eq=False)
class KeySpans:
    """Spans of visible keys: first_key <= j < end_key for each span of a row.

    first_key and end_key have the shape (batch or 1, query_len, 1 or 2). The spans of a row are sorted,
    disjoint and not adjacent; an empty one is (0, 0).
    """

    first_key: NDArray[np.int32]
    end_key: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class KeyBitmap:
    """One bit per key: a row sees key j if bit j % 64 of word j // 64 is set; bits past the keys are 0.

    words has the shape (batch or 1, query_heads or 1, query_len or 1, ceil(key_len / 64)).
    """

    words: NDArray[np.uint64]


def lower(mask: Mask | None, shape: AttentionShape) -> KeySpans | KeyBitmap | None:
    """Describe which keys each row sees; None: every key. Raises AttentionMaskError if the mask does not fit.

    Takes memory in proportion to the rows, unless rows have more than two runs of keys: then one bit per
    entry. A bool array that is the same for all queries, such as padding, is read as runs too.
    """
    if mask is None:
        return None
    sizes = Sizes.of(shape)
    mask.check(sizes)
    rows = sizes._replace(heads=1)
    spans = _kept_spans(mask, rows) if _is_worth_keeping(mask, rows) else _spans(mask, rows)
    return _bitmap(mask, sizes) if spans is None else spans


def lower_pages(problem: AttentionProblem, pages: Pages) -> KeySpans | KeyBitmap | None:
    """Lower the mask of a problem over pages, whose sequences may have different numbers of keys.

    The last query of a row is aligned with that row's own last key, unless the mask has an offset. Spans
    and bits may reach beyond a row's keys; their reader stops there.
    """
    shape, mask = problem.shape, problem.mask
    if shape.query_len == 1 and mask == CAUSAL:  # one query at the end sees every key
        return None
    key_lens = pages.key_lens.tolist()
    if mask is None or all(key_len == shape.key_len for key_len in key_lens):
        return lower(mask, shape)
    mask.check(Sizes.of(shape))
    return lower(mask.standing_at([key_len - shape.query_len for key_len in key_lens]), shape)


def _is_worth_keeping(mask: Mask, sizes: Sizes) -> bool:
    if sizes.batch * sizes.query_len > MOST_ROWS_KEPT or mask.held_bytes > MOST_BYTES_KEPT:
        return False
    return not any(isinstance(leaf, Dense) for leaf in mask.leaves())


def _spans(mask: Mask, sizes: Sizes) -> KeySpans | None:
    runs = mask.runs(sizes)
    if runs is None or runs.count > MOST_SPANS:
        return None
    rows = (runs.first.shape[0], sizes.query_len, runs.count)
    return KeySpans(*(_as_int32(np.broadcast_to(bound, rows)) for bound in (runs.first, runs.end)))


def _as_int32(bounds: NDArray[np.int64]) -> NDArray[np.int32]:
    kept = np.array(bounds, np.int32, order="C")
    kept.setflags(write=False)  # the cache returns it to several callers
    return kept


@lru_cache(maxsize=32)
def _kept_spans(mask: Mask, sizes: Sizes) -> KeySpans | None:
    return _spans(mask, sizes)


def _bitmap(mask: Mask, sizes: Sizes) -> KeyBitmap:
    if isinstance(mask, Dense) and mask.shape[-1] == sizes.key_len:
        return KeyBitmap(_words_of_bits(mask.bits, sizes.key_len))
    step = max(2, ENTRIES_AT_ONCE // max(1, sizes.batch * sizes.heads * sizes.key_len))
    some = _words(mask, sizes, sizes.queries[:step])
    if some.shape[2] in (1, sizes.query_len):  # one row for two queries or more: all see the same keys
        return KeyBitmap(some)
    batch, heads, _, words_of_row = some.shape
    words = np.empty((batch, heads, sizes.query_len, words_of_row), np.uint64)
    words[:, :, :step] = some
    for start in range(step, sizes.query_len, step):
        words[:, :, start : start + step] = _words(mask, sizes, sizes.queries[start : start + step])
    return KeyBitmap(words)


def _words(mask: Mask, sizes: Sizes, queries: range) -> NDArray[np.uint64]:
    """Some rows of the bitmap, (batch or 1, query_heads or 1, queries or 1, words)."""
    seen = mask.sees(sizes, queries)
    full = np.broadcast_to(seen, (*seen.shape[:-1], sizes.key_len))
    return _words_of_bits(np.packbits(full, axis=-1, bitorder="little"), sizes.key_len)


def _words_of_bits(bits: NDArray[np.uint8], key_len: int) -> NDArray[np.uint64]:
    words = np.zeros((*bits.shape[:-1], -(-key_len // WORD_BITS)), "<u8")
    words.view(np.uint8)[..., : bits.shape[-1]] = bits
    return words.astype(np.uint64, copy=False)
