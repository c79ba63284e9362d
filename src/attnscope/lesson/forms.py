"""Read what an answer returned as arrays. Whatever can be read as what was asked for is accepted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.question import Arguments, Arrays, Kind, Task
from attnscope.lesson.wire import MOST_ARRAY_BYTES

LONGEST = 300  # digits of a whole number: a float holds no more, and no answer needs so many
LARGEST = 10**LONGEST


class FormError(Exception):
    """The result cannot be read as what was asked for; the message is the end of a sentence."""


class Unwritten(Exception):
    """The answer returned nothing: the function is not written yet."""


def read(raw: Any, task: Task, arguments: Arguments) -> Arrays:
    """The results of a call, one array for each of the task's results.

    Raises Unwritten for None and `...`, and FormError if a result is not such an array.
    """
    if raw is None or raw is ...:
        raise Unwritten
    parts = parted(raw, task)
    if any(part is None or part is ... for part in parts):
        raise Unwritten
    readers: dict[Kind, Any] = {
        "numbers": numbers,
        "booleans": booleans,
        "whole numbers": whole_number,
        "pairs": lambda part, name: pairs(part, name, int(arguments["tokens"])),
    }
    arrays = tuple(
        part_read(readers[task.kind], part, name) for part, name in zip(parts, task.results, strict=True)
    )
    if sum(array.nbytes for array in arrays) > MOST_ARRAY_BYTES:
        raise FormError(f"returns more than {MOST_ARRAY_BYTES >> 20} MiB; no right answer is as large")
    return arrays


def part_read(reader: Callable[[Any, str], NDArray[Any]], part: Any, name: str) -> NDArray[Any]:
    """One result. A foreign object may raise anything while it is read."""
    try:
        return reader(part, name)
    except FormError:
        raise
    except Exception as error:
        message = f"returns {described(part)} for {name}, which cannot be read: {type(error).__name__}"
        raise FormError(message) from error


def parted(raw: Any, task: Task) -> list[Any]:
    """The results, as many as the task has."""
    wanted = len(task.results)
    if wanted == 1:
        if isinstance(raw, tuple) and any(isinstance(part, np.ndarray) for part in raw):
            raise FormError(f"returns {len(raw)} things, expected one: {task.results[0]}")
        return [raw]
    if not isinstance(raw, tuple | list) or len(raw) != wanted:
        several = isinstance(raw, tuple | list)
        what = f"{len(raw)} things" if several else f"one thing, {described(raw)}"
        raise FormError(f"returns {what}; expected {wanted}: ({', '.join(task.results)})")
    return list(raw)


def described(raw: Any) -> str:
    """What an object is, in a few words: "an array of shape (2, 3)", "a dict"."""
    if isinstance(raw, np.ndarray):
        return f"an array of shape {raw.shape}"
    name = type(raw).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def as_array(part: Any, name: str) -> NDArray[Any]:
    """Anything that NumPy reads as an array of real numbers."""
    try:
        array = np.asarray(part)
    except Exception as error:
        raise FormError(f"returns {described(part)} for {name}, which is no array: {error}") from error
    if array.dtype.kind == "c":
        raise FormError(f"returns complex numbers for {name}, expected real ones")
    if array.dtype.kind not in "biuf":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise FormError(f"returns {described(part)} for {name}, which holds no numbers") from error
    return array


def numbers(part: Any, name: str) -> NDArray[Any]:
    """Numbers of any format, as float64."""
    return as_array(part, name).astype(np.float64)


def booleans(part: Any, name: str) -> NDArray[Any]:
    """Booleans. Numbers in their place are refused: a 1 means visible to some and hidden to others."""
    array = as_array(part, name)
    if array.dtype.kind == "b":
        return array
    expected = "expected booleans, True if a query sees a key"
    if array.dtype.kind == "f" and np.isneginf(array).any():
        raise FormError(f"returns an additive mask, 0 and -inf, for {name}; {expected}")
    raise FormError(
        f"returns {array.dtype} numbers for {name}, and a 1 can mean visible or hidden; {expected}"
    )


def whole_number(part: Any, name: str) -> NDArray[Any]:
    """One number without a fraction, as a Python int, which does not overflow."""
    array = np.asarray(part, dtype=object)
    if array.ndim:
        raise FormError(f"returns an array of shape {array.shape} for {name}, expected one number")
    number: Any = array[()]
    if not isinstance(number, int | float | np.integer | np.floating):
        raise FormError(f"returns {described(number)} for {name}, expected a number")
    if isinstance(number, int) and abs(number) >= LARGEST:
        raise FormError(f"returns an integer of more than {LONGEST} digits for {name}")
    if not np.isfinite(float(number)) or number != int(number):
        raise FormError(f"returns {float(number):.6g} for {name}, expected a whole number")
    return np.asarray(int(number), dtype=object)


def pairs(part: Any, name: str, tokens: int) -> NDArray[Any]:
    """A set of (query, key) as a table [tokens, tokens]."""
    table = np.zeros((tokens, tokens), dtype=bool)
    try:
        entries = [tuple(int(index) for index in pair) for pair in part]
    except (TypeError, ValueError) as error:
        raise FormError(f"returns {described(part)} for {name}, expected a set of (query, key)") from error
    for pair in entries:
        if len(pair) != 2 or not all(0 <= index < tokens for index in pair):
            raise FormError(
                f"contains {pair} in {name}, expected (query, key) with both from 0 to {tokens - 1}, "
                "the last token"
            )
        table[pair] = True
    return table
