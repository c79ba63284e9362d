"""How the tokens of one layer are laid out in memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem import PAGE_FORMATS, AttentionShape

DTYPES = {name: dtype for dtype, name in PAGE_FORMATS.items()}
SCALE_BYTES = 4  # int8 has one float32 per token and head, for keys and for values
Arrays = tuple[NDArray[Any], ...]
MOST_PAGES = 2**31 - 1  # a block table is int32


@dataclass(frozen=True)
class Layout:
    """A page: the keys and values of page_tokens tokens, of each kv head.

    page_bytes = page_tokens * kv_heads * ((key_dim + value_dim) * bytes per element + 2 * 4 for the scales of
    int8)

    Parameters
    ----------
    kv_heads, key_dim, value_dim, page_tokens : int
        Sizes of a page.
    dtype : str
        A key of DTYPES, or a dtype of the same kind.

    Raises
    ------
    AttentionShapeError, AttentionFormatError
        If a size is not positive or too large, or the format is unknown.

    Examples
    --------
    >>> Layout(kv_heads=8, key_dim=128, value_dim=128, dtype="bfloat16", page_tokens=64).page_bytes
    262144
    """

    kv_heads: int
    key_dim: int
    value_dim: int
    dtype: str
    page_tokens: int

    def __post_init__(self) -> None:
        for name in ("kv_heads", "page_tokens"):
            size = whole_number(getattr(self, name), name, minimum=1, error=AttentionShapeError)
            object.__setattr__(self, name, size)
        AttentionShape(1, self.kv_heads, self.kv_heads, 1, self.page_tokens, self.key_dim, self.value_dim)
        object.__setattr__(self, "dtype", _read_dtype(self.dtype))

    @property
    def page_bytes(self) -> int:
        element_bytes = (self.key_dim + self.value_dim) * DTYPES[self.dtype].itemsize
        scale_bytes = 2 * SCALE_BYTES if self.dtype == "int8" else 0
        return self.page_tokens * self.kv_heads * (element_bytes + scale_bytes)

    def blocks_of(self, tokens: int) -> int:
        """How many pages hold so many tokens of one sequence."""
        return -(-tokens // self.page_tokens)

    def arrays(self, pages: int) -> Arrays:
        """Key, value, and the scales of int8: (pages, kv_heads, page_tokens, ...), zeros without memory yet.

        The pages of one head are adjacent in memory. Most sequences have neighbouring pages, so what the
        processor prefetches beyond the end of one page is the beginning of the next.
        """
        rows = (self.kv_heads, pages, self.page_tokens)
        dtype = DTYPES[self.dtype]
        vectors = (np.zeros((*rows, dim), dtype) for dim in (self.key_dim, self.value_dim))
        scales = (np.zeros(rows, np.float32) for _ in range(2)) if self.dtype == "int8" else ()
        return tuple(array.swapaxes(0, 1) for array in (*vectors, *scales))


def _read_dtype(given: Any) -> str:
    if isinstance(given, str) and given in DTYPES:
        return given
    try:
        return PAGE_FORMATS[np.dtype(given)]
    except (TypeError, KeyError):
        raise AttentionFormatError(
            f"dtype={brief(given)}: expected {', '.join(DTYPES)}. "
            "Attention over pages computes in float32: use it for float64, too."
        ) from None
