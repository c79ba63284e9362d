"""What is added to the scores: a bias for each entry, ALiBi slopes and sinks for each query head."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief
from attnscope.errors import AttentionFormatError, AttentionScoringError, AttentionShapeError
from attnscope.problem.arrays import check_array, not_an_array, plain
from attnscope.problem.formats import FORMAT_NAMES, accumulation_dtype
from attnscope.problem.problem import AttentionProblem
from attnscope.problem.scoring import real_number
from attnscope.problem.sizes import Sizes

AXES = ("batch", "query_heads", "query_len", "key_len")


def read_added(
    problem: AttentionProblem, bias: Any, alibi_slopes: Any, sinks: Any
) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Bias, alibi_slopes and sinks, as far as they are given.

    Errors
        AttentionScoringError, AttentionFormatError, AttentionShapeError.
    """
    return (
        None if bias is None else read_bias(bias, problem),
        None if alibi_slopes is None else read_per_head(alibi_slopes, "alibi_slopes", problem),
        None if sinks is None else read_per_head(sinks, "sinks", problem),
    )


def read_bias(bias: Any, problem: AttentionProblem) -> NDArray[Any]:
    """The bias as a view (batch, query_heads, query_len, key_len).

    Errors
        AttentionScoringError, AttentionFormatError, AttentionShapeError.
    """
    bias = plain(bias, "bias")
    if bias.dtype == np.bool_:
        raise AttentionScoringError(
            "bias is an array of bool, expected numbers that are added. Pass what is visible as mask= (True = visible)."
        )
    check_array(bias, "bias")
    accumulation = accumulation_dtype(problem.number_format)
    if FORMAT_NAMES[bias.dtype] != problem.number_format and bias.dtype != accumulation:
        raise AttentionFormatError(
            f"bias is {bias.dtype}, expected {problem.number_format}, as the query, or {accumulation}, as the sums. "
            f"Convert it: bias.astype(np.{accumulation})."
        )
    full = tuple(Sizes.of(problem.shape))
    expected = f"expected one that broadcasts to [batch, query_heads, query_len, key_len] = {list(full)}"
    if bias.ndim > 4:
        raise AttentionShapeError(f"bias has shape {list(bias.shape)}, {expected}. It has {bias.ndim} axes.")
    for name, size, given in zip(AXES, full, (1,) * (4 - bias.ndim) + bias.shape, strict=True):
        if given not in (1, size):
            raise AttentionShapeError(
                f"bias has shape {list(bias.shape)}, {expected}: its {name} is {given}. "
                "Axes count from the last; x[:, None] puts one in."
            )
    return np.broadcast_to(bias, full)


def read_per_head(given: Any, name: str, problem: AttentionProblem) -> NDArray[Any]:
    """One number a query head, in a small array of its own, in the format of the sums; no array is narrowed.

    Errors
        AttentionFormatError, AttentionShapeError, AttentionScoringError.
    """
    accumulation = accumulation_dtype(problem.number_format)
    heads = problem.shape.query_heads
    if issubclass(type(given), np.ndarray):
        array = plain(given, name)
        check_array(array, name)
        if array.dtype.itemsize > accumulation.itemsize:
            raise AttentionFormatError(
                f"{name} is {array.dtype}, expected {accumulation} or narrower, the sums are in it. "
                f"Use {name}.astype(np.{accumulation})."
            )
    else:
        array = read_numbers(given, name)
    if array.shape != (heads,):
        raise AttentionShapeError(
            f"{name} has shape {list(array.shape)}, expected [{heads}], one number for each of the query heads."
        )
    with np.errstate(over="ignore"):
        numbers = np.array(array, accumulation)
    off = (
        np.isneginf(numbers) if name == "sinks" else np.zeros_like(numbers, np.bool_)
    )  # -inf: a head without a sink
    if not (np.isfinite(numbers) | off).all():
        first = int(np.argmin(np.isfinite(numbers) | off))
        raise AttentionScoringError(
            f"{name}[{first}] is {array[first]}, expected a finite {accumulation} number. "
            + (
                "Pass 0 for a head without a slope."
                if name == "alibi_slopes"
                else "Pass -inf for a head without a sink."
            )
        )
    return numbers


def read_numbers(given: Any, name: str) -> NDArray[np.float64]:
    """A sequence of plain numbers."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray):
        if hasattr(type(given), "__array__"):
            raise AttentionFormatError(not_an_array(given, name))
        raise AttentionFormatError(
            f"{name} is {brief(given)}, expected an array or a list of one number a query head."
        )
    numbers = [real_number(each) for each in given]
    wrong = [i for i, number in enumerate(numbers) if number is None]
    if wrong:
        raise AttentionFormatError(
            f"{name}[{wrong[0]}] is {brief(given[wrong[0]])}, expected a number, one for each query head."
        )
    return np.array(numbers, np.float64)
