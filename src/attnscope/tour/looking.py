"""What heads read: small maps of their weights, and the entropy of rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.models import REACH, HeadReading, Reading
from attnscope.tour.passage import Passage, RowStatistics, entropy, head_weights
from attnscope.tour.text import shown, shown_byte, shown_bytes

PREVIOUS, INDUCTION, BACKGROUND = (0, 0), (1, 0), (1, 1)
MAP_ROWS = 12
MIXED_KEYS = 4.0  # effective keys of the row between peaked and uniform
MIXED_CANDIDATES = 24
MOST_ON_KEYS = 0.9  # such a row has this much weight on keys, not on its sink
AFTER_BYTES = REACH  # what the induction head compares
VOTES, LEAST_VOTE = 2, 0.005


@dataclass(frozen=True)
class HeadMap:
    """Weights of some rows on some keys; None if the causal mask hides the key."""

    layer: int
    head: int
    name: str
    first_row: int
    first_key: int
    row_bytes: list[str]
    key_bytes: list[str]
    weights: list[list[float | None]]


@dataclass(frozen=True)
class RowEntropy:
    """One row: its entropy, its effective keys e^entropy, and the bytes that it votes for."""

    kind: str
    head: str
    row: int
    after: str
    entropy_nats: float
    effective_keys: float
    visible_keys: int
    votes: dict[str, float]


@dataclass(frozen=True)
class Looking:
    """Three heads on the copied passage, and three rows from peaked to uniform."""

    maps: list[HeadMap]
    rows: list[RowEntropy]


def look(text: NDArray[np.uint8], reading: Reading, passage: Passage, induction: RowStatistics) -> Looking:
    """The maps and rows that the tour shows."""
    first_row = max(0, min(passage.first + 1, len(text) - MAP_ROWS))
    here, there = max(0, first_row - 1), max(0, passage.source + first_row - passage.first)
    maps = [
        head_map(text, reading, PREVIOUS, first_row, here),
        head_map(text, reading, INDUCTION, first_row, there),
        head_map(text, reading, BACKGROUND, first_row, here),
    ]
    heads = {place: reading.head(*place) for place in (INDUCTION, BACKGROUND)}
    inside = slice(passage.first - induction.first, passage.first - induction.first + max(1, passage.length))
    peaked = passage.first + int(np.argmin(induction.entropy[inside]))
    rows = [
        row_entropy("peaked", heads[INDUCTION], peaked, text),
        mixed_row(heads[INDUCTION], induction, text),
        row_entropy("uniform", heads[BACKGROUND], peaked, text),
    ]
    return Looking(maps, rows)


def head_map(
    text: NDArray[np.uint8], reading: Reading, place: tuple[int, int], first_row: int, first_key: int
) -> HeadMap:
    """A square of a head's weights, at most MAP_ROWS wide."""
    head = reading.head(*place)
    end_row = min(first_row + MAP_ROWS, len(text))
    first_key = min(first_key, max(0, len(text) - MAP_ROWS))
    end_key = min(first_key + MAP_ROWS, len(text))
    weights = np.zeros((end_row - first_row, len(text)))
    weights[:, :end_row] = head_weights(head, first_row, end_row)
    cells = [
        [float(weights[row - first_row, key]) if key <= row else None for key in range(first_key, end_key)]
        for row in range(first_row, end_row)
    ]
    labels = shown_bytes(text.tobytes())
    rows, keys = labels[first_row:end_row], labels[first_key:end_key]
    return HeadMap(*place, head.name, first_row, first_key, rows, keys, cells)


def mixed_row(head: HeadReading, induction: RowStatistics, text: NDArray[np.uint8]) -> RowEntropy:
    """Of the rows with about MIXED_KEYS effective keys, the one whose largest vote is smallest."""
    off = np.abs(np.exp(induction.entropy) - MIXED_KEYS) + (induction.mass < MOST_ON_KEYS) * len(text)
    candidates = induction.first + np.argsort(off, kind="stable")[:MIXED_CANDIDATES]
    rows = [row_entropy("mixed", head, int(row), text) for row in candidates]
    return min(rows, key=lambda row: max(row.votes.values(), default=1.0))


def row_entropy(kind: str, head: HeadReading, row: int, text: NDArray[np.uint8]) -> RowEntropy:
    """Entropy and votes of one row. The vote for a byte is the weight on all its occurrences."""
    weights = head_weights(head, row, row + 1)
    nats = float(entropy(weights)[0])
    votes = np.bincount(text[: row + 1], weights=weights[0], minlength=256)
    first = np.argsort(-votes, kind="stable")[:VOTES]
    best = {shown_byte(int(byte)): float(votes[byte]) for byte in first if votes[byte] >= LEAST_VOTE}
    after = shown(text[max(0, row + 1 - AFTER_BYTES) : row + 1].tobytes())
    return RowEntropy(kind, head.name, row, after, nats, float(np.exp(nats)), row + 1, best)
