"""The bottom of the ladder of oracles: attention of one row at a time, in plain Python, sums by math.fsum.

Nothing here is shared with what it judges: no array arithmetic, no mask code, no validation. Each mask is
read again from its fields, by the sentence that defines it.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnscope import problem
from attnscope.problem.mask import And, Or


class Place(NamedTuple):
    """One slot of the score matrix: a query, a key, and the sizes that place them."""

    batch: int
    head: int
    query: int
    key: int
    query_len: int
    key_len: int

    def position(self, offset: Any = None) -> int:
        """Where the query stands among the keys: the last query at the last key, unless told otherwise."""
        if offset is None:
            return self.query + self.key_len - self.query_len
        return self.query + self.of_batch(offset)

    def of_batch(self, number: Any) -> int:
        """One number for all, or the one of this batch row."""
        return int(number) if np.ndim(number) == 0 else int(number[self.batch])


def sees(mask: Any, place: Place) -> bool:  # noqa: C901  one case a mask is how it reads best
    """Does this query see this key?"""
    match mask:
        case None:
            return True
        case np.ndarray():
            return bool(at(mask, place))
        case problem.Causal(offset=offset):
            return place.key <= place.position(offset)
        case problem.Window(left=left, right=right, offset=offset):
            ahead = place.key - place.position(offset)
            return (left is None or -ahead <= left) and (right is None or ahead <= right)
        case problem.KeyRanges(first=first, end=end):  # and KeyLengths, whose first is 0
            return place.of_batch(first) <= place.key < place.of_batch(end)
        case problem.Prefix(length=length):
            return place.key < place.of_batch(length)
        case problem.Documents(ids=ids, offset=offset):
            table, position = np.atleast_2d(ids), place.position(offset)
            row = table[min(place.batch, len(table) - 1)]
            return 0 <= position < place.key_len and int(row[position]) == int(row[place.key])
        case problem.Dense(bits=bits, shape=shape):
            key = place.key if shape[3] > 1 else 0
            return bool(int(at(bits, place._replace(key=key // 8))) >> key % 8 & 1)
        case And(left=left, right=right):
            return sees(left, place) and sees(right, place)
        case Or(left=left, right=right):
            return sees(left, place) or sees(right, place)
    raise NotImplementedError(f"by_hand cannot read {mask}")


def at(array: Any, place: Place) -> Any:
    """The entry of an array that broadcasts to (batch, query_heads, query_len, key_len)."""
    index = (place.batch, place.head, place.query, place.key)[4 - array.ndim :]
    return array[tuple(i if size > 1 else 0 for i, size in zip(index, array.shape, strict=True))]


@dataclass(frozen=True)
class Row:
    """What one query got."""

    output: list[float]
    logsumexp: float
    weights: list[float]


def attend(
    scores: list[float | None], values: list[list[float]], value_dim: int, sink: float | None = None
) -> Row:
    """One row: a score is None where the key is hidden."""
    seen = [score for score in scores if score is not None] + ([] if sink is None else [sink])
    if not seen or max(seen) == -math.inf:
        return Row([0.0] * value_dim, -math.inf, [0.0] * len(scores))
    top = max(seen)
    total = math.fsum(math.exp(score - top) for score in seen)
    weights = [0.0 if score is None else math.exp(score - top) / total for score in scores]
    used = [j for j, score in enumerate(scores) if score is not None]
    output = [math.fsum(weights[j] * values[j][d] for j in used) for d in range(value_dim)]
    return Row(output, top + math.log(total), weights)


def score(
    query: list[float],
    key: list[float],
    *,
    scale: float,
    softcap: float | None = None,
    bias: float = 0.0,
    slope: float = 0.0,
    distance: int = 0,
) -> float:
    """One slot of the score matrix."""
    raw = scale * math.fsum(q * k for q, k in zip(query, key, strict=True))
    capped = raw if softcap is None else softcap * math.tanh(raw / softcap)
    return capped + bias - slope * distance


@dataclass(frozen=True, eq=False)
class ByHand:
    """Every row of a 4-D problem, as arrays only so that they can be compared.

    Shapes
        output            (batch, query_heads, query_len, value_dim)
        logsumexp    (batch, query_heads, query_len)
        weights           (batch, query_heads, query_len, key_len)
    """

    output: NDArray[np.float64]
    logsumexp: NDArray[np.float64]
    weights: NDArray[np.float64]


def attention(query: Any, key: Any, value: Any, **options: Any) -> ByHand:
    """All rows, each on its own. Takes 4-D arrays and the options of attnscope.attention()."""
    batch, query_heads, query_len, _ = query.shape
    key_len, value_dim = value.shape[2:]
    result = ByHand(
        np.empty((batch, query_heads, query_len, value_dim)),
        np.empty((batch, query_heads, query_len)),
        np.empty((batch, query_heads, query_len, key_len)),
    )
    for index in np.ndindex(batch, query_heads, query_len):
        row = attend_row(index, query, key, value, options)
        result.output[index] = row.output
        result.logsumexp[index] = row.logsumexp
        result.weights[index] = row.weights
    return result


def attend_row(index: tuple[int, ...], query: Any, key: Any, value: Any, options: dict[str, Any]) -> Row:
    b, h, i = index
    (query_heads, query_len), (kv_heads, key_len) = query.shape[1:3], key.shape[1:3]
    g = h // (query_heads // kv_heads)  # the kv head that query head h reads
    scale = 1 / math.sqrt(query.shape[3]) if options.get("scale") is None else options["scale"]
    bias, alibi_slopes, sinks = (options.get(name) for name in ("bias", "alibi_slopes", "sinks"))

    scores: list[float | None] = []
    for j in range(key_len):
        place = Place(b, h, i, j, query_len, key_len)
        added = 0.0 if bias is None else float(at(bias, place))
        if added == -math.inf or not sees(options.get("mask"), place):
            scores.append(None)
            continue
        scores.append(
            score(
                floats(query[b, h, i]),
                floats(key[b, g, j]),
                scale=scale,
                softcap=options.get("softcap"),
                bias=added,
                slope=0.0 if alibi_slopes is None else float(alibi_slopes[h]),
                distance=abs(place.position() - j),
            )
        )
    values = [floats(value[b, g, j]) for j in range(key_len)]
    return attend(scores, values, value.shape[3], None if sinks is None else float(sinks[h]))


def floats(vector: Any) -> list[float]:
    return [float(entry) for entry in vector]
