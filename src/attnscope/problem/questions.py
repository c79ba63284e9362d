"""Which statistics observe() computes: segments, strongest keys, received attention, a block map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionError
from attnscope.problem.shape import AttentionShape

MOST_SEGMENTS = 64
MOST_TOP_KEYS = 1024  # each key is inserted into a sorted list: the time grows with its length
Segments = NDArray[Any] | Sequence[int] | Mapping[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Questions:
    """The statistics that a call of observe() requests.

    Parameters
    ----------
    labels : ndarray of uint8, shape (1 or batch, key_len), or None
        The segment of each key; None: no segments.
    segment_names : tuple of str
        One name per segment.
    first_keys : int
        How many of the first keys count for first_mass.
    top_keys : int
        How many of each row's strongest keys are kept.
    received : bool
        Whether received attention is summed.
    counted : ndarray of float32, shape (batch, query_heads, query_len), or None
        The factor of each query in received attention; None: 1.
    block_map_size : int or None
        The largest number of blocks per axis of the map; None: no map.
    """

    labels: NDArray[np.uint8] | None
    segment_names: tuple[str, ...]
    first_keys: int
    top_keys: int
    received: bool
    counted: NDArray[np.float32] | None
    block_map_size: int | None

    def map_shape(self, shape: AttentionShape) -> tuple[int, int] | None:
        """The numbers of blocks of queries and of keys; query i is in block i * rows // query_len."""
        if self.block_map_size is None:
            return None
        return min(self.block_map_size, shape.query_len), self.block_map_size


def read_questions(  # the arguments of observe()
    shape: AttentionShape,
    *,
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool | NDArray[Any] = False,
    block_map_size: int | None = None,
) -> Questions:
    """Check the statistics that observe() requests against the sizes of its arrays.

    Raises AttentionError if segments overlap, leave keys out or are more than 64, or if there are fewer
    keys than top_keys or block_map_size, or top_keys is more than 1,024.
    """
    labels, names = (None, ()) if segments is None else read_segments(shape, segments)
    if block_map_size is not None:
        block_map_size = _at_most(block_map_size, "block_map_size", 1, shape.key_len)
    return Questions(
        labels,
        names,
        whole_number(first_keys, "first_keys", minimum=0, error=AttentionError),
        _read_top_keys(top_keys, shape.key_len),
        received is not False,
        None if isinstance(received, bool) else _read_counted(shape, received),
        block_map_size,
    )


def read_segments(
    shape: AttentionShape, segments: Segments
) -> tuple[NDArray[np.uint8] | None, tuple[str, ...]]:
    """Read the label of each key, and the names of the segments."""
    if isinstance(segments, Mapping):
        return _from_ranges(shape.key_len, segments)
    labels = np.array(segments)  # a copy: another thread may change the caller's array after the checks
    if labels.ndim == 1:
        labels = labels[None]
    if labels.shape not in ((1, shape.key_len), (shape.batch, shape.key_len)):
        raise AttentionError(
            f"segments has shape {list(np.shape(segments))}, expected a label for each of the "
            f"{shape.key_len} keys: "
            f"[{shape.key_len}], or [{shape.batch}, {shape.key_len}] with the batch, or "
            f"{{name: (start, end)}}."
        )
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise AttentionError(f"segments is {labels.dtype}, expected integers from 0 to {MOST_SEGMENTS - 1}.")
    least, most = int(labels.min(initial=0)), int(labels.max(initial=0))
    if least < 0 or most >= MOST_SEGMENTS:
        raise AttentionError(
            f"segments holds the label {least if least < 0 else most}, expected 0 to {MOST_SEGMENTS - 1}. "
            "Number the segments from 0: np.unique(labels, return_inverse=True)[1]."
        )
    return np.ascontiguousarray(labels, np.uint8), tuple(str(each) for each in range(most + 1))


def _read_counted(shape: AttentionShape, given: NDArray[Any]) -> NDArray[np.float32]:
    counted = np.array(given)
    rows = (shape.batch, shape.query_heads, shape.query_len)
    if counted.ndim == 2:
        counted = counted[:, None]
    if not np.issubdtype(counted.dtype, np.floating) or not fits(counted.shape, rows):
        raise AttentionError(
            f"received is {brief(given)}, expected True, False, or a factor per query: floats [query_len], "
            f"[batch, query_len] or [batch, query_heads, query_len], which are {list(rows)}."
        )
    if not np.isfinite(counted).all():
        raise AttentionError("received holds a NaN or an infinity, expected a finite factor for each query.")
    return np.ascontiguousarray(np.broadcast_to(counted, rows), np.float32)


def fits(shape: tuple[int, ...], rows: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to another."""
    tail = rows[len(rows) - len(shape) :]
    return 0 < len(shape) <= len(rows) and all(
        each in (1, wanted) for each, wanted in zip(shape, tail, strict=True)
    )


def _from_ranges(
    key_len: int, ranges: Mapping[str, tuple[int, int]]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if not 1 <= len(ranges) <= MOST_SEGMENTS:
        raise AttentionError(f"segments has {len(ranges)} names, expected 1 to {MOST_SEGMENTS}.")
    labels = np.full(key_len, 255, np.uint8)
    names = tuple(str(name) for name in ranges)
    for number, (name, given) in enumerate(ranges.items()):
        start, end = _range_of(name, given, key_len)
        taken = np.flatnonzero(labels[start:end] != 255)
        if taken.size:
            key = start + int(taken[0])
            raise AttentionError(
                f"segments {names[labels[key]]!r} and {name!r} overlap at key {key}, expected each key in "
                "one. "
                "The end of a range is the first key behind it."
            )
        labels[start:end] = number
    left_out = np.flatnonzero(labels == 255)
    if left_out.size:
        raise AttentionError(
            f"segments leave out {left_out.size} of {key_len} keys, the first is key {left_out[0]}. "
            "Name the rest, too."
        )
    return labels[None], names


def _range_of(name: str, given: Any, key_len: int) -> tuple[int, int]:
    try:
        first, past = given
    except (TypeError, ValueError):
        raise AttentionError(f"segments[{name!r}] is {brief(given)}, expected (start, end).") from None
    start = whole_number(first, f"segments[{name!r}] start", minimum=0, error=AttentionError)
    end = whole_number(past, f"segments[{name!r}] end", minimum=0, error=AttentionError)
    if not start <= end <= key_len:
        raise AttentionError(
            f"segments[{name!r}] is ({start}, {end}), expected start <= end <= {key_len}, the number of keys."
        )
    return start, end


def _read_top_keys(given: int, key_len: int) -> int:
    number = _at_most(given, "top_keys", 0, key_len)
    if number > MOST_TOP_KEYS:
        raise AttentionError(
            f"top_keys={number}: expected at most {MOST_TOP_KEYS}. "
            "For all weights of some rows use reference.weights(query, key)."
        )
    return number


def _at_most(given: int, name: str, minimum: int, key_len: int) -> int:
    number = whole_number(given, name, minimum=minimum, error=AttentionError)
    if number > key_len:
        raise AttentionError(f"{name}={number}: expected at most {key_len}, the number of keys.")
    return number
