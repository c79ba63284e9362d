"""Scoring options: how a score is made from a dot product.

An option is a line of `ScoringOptions`, a field of `Scoring`, and one row of FACTORS or ARRAYS, which states
how it is read. The calls that take the options pass them on by `**scoring` and never name them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief
from attnscope.errors import AttentionFormatError, AttentionScoringError, AttentionShapeError
from attnscope.problem.arrays import FORMAT_NAMES, accumulation_dtype, check_array, not_an_array, plain
from attnscope.problem.dlpack import Array
from attnscope.problem.mask import Mask
from attnscope.problem.shape import AttentionShape, Sizes

AXES = ("batch", "query_heads", "query_len", "key_len")


class ScoringOptions(TypedDict, total=False):
    """Keyword arguments that say how a score is made from a dot product. Each may be absent, or None.

    score = cap(scale * query . key) + bias - alibi_slope * |i + key_len - query_len - j|

    Attributes
    ----------
    scale : float, default 1 / sqrt(key_dim)
        Multiplies the dot products.
    softcap : float, optional
        cap(s) = softcap * tanh(s / softcap). Without it, cap(s) = s.
    bias : ndarray, broadcastable to (batch, query_heads, query_len, key_len), optional
        Added to the scores. -inf hides a key.
    alibi_slopes : array_like, shape (query_heads,), optional
        ALiBi: what the score loses per token of distance.
    sinks : array_like, shape (query_heads,), optional
        One logit per query head that joins the softmax denominator and has no value. -inf: no sink.

    References
    ----------
    Soft-cap: Gemma 2, arXiv:2408.00118. ALiBi: Press et al. 2022, arXiv:2108.12409.
    Sinks: Xiao et al. 2024, arXiv:2309.17453.
    """

    scale: float | None
    softcap: float | None
    bias: Array | None
    alibi_slopes: Array | Sequence[float] | None
    sinks: Array | Sequence[float] | None


class AttentionOptions(ScoringOptions, total=False):
    """The keyword arguments that decide what attention() computes: a mask, and the scoring options.

    Attributes
    ----------
    mask : Mask or ndarray of bool, optional
        Which keys each query sees; True = visible. None: every key.
    """

    mask: Mask | Array | None


@dataclass(frozen=True)
class Scoring:
    """How the scores of a problem are made, without the arrays.

    score = softcap * tanh(scale * (query . key) / softcap) + bias - alibi_slope * distance

    Parameters
    ----------
    scale : float
        Multiplies the dot products.
    softcap : float, optional
        None: no cap.
    bias, alibi_slopes, sinks : bool
        Whether the array of this name comes with the problem.

    Raises
    ------
    AttentionScoringError
        If scale or softcap is not a positive finite number.
    """

    scale: float
    softcap: float | None = None
    bias: bool = False
    alibi_slopes: bool = False
    sinks: bool = False

    def __post_init__(self) -> None:
        for name in FACTORS:
            factor = getattr(self, name)
            if factor is not None or name == "scale":
                object.__setattr__(self, name, positive_number(factor, name))


class ScoringArrays(NamedTuple):
    """The arrays among the scoring options, validated; None for those that are absent.

    Parameters
    ----------
    bias : ndarray, shape (batch, query_heads, query_len, key_len)
        A broadcast view.
    alibi_slopes, sinks : ndarray, shape (query_heads,)
        Small arrays of their own, in the accumulation format.
    """

    bias: NDArray[Any] | None = None
    alibi_slopes: NDArray[Any] | None = None
    sinks: NDArray[Any] | None = None


NO_ARRAYS = ScoringArrays()
Summary = tuple[float | None, float | None, bool, bool, bool]
NO_OPTIONS: Summary = (None, None, False, False, False)


def summary(
    scale: Any = None, softcap: Any = None, bias: Any = None, alibi_slopes: Any = None, sinks: Any = None
) -> Summary:
    """Scale and soft-cap, read, and which arrays are present: what two calls must share to be one problem.

    Raises AttentionScoringError for a scale or soft-cap without a meaning.
    """
    if scale is not None and type(scale) is not float:  # Scoring checks floats, once per problem
        scale = positive_number(scale, "scale")
    if softcap is not None and type(softcap) is not float:
        softcap = positive_number(softcap, "softcap")
    return scale, softcap, bias is not None, alibi_slopes is not None, sinks is not None


def checked_summary(scoring: Mapping[str, Any]) -> Summary:
    """summary(), and a TypeError that names an unknown option and lists the known ones."""
    try:
        return summary(**scoring)
    except TypeError:
        unknown = [name for name in scoring if name not in ScoringOptions.__annotations__]
        if unknown:
            raise TypeError(_unknown(unknown[0])) from None
        raise


def read_scoring_arrays(
    scoring: Mapping[str, Any], shape: AttentionShape, number_format: str
) -> ScoringArrays:
    """Validate the arrays among the scoring options against a problem's sizes and format.

    Raises AttentionScoringError, AttentionFormatError or AttentionShapeError.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, given in scoring.items():
        if given is not None and name in ARRAYS:
            arrays[name] = ARRAYS[name](given, name, shape, number_format)
    return ScoringArrays(**arrays) if arrays else NO_ARRAYS


def _unknown(name: str) -> str:
    names = list(ScoringOptions.__annotations__)
    close = get_close_matches(name, ["mask", *names], n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"unexpected keyword argument {name!r}.{meant} The scoring options are {', '.join(names)}."


def read_bias(bias: Any, name: str, shape: AttentionShape, number_format: str) -> NDArray[Any]:
    """View the bias as (batch, query_heads, query_len, key_len)."""
    bias = plain(bias, name)
    if bias.dtype == np.bool_:
        raise AttentionScoringError(
            f"{name} is an array of bool, expected numbers that are added. "
            "Pass what is visible as mask= (True = visible)."
        )
    check_array(bias, name)
    accumulation = accumulation_dtype(number_format)
    if FORMAT_NAMES[bias.dtype] != number_format and bias.dtype != accumulation:
        raise AttentionFormatError(
            f"{name} is {bias.dtype}, expected {number_format}, as the query, or {accumulation}, as the "
            "sums. "
            f"Convert it: {name}.astype(np.{accumulation})."
        )
    full = tuple(Sizes.of(shape))
    expected = f"expected one that broadcasts to [batch, query_heads, query_len, key_len] = {list(full)}"
    if bias.ndim > 4:
        raise AttentionShapeError(
            f"{name} has shape {list(bias.shape)}, {expected}. It has {bias.ndim} axes."
        )
    for axis, size, given in zip(AXES, full, (1,) * (4 - bias.ndim) + bias.shape, strict=True):
        if given not in (1, size):
            raise AttentionShapeError(
                f"{name} has shape {list(bias.shape)}, {expected}: its {axis} is {given}. "
                "Axes count from the last; x[:, None] inserts one."
            )
    return np.broadcast_to(bias, full)


def read_slopes(given: Any, name: str, shape: AttentionShape, number_format: str) -> NDArray[Any]:
    """Copy ALiBi's slopes into the format of the sums: all must be finite."""
    slopes, read = _per_head(given, name, shape, number_format)
    _check_finite(np.isfinite(slopes), name, read, slopes.dtype, "Pass 0 for a head without a slope.")
    return slopes


def read_sinks(given: Any, name: str, shape: AttentionShape, number_format: str) -> NDArray[Any]:
    """Copy the sinks into the format of the sums: all must be finite, or -inf for a head without a sink."""
    sinks, read = _per_head(given, name, shape, number_format)
    good = np.isfinite(sinks) | np.isneginf(sinks)
    _check_finite(good, name, read, sinks.dtype, "Pass -inf for a head without a sink.")
    return sinks


def _per_head(
    given: Any, name: str, shape: AttentionShape, number_format: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """One number per query head: in the format of the sums, and as given. A wider array is refused."""
    accumulation = accumulation_dtype(number_format)
    if issubclass(type(given), np.ndarray) or hasattr(type(given), "__dlpack__"):
        array = plain(given, name)
        check_array(array, name)
        if array.dtype.itemsize > accumulation.itemsize:
            raise AttentionFormatError(
                f"{name} is {array.dtype}, expected {accumulation} or narrower, as the sums are "
                f"{accumulation}. "
                f"Use {name}.astype(np.{accumulation})."
            )
    else:
        array = _read_numbers(given, name)
    if array.shape != (shape.query_heads,):
        raise AttentionShapeError(
            f"{name} has shape {list(array.shape)}, expected [{shape.query_heads}], "
            "one number for each of the query heads."
        )
    with np.errstate(over="ignore"):
        return np.array(array, accumulation), array


def _check_finite(good: NDArray[np.bool_], name: str, read: Any, accumulation: Any, way_out: str) -> None:
    if not good.all():
        first = int(np.argmin(good))
        raise AttentionScoringError(
            f"{name}[{first}] is {read[first]}, expected a finite {accumulation} number. {way_out}"
        )


def _read_numbers(given: Any, name: str) -> NDArray[np.float64]:
    """Read a sequence of plain numbers."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray):
        if hasattr(type(given), "__array__"):
            raise AttentionFormatError(not_an_array(given, name))
        raise AttentionFormatError(
            f"{name} is {brief(given)}, expected an array or a list of one number per query head."
        )
    numbers = [real_number(each) for each in given]
    wrong = [i for i, number in enumerate(numbers) if number is None]
    if wrong:
        raise AttentionFormatError(
            f"{name}[{wrong[0]}] is {brief(given[wrong[0]])}, expected a number, one for each query head."
        )
    return np.array(numbers, np.float64)


def positive_number(given: Any, name: str) -> float:
    """Read a scale or a soft-cap; raise AttentionScoringError unless it is positive and finite."""
    number = real_number(given)
    if number is None or not (isfinite(number) and number > 0):
        way_out = FACTORS[name]
        if issubclass(type(given), np.ndarray) and given.size == 1:
            way_out = f"Pass {name}.item()."
        raise AttentionScoringError(f"{name}={brief(given)}: expected a positive finite number. {way_out}")
    return number


def real_number(given: Any) -> float | None:
    """A plain or NumPy number as a float; None for anything else, bool, and ints beyond all floats."""
    if type(given) is float:
        return given
    if type(given) is bool or not issubclass(type(given), int | float | np.integer | np.floating):
        return None
    try:
        return float(given)
    except OverflowError:
        return None


Reader = Callable[[Any, str, AttentionShape, str], NDArray[Any]]

# The two kinds of options: a positive number, with what to do instead; an array, with its reader.
FACTORS: dict[str, str] = {
    "scale": "Omit it for 1/sqrt(key_dim).",
    "softcap": "Omit it for no cap.",
}
ARRAYS: dict[str, Reader] = {
    "bias": read_bias,
    "alibi_slopes": read_slopes,
    "sinks": read_sinks,
}
