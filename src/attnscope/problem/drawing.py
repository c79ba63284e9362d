"""A mask as a small picture for the terminal."""

import numpy as np
from numpy.typing import NDArray

MOST_CELLS = 16


def draw(visible: NDArray[np.bool_]) -> str:
    """Rows are queries, columns are keys: ■ visible, · hidden, ▒ some of each where a cell stands for several."""
    if visible.size == 0:
        return "  (no query or no key)"
    shown, query_step, key_step = _pooled(visible)
    lines = [
        "  " + " ".join("·" if share == 0 else "■" if share == 1 else "▒" for share in row) for row in shown
    ]
    if query_step * key_step > 1:
        lines.append(
            f"  (a cell is {query_step} {_of('query', query_step)} x {key_step} {_of('key', key_step)})"
        )
    return "\n".join(lines)


def _pooled(visible: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int, int]:
    """The visible share of each cell, and how many queries and keys a cell stands for."""
    query_len, key_len = visible.shape
    query_step, key_step = -(-query_len // MOST_CELLS), -(-key_len // MOST_CELLS)
    rows, columns = np.arange(0, query_len, query_step), np.arange(0, key_len, key_step)
    sums = np.add.reduceat(np.add.reduceat(visible.astype(np.float64), rows, axis=0), columns, axis=1)
    row_sizes = np.diff(np.append(rows, query_len))
    column_sizes = np.diff(np.append(columns, key_len))
    return sums / np.outer(row_sizes, column_sizes), query_step, key_step


def _of(noun: str, count: int) -> str:
    return noun if count == 1 else {"query": "queries", "key": "keys"}[noun]
