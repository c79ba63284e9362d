"""Every mask once more, slot by slot in plain Python: the oracle of visible(), lower() and explain()."""

from typing import Any

import attnscope as at
from attnscope.problem.mask import And, Or


def per_batch(given: Any, batch: int) -> int:
    return int(given[batch]) if hasattr(given, "__len__") else int(given)


def position(mask: Any, sizes: tuple[int, int, int, int], batch: int, query: int) -> int:
    """Where the query stands among the keys."""
    if mask.offset is None:
        return sizes[3] - sizes[2] + query
    return per_batch(mask.offset, batch) + query


def sees(mask: at.Mask, sizes: tuple[int, int, int, int], slot: tuple[int, int, int, int]) -> bool:  # noqa: C901  # a case a mask
    batch, _, query, key = slot
    match mask:
        case And():
            return sees(mask.left, sizes, slot) and sees(mask.right, sizes, slot)
        case Or():
            return sees(mask.left, sizes, slot) or sees(mask.right, sizes, slot)
        case at.Causal():
            return key <= position(mask, sizes, batch, query)
        case at.Window():
            ahead = key - position(mask, sizes, batch, query)
            return (mask.left is None or -ahead <= mask.left) and (mask.right is None or ahead <= mask.right)
        case at.KeyRanges():  # KeyLengths is one that begins at 0
            return per_batch(mask.first, batch) <= key < per_batch(mask.end, batch)
        case at.Prefix():
            return key < per_batch(mask.length, batch)
        case at.Documents():
            rows = mask.table
            own = position(mask, sizes, batch, query)
            row = rows[batch if len(rows) > 1 else 0]
            return 0 <= own < sizes[3] and bool(row[own] == row[key])
        case at.Dense():
            at_most = [index if size > 1 else 0 for index, size in zip(slot, mask.shape, strict=True)]
            byte = mask.bits[at_most[0], at_most[1], at_most[2], at_most[3] // 8]
            return bool(byte >> (at_most[3] % 8) & 1)
    raise AssertionError(f"no definition for {mask!r}")
