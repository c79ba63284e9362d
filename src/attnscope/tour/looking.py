"""Where heads look: small maps of weights, and how many keys a row really reads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.models import HeadReading, Reading
from attnscope.models.copying import REACH
from attnscope.tour.passage import Passage
from attnscope.tour.rows import RowStatistics, entropy, head_weights
from attnscope.tour.text import shown, shown_byte, shown_bytes

PREVIOUS, INDUCTION, BACKGROUND = (0, 0), (1, 0), (1, 1)
MAP_ROWS = 12
TORN_KEYS = 4.0  # effective keys of the row shown between sharp and diffuse
TORN_CANDIDATES = 24
MOST_ON_KEYS = 0.9  # such a row lies on keys, not on its sink
AFTER_BYTES = REACH  # what the induction head compares
VOTES, LEAST_VOTE = 2, 0.005


@dataclass(frozen=True)
class HeadMap:
    """Weights of some rows on some keys, row by row; None where the causal mask hides the key."""

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
    """One row: what it looks like, its entropy, and e^entropy of the keys that it could see."""

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
    """Three heads on the copied passage, and three rows from sharp to diffuse."""

    maps: list[HeadMap]
    rows: list[RowEntropy]


def look(text: NDArray[np.uint8], reading: Reading, passage: Passage, induction: RowStatistics) -> Looking:
    first_row = max(0, min(passage.first + 1, len(text) - MAP_ROWS))
    here, there = max(0, first_row - 1), max(0, passage.source + first_row - passage.first)
    maps = [
        head_map(text, reading, PREVIOUS, first_row, here),
        head_map(text, reading, INDUCTION, first_row, there),
        head_map(text, reading, BACKGROUND, first_row, here),
    ]
    heads = {place: reading.head(*place) for place in (INDUCTION, BACKGROUND)}
    inside = slice(passage.first - induction.first, passage.first - induction.first + max(1, passage.length))
    sharp = passage.first + int(np.argmin(induction.entropy[inside]))
    rows = [
        row_entropy("sharp", heads[INDUCTION], sharp, text),
        torn_row(heads[INDUCTION], induction, text),
        row_entropy("diffuse", heads[BACKGROUND], sharp, text),
    ]
    return Looking(maps, rows)


def head_map(
    text: NDArray[np.uint8], reading: Reading, place: tuple[int, int], first_row: int, first_key: int
) -> HeadMap:
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


def torn_row(head: HeadReading, induction: RowStatistics, text: NDArray[np.uint8]) -> RowEntropy:
    """Of the rows that read about TORN_KEYS keys, the one that votes for no byte much."""
    off = np.abs(np.exp(induction.entropy) - TORN_KEYS) + (induction.mass < MOST_ON_KEYS) * len(text)
    candidates = induction.first + np.argsort(off, kind="stable")[:TORN_CANDIDATES]
    rows = [row_entropy("torn", head, int(row), text) for row in candidates]
    return min(rows, key=lambda row: max(row.votes.values(), default=1.0))


def row_entropy(kind: str, head: HeadReading, row: int, text: NDArray[np.uint8]) -> RowEntropy:
    weights = head_weights(head, row, row + 1)
    nats = float(entropy(weights)[0])
    votes = np.bincount(text[: row + 1], weights=weights[0], minlength=256)
    first = np.argsort(-votes, kind="stable")[:VOTES]
    best = {shown_byte(int(byte)): float(votes[byte]) for byte in first if votes[byte] >= LEAST_VOTE}
    after = shown(text[max(0, row + 1 - AFTER_BYTES) : row + 1].tobytes())
    return RowEntropy(kind, head.name, row, after, nats, float(np.exp(nats)), row + 1, best)
