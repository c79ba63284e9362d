"""A mask as a small picture for the terminal."""

import numpy as np
from numpy.typing import NDArray

from attnscope.problem.runs import Runs

MOST_CELLS = 16

Counts = NDArray[np.int64]


def draw(seen: Runs | NDArray[np.bool_], query_len: int, key_len: int) -> str:
    """Draw rows of queries by columns of keys: ■ visible, · hidden, ▒ a cell of which a part is visible.

    `seen` is Runs, of which batch row 0 is drawn in memory of O(query_len), or an array (query_len, key_len).
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
        """The sum of the entries of each cell."""
        summed: Counts = np.add.reduceat(entries, self.first, axis=axis, dtype=np.int64)
        return summed

    def seen_by_runs(self, runs: Runs, query_len: int) -> Counts:
        """How many keys of each cell each query sees, (query_len, cells)."""
        seen = np.zeros((runs.first.shape[1], len(self.first)), np.int64)
        for first, end in zip(runs.first[0].T, runs.end[0].T, strict=True):
            overlap = np.minimum(end[:, None], self.end) - np.maximum(first[:, None], self.first)
            seen += np.maximum(overlap, 0)
        return np.broadcast_to(seen, (query_len, len(self.first)))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
