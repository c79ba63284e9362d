"""A mask as a small picture for the terminal."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionMaskError
from attnscope.problem.runs import Runs
from attnscope.problem.sizes import Sizes

if TYPE_CHECKING:
    from attnscope.problem.mask import Mask

MOST_CELLS = 16
MOST_TOKENS = 2**18  # that are looked at
MOST_ENTRIES = 2**22  # of a mask whose rows are no few runs

Counts = NDArray[np.int64]


def picture(mask: "Mask") -> str:
    """Draw a mask on the largest square that one of its parts asks for and all of them fit."""
    sizes = sizes_to_draw(mask)
    if sizes is None:
        return "  (its parts are made for different sizes)"
    _, _, query_len, key_len = sizes
    seen: Runs | NDArray[np.bool_] | None = None
    if max(sizes) <= MOST_TOKENS:
        seen = mask.runs(sizes)
        if seen is None and prod(sizes) <= MOST_ENTRIES:
            seen = np.broadcast_to(mask.sees(sizes, sizes.queries), tuple(sizes))[0, 0]
    if seen is None:
        return f"  (too large to draw: {query_len} queries x {key_len} keys)"
    named = (("batch row", sizes.batch), ("head", sizes.heads))
    several = ", ".join([f"{axis} 0 of {size}" for axis, size in named if size > 1])
    return draw(seen, query_len, key_len) + (f"\n  ({several})" if several else "")


def sizes_to_draw(mask: "Mask") -> Sizes | None:
    """None where the parts fit no sizes together."""
    implied = mask.implied_sizes()
    batch, heads = implied.batch or 1, implied.heads or 1
    for key_len in sorted({part.keys_to_draw() for part in mask.leaves()}, reverse=True):
        sizes = Sizes(batch, heads, implied.query_len or key_len, key_len)
        try:
            mask.check(sizes)
        except AttentionMaskError:
            continue
        return sizes
    return None


def draw(seen: Runs | NDArray[np.bool_], query_len: int, key_len: int) -> str:
    """Rows are queries, columns are keys: ■ visible, · hidden, ▒ some of each where a cell stands for several.

    Shapes
        seen    runs, of which batch row 0 is drawn in memory of O(query_len); or (query_len, key_len)
    """
    if query_len == 0 or key_len == 0:
        return "  (no query or no key)"
    queries, keys = Cells(query_len), Cells(key_len)
    of_keys = keys.seen_by_runs(seen, query_len) if isinstance(seen, Runs) else keys.sums(seen, axis=1)
    filled, full = queries.sums(of_keys, axis=0), np.outer(queries.sizes, keys.sizes)
    blocks = np.where(filled == 0, "·", np.where(filled == full, "■", "▒"))
    lines = ["  " + " ".join(row) for row in blocks]
    if queries.step * keys.step > 1:
        cell = f"{_counted(queries.step, 'query', 'queries')} x {_counted(keys.step, 'key', 'keys')}"
        lines.append(f"  (a cell is {cell})")
    return "\n".join(lines)


class Cells:
    """An axis of tokens, cut into at most MOST_CELLS cells of `step` tokens."""

    def __init__(self, tokens: int) -> None:
        self.step = -(-tokens // MOST_CELLS)
        self.first = np.arange(0, tokens, self.step)
        self.end = np.minimum(self.first + self.step, tokens)
        self.sizes = self.end - self.first

    def sums(self, entries: NDArray[np.bool_] | Counts, axis: int) -> Counts:
        """Add up the entries of each cell."""
        summed: Counts = np.add.reduceat(entries, self.first, axis=axis, dtype=np.int64)
        return summed

    def seen_by_runs(self, runs: Runs, query_len: int) -> Counts:
        """How many keys of each cell every query sees, (query_len, cells)."""
        seen = np.zeros((runs.first.shape[1], len(self.first)), np.int64)
        for first, end in zip(runs.first[0].T, runs.end[0].T, strict=True):
            overlap = np.minimum(end[:, None], self.end) - np.maximum(first[:, None], self.first)
            seen += np.maximum(overlap, 0)
        return np.broadcast_to(seen, (query_len, len(self.first)))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
