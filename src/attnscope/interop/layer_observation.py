"""One layer's observations: options about a text's tokens as options about keys, and several calls as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from mmap import mmap
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionError
from attnscope.interop.runs import Kept, Run
from attnscope.observation import Observation, join

LARGE, ALIGNMENT = 2**17, 64  # bytes
OF_ALL_QUERIES = ("received", "block_map")
Segments = NDArray[Any] | Sequence[int] | Mapping[str, tuple[int, int | None]]


@dataclass(frozen=True)
class TextOptions:
    """The options of observing() that observe() takes, about a text's tokens instead of a layer's keys."""

    segments: Segments | None
    first_keys: int
    top_keys: int
    received: bool
    block_map_size: int | None

    def __post_init__(self) -> None:
        if isinstance(self.segments, Mapping):
            for name, ends in self.segments.items():
                _check_range(name, ends)

    def of_keys(self, key_offset: int, key_len: int) -> dict[str, Any]:
        """The arguments of observe() for keys that begin at `key_offset`.

        Raises
        ------
        AttentionError
            If labels end before the keys do.
        """
        return {
            "segments": self._segments_of_keys(key_offset, key_len),
            "first_keys": max(0, self.first_keys - key_offset),
            "top_keys": min(self.top_keys, key_len),
            "received": self.received,
            "block_map_size": self.block_map_size,
        }

    def _segments_of_keys(self, key_offset: int, key_len: int) -> Any:
        if self.segments is None:
            return None
        end_of_text = key_offset + key_len
        if isinstance(self.segments, Mapping):
            ends = {
                name: (start, end_of_text if end is None else end)
                for name, (start, end) in self.segments.items()
            }
            return {
                name: tuple(min(max(key - key_offset, 0), key_len) for key in ends_of)
                for name, ends_of in ends.items()
            }
        labels = np.asarray(self.segments)
        if labels.ndim not in (1, 2) or labels.shape[-1] < end_of_text:
            raise AttentionError(
                f"segments has shape {list(labels.shape)}, and the text has {end_of_text} tokens by now: "
                "expected one label for each, generated tokens included. {name: (start, None)} reaches to "
                "the end of any text."
            )
        return labels[..., key_offset:end_of_text]

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The names of all segments of the text, whichever of them a layer's keys are in."""
        if isinstance(self.segments, Mapping):
            return tuple(map(str, self.segments))
        labels = np.asarray(self.segments)
        return tuple(map(str, range(int(labels.max(initial=0)) + 1)))


def _check_range(name: str, ends: Any) -> None:
    """Raise AttentionError unless the range is (start, end) with 0 <= start <= end; end may be None."""
    pair = isinstance(ends, Sequence) and len(ends) == 2
    whole = pair and all(_is_whole(end) for end in ends if end is not None)
    if not whole or ends[0] is None or ends[0] < 0 or (ends[1] is not None and ends[1] < ends[0]):
        raise AttentionError(
            f"segments[{name!r}] is {ends!r}, expected (start, end) with 0 <= start <= end, counted in "
            "tokens from the start of the text; end=None reaches to its end. Negative numbers would count "
            "from the end, which moves while the model generates."
        )


def _is_whole(number: Any) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def of_text(observation: Observation, options: TextOptions, key_offset: int) -> Observation:
    """The same observation with keys counted from the start of the text, and without the output.

    The model uses its outputs at once. Keeping those of all layers would take more memory than everything
    else.
    """
    changed: dict[str, Any] = {
        "output": np.empty((*observation.output.shape[:-1], 0), observation.output.dtype),
        "first_keys": options.first_keys,
        "key_len": observation.key_len + key_offset,
        "max_key": moved(observation.max_key, key_offset),
    }
    if observation.segment_mass is not None:
        names = options.segment_names
        changed["segment_names"] = names
        changed["segment_mass"] = widened(observation.segment_mass, len(names))
    if observation.top_keys is not None:
        keys = moved(observation.top_keys, key_offset)
        changed["top_keys"] = widened(keys, options.top_keys, filled_with=-1)
        changed["top_weights"] = widened(observation.top_weights, options.top_keys)
    if observation.received is not None:
        dropped = np.zeros((*observation.received.shape[:-1], key_offset), observation.received.dtype)
        changed["received"] = np.concatenate([dropped, observation.received], axis=-1)
    return replace(observation, **changed)


def held_apart(observation: Observation) -> Observation:
    """The same in memory of its own, if it is large.

    Rows that are kept between the model's large temporary tensors leave gaps that the next tensors do not fit
    in.
    """
    arrays = {name: each for name, each in vars(observation).items() if isinstance(each, np.ndarray)}
    sizes = [-(-each.nbytes // ALIGNMENT) * ALIGNMENT for each in arrays.values()]
    if sum(sizes) < LARGE:
        return observation
    memory, start, moved_arrays = mmap(-1, sum(sizes)), 0, {}
    for (name, each), size in zip(arrays.items(), sizes, strict=True):
        moved_arrays[name] = np.ndarray(each.shape, each.dtype, memory, start)
        moved_arrays[name][...] = each
        start += size
    return replace(observation, **cast("dict[str, Any]", moved_arrays))


def kept_of(observation: Observation, kept: Kept, start: int) -> Observation:
    """The observation of what the cache still holds of a run that began at token `start`.

    Rows are reordered unless their batch is another one. What removed queries gave cannot be taken out of
    `received` and the block map: these become None.
    """
    arrays: dict[str, Any] = {
        name: each for name, each in vars(observation).items() if isinstance(each, np.ndarray)
    }
    changed: dict[str, Any] = {}
    if kept.tokens is not None and kept.tokens < observation.query_len:
        arrays = {
            name: each[:, :, : kept.tokens] for name, each in arrays.items() if name not in OF_ALL_QUERIES
        }
        changed = dict.fromkeys(OF_ALL_QUERIES)
        if observation.key_len == start + observation.query_len:  # the removed tokens were keys, too
            changed["key_len"] = start + kept.tokens
    if kept.rows is not None and len(observation.entropy) == len(kept.rows):
        arrays = {name: each[kept.rows] for name, each in arrays.items()}
    return replace(observation, **arrays, **changed)


def moved(keys: NDArray[Any], key_offset: int) -> NDArray[Any]:
    """Keys counted from another start; -1 stays "no key"."""
    return np.where(keys < 0, keys, keys + key_offset).astype(keys.dtype)


def widened(array: Any, columns: int, filled_with: int = 0) -> NDArray[Any]:
    """The last axis filled up to this many columns."""
    more = columns - array.shape[-1]
    widths = [(0, 0)] * (array.ndim - 1) + [(0, max(0, more))]
    return array if more <= 0 else np.pad(array, widths, constant_values=filled_with)


def joined(calls: Sequence[tuple[Run, Observation]]) -> Observation:
    """Observations of chunks of one text, first to last, as one of all its queries.

    What keys received adds up, if it is known of all calls. Several calls have no block map.

    Raises
    ------
    AttentionError
        If the calls do not continue one text.
    """
    if len(calls) == 1:
        return calls[0][1]
    for (run, before), (next_run, after) in pairwise(calls):
        if run.cache is None or run.cache != next_run.cache:
            continues = after.key_len - before.key_len == after.query_len
        else:  # keys of another text, as in cross-attention, do not grow
            continues = next_run.start == run.start + before.query_len
        if after.output.shape[:2] != before.output.shape[:2] or not continues:
            raise AttentionError(
                f"a call of {after.query_len} queries on {after.key_len} keys, batch "
                f"{after.output.shape[0]}, does not continue one on {before.key_len} keys, batch "
                f"{before.output.shape[0]}: they are not chunks of one text. Take them one by one: "
                "calls(layer)."
            )
    changed: dict[str, Any] = {"block_map": None}
    if any(each.received is None for _, each in calls):
        changed["received"] = None
    return join(*(replace(each, **changed) for _, each in calls))
