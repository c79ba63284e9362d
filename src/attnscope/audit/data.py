"""The numbers of queries, keys and values, and their places in memory: regimes and layouts.

A regime decides the numbers. A layout moves them in memory and never changes their values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]
FILLER = 77  # in the gaps of a layout


@dataclass(eq=False)
class Vectors:
    """Query, key and value in float64, which a regime changes, and what it may depend on."""

    query: Array
    key: Array
    value: Array
    rng: np.random.Generator
    number_format: str
    scale: float

    @property
    def narrow(self) -> bool:
        """Whether numbers end at 65,504."""
        return self.number_format == "float16"


def tiny_values(given: Vectors) -> None:
    given.value *= 1e-5 if given.narrow else 1e-12


def huge_values(given: Vectors) -> None:
    given.value *= 1e4 if given.narrow else 1e9


def denormal_values(given: Vectors) -> None:
    given.value *= {"float16": 1e-6, "float64": 1e-310}.get(given.number_format, 1e-39)


def tiny_keys(given: Vectors) -> None:
    factor = 2_000.0 if given.narrow else 1e6
    given.query *= factor
    given.key /= factor


def tiny_queries(given: Vectors) -> None:
    factor = 2_000.0 if given.narrow else 1e6
    given.query /= factor
    given.key *= factor


def equal_keys(given: Vectors) -> None:
    given.key[:] = given.key[:, :, :1]


def equal_tokens(given: Vectors) -> None:
    given.key[:] = given.key[:, :, :1]
    given.value[:] = given.value[:, :, :1]


def equal_heads(given: Vectors) -> None:
    for array in (given.key, given.value):
        array[:] = array[:, :1]


def equal_items(given: Vectors) -> None:
    for array in (given.query, given.key, given.value):
        array[:] = array[:1]


def one_hot(given: Vectors) -> None:
    """Queries and keys with one number that is not 0: each query scores 0, or far above or below it."""
    for array in (given.query, given.key):
        chosen = given.rng.integers(0, min(3, array.shape[-1]), array.shape[:-1])
        hot = np.zeros_like(array)
        np.put_along_axis(hot, chosen[..., None], 6.0, axis=-1)
        array[:] = hot


def all_negative(given: Vectors) -> None:
    """All scores are negative, by some tens."""
    given.query[:] = 3 * np.abs(given.query)
    given.key[:] = -3 * np.abs(given.key)


def high_keys(given: Vectors) -> None:
    """A few keys, the last one among them, score far above all others and have large values."""
    level = min(2e4, 6e4 * given.scale) if given.narrow else 1e5
    side = np.sqrt(level / given.scale)
    length = given.key.shape[2]
    chosen = np.unique([length - 1, *given.rng.integers(0, length, 2)])
    given.query[..., 0], given.key[..., 0] = side, 0.0
    given.key[:, :, chosen, 0] = side
    kept = max(1, given.value.shape[-1] - 1)  # the last dim stays 1
    given.value[:, :, chosen, :kept] *= 1e3 if given.narrow else 1e6


@dataclass(frozen=True)
class Regime:
    """A kind of numbers.

    Parameters
    ----------
    words : str
        A condition in words, which follows "when".
    change : callable
        Changes usual numbers into these.
    extreme : bool
        Whether sizes are unusual.
    guess : str, optional
        The likely cause if only these numbers show a mistake.
    """

    words: str
    change: Callable[[Vectors], None]
    extreme: bool = True
    guess: str | None = None


SMALL_NUMBERS = (
    "a step whose numbers end above these: it flushes them to 0, as a conversion to a shorter format does"
)
LARGE_NUMBERS = "a step whose numbers end below these, such as a conversion to float16, or a clip"
HIGH_SCORES = (
    "e^score without subtracting the row's largest score, or a largest score that is not the row's own"
)
REGIMES: dict[str, Regime] = {
    "usual": Regime("numbers are usual", lambda given: None, extreme=False),
    "tiny values": Regime("values are tiny", tiny_values, guess=SMALL_NUMBERS),
    "huge values": Regime("values are huge", huge_values, guess=LARGE_NUMBERS),
    "denormal values": Regime("values are denormal", denormal_values, guess=SMALL_NUMBERS),
    "tiny keys": Regime("keys are tiny and queries huge", tiny_keys, guess=LARGE_NUMBERS),
    "tiny queries": Regime("queries are tiny and keys huge", tiny_queries, guess=LARGE_NUMBERS),
    "equal keys": Regime("all keys are equal", equal_keys, extreme=False),
    "equal tokens": Regime("all keys and all values are equal", equal_tokens, extreme=False),
    "equal heads": Regime("all kv heads are equal", equal_heads, extreme=False),
    "equal items": Regime("all batch items are equal", equal_items, extreme=False),
    "one-hot": Regime("queries and keys are one-hot", one_hot),
    "all negative": Regime("all scores are negative", all_negative),
    "high keys": Regime("some keys score far above the others", high_keys, guess=HIGH_SCORES),
}


def token_axis(array: Array) -> int:
    """The axis of tokens of a query, key or value; of rows of a mask; the last axis of a shorter array."""
    return array.ndim - 2 if array.ndim == 4 else array.ndim - 1


def along(array: Array, axis: int, chosen: slice) -> tuple[slice, ...]:
    return tuple(chosen if each == axis else slice(None) for each in range(array.ndim))


def permuted(*order: int) -> Callable[[Array], Array]:
    """Return a layout of 4-D arrays whose axes are in this order in memory; others become column-major."""

    def lay(array: Array) -> Array:
        if array.ndim != 4:
            return np.asfortranarray(array)
        return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))

    return lay


def every_second(array: Array) -> Array:
    """A view with gaps between the tokens."""
    axis = token_axis(array)
    wide = np.repeat(array, 2, axis=axis)
    wide[along(array, axis, slice(1, None, 2))] = FILLER
    return wide[along(array, axis, slice(None, None, 2))]


def first_of_more(axis_of: Callable[[Array], int], more: int) -> Callable[[Array], Array]:
    """Return a layout of arrays that are the first entries of a longer one along an axis."""

    def lay(array: Array) -> Array:
        shape = list(array.shape)
        shape[axis_of(array)] += more
        wide = np.full(shape, FILLER, array.dtype)
        view = wide[along(array, axis_of(array), slice(array.shape[axis_of(array)]))]
        view[...] = array
        return view

    return lay


def part_of_a_longer_one(array: Array) -> Array:
    """A view of the middle of an array with more entries on every axis."""
    wide = np.full([size + 3 for size in array.shape], FILLER, array.dtype)
    middle = (slice(1, -2),) * array.ndim
    wide[middle] = array
    return wide[middle]


def one_array_for_all_three(array: Array) -> Array:
    """A view of an array [batch, tokens, 3, heads, dim], as a fused projection returns it."""
    if array.ndim != 4:
        return part_of_a_longer_one(array)
    fused = np.full((array.shape[0], array.shape[2], 3, array.shape[1], array.shape[3]), FILLER, array.dtype)
    fused[:, :, 1] = array.swapaxes(1, 2)
    return fused[:, :, 1].swapaxes(1, 2)


def backwards(array: Array) -> Array:
    """A view with a negative stride."""
    turned = along(array, token_axis(array), slice(None, None, -1))
    return np.ascontiguousarray(array[turned])[turned]


def broadcast(array: Array) -> Array:
    """A view with stride 0 along every axis on which the array does not change; filler follows in memory."""
    changes = [(array != np.take(array, [0], axis=axis)).any() for axis in range(array.ndim)]
    once = np.ascontiguousarray(array[tuple(slice(None) if each else slice(1) for each in changes)])
    memory = np.full(array.size, FILLER, array.dtype)
    memory[: once.size] = once.ravel()
    steps = [step if each else 0 for step, each in zip(once.strides, changes, strict=True)]
    return as_strided(memory, array.shape, steps)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": np.ascontiguousarray,
    "tokens before heads": permuted(0, 2, 1, 3),
    "first tokens of a longer buffer": first_of_more(token_axis, 7),
    "part of a longer array": part_of_a_longer_one,
    "first dims of a longer array": first_of_more(lambda array: array.ndim - 1, 3),
    "one array for all three": one_array_for_all_three,
    "broadcast": broadcast,
    "every second token": every_second,
    "tokens backwards": backwards,
    "dims before tokens": permuted(0, 1, 3, 2),
    "column-major": np.asfortranarray,
}
# A function may refuse these: last axes that are not contiguous, negative strides, strides of 0
UNUSUAL_LAYOUTS = (
    "tokens backwards",
    "dims before tokens",
    "column-major",
    "every second token",
    "broadcast",
)
SHARED = ("equal heads", "equal items", "equal tokens")  # regimes in which a broadcast view has strides of 0
