"""From arrays to a problem: the only validation there is."""

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError, AttentionScoringError, AttentionShapeError
from attnscope.problem.dense import Dense
from attnscope.problem.formats import FORMAT_LIST, FORMAT_NAMES, accumulation_dtype
from attnscope.problem.mask import Mask, Sizes
from attnscope.problem.operands import Operands
from attnscope.problem.problem import AttentionProblem
from attnscope.problem.scoring import Scoring
from attnscope.problem.shape import AttentionShape

LARGEST_DIM = 1024
MOST_KEYS = 2**31
Shape = tuple[int, ...]


def describe(  # noqa: PLR0913  # they are attention()'s
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    *,
    mask: Mask | NDArray[np.bool_] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    bias: NDArray[Any] | None = None,
    slopes: NDArray[Any] | Sequence[float] | None = None,
    sinks: NDArray[Any] | Sequence[float] | None = None,
) -> tuple[AttentionProblem, Operands]:
    """Check the arguments of attention() and separate what is asked from the arrays it is asked of.

    Errors
        AttentionError and its kinds, for everything that can be wrong with a call.
    """
    for name, array in (("query", query), ("key", key), ("value", value)):
        _check_array(array, name)
    if mask is not None and not isinstance(mask, Mask):
        mask = Dense(mask)
    problem = _problem(
        query.shape, key.shape, value.shape, query.dtype, key.dtype, value.dtype, mask,
        _number(scale, "scale"), _number(softcap, "softcap"),
        bias is not None, slopes is not None, sinks is not None,
    )  # fmt: skip
    rank = query.ndim
    if rank < 4:
        lead = (None,) * (4 - rank)
        query, key, value = query[lead], key[lead], value[lead]
    if bias is not None:
        bias = _read_bias(bias, problem)
    if slopes is not None:
        slopes = _read_per_head(slopes, "slopes", problem)
    if sinks is not None:
        sinks = _read_per_head(sinks, "sinks", problem)
    return problem, Operands(query, key, value, bias, slopes, sinks, rank)


def check_out(out: NDArray[Any], problem: AttentionProblem, operands: Operands) -> None:
    """Check the array that the output is to be written into.

    Errors
        AttentionFormatError, AttentionShapeError.
    """
    _check_array(out, "out")
    shape = problem.shape
    expected = (shape.batch, shape.query_heads, shape.query_len, shape.value_dim)[4 - operands.rank :]
    if out.shape != expected:
        raise AttentionShapeError(f"out has shape {list(out.shape)}, expected {list(expected)}.")
    if out.dtype != operands.query.dtype:
        raise AttentionFormatError(f"out is {out.dtype}, expected {operands.query.dtype}, the query's.")
    if not out.flags.writeable:
        raise AttentionFormatError("out is read-only. Pass a writable array, or leave out= away.")
    if any(size > 1 and stride == 0 for size, stride in zip(out.shape, out.strides, strict=True)):
        raise AttentionFormatError(
            "out is a broadcast view: its entries share memory. Pass an array of its own."
        )
    for name, array in operands._asdict().items():
        if isinstance(array, np.ndarray) and _overlap(out, array):
            raise AttentionFormatError(
                f"out overlaps {name} in memory, which would be overwritten while it is read. Pass another array."
            )


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]  # its stub knows two values only
    except np.exceptions.TooHardError:
        return True


def _check_array(array: Any, name: str) -> None:
    if type(array) is not np.ndarray:
        _check_array_type(array, name)
    if array.dtype not in FORMAT_NAMES:
        raise AttentionFormatError(_not_a_format(array, name))
    if not array.flags.aligned:
        raise AttentionFormatError(f"{name} is not aligned in memory. Pass {name}.copy().")
    if array.ndim and array.strides[-1] != array.itemsize and array.shape[-1] > 1 and array.size:
        raise AttentionFormatError(
            f"{name} has a last axis that is not contiguous: its stride is {array.strides[-1]} bytes, expected "
            f"{array.itemsize}. Use np.ascontiguousarray({name})."
        )


def _check_array_type(given: Any, name: str) -> None:
    """Subclasses of ndarray pass, unless what they add would be lost."""
    if not isinstance(given, np.ndarray):
        raise AttentionFormatError(_not_an_array(given, name))
    if isinstance(given, np.ma.MaskedArray):
        raise AttentionFormatError(
            f"{name} is a numpy.ma.MaskedArray: its mask would be lost. Pass {name}.data, and say with mask= which "
            "keys are visible."
        )


def _not_an_array(given: Any, name: str) -> str:
    kind = type(given)
    message = f"{name} is a {kind.__module__}.{kind.__qualname__}, expected a NumPy array of {FORMAT_LIST}."
    if kind.__module__.split(".")[0] == "torch":
        return f"{message} Pass {name}.numpy()."
    return f"{message} Use np.asarray({name}, np.float32)."


def _not_a_format(array: NDArray[Any], name: str) -> str:
    if array.dtype.newbyteorder("=") in FORMAT_NAMES:
        return (
            f"{name} is {array.dtype.str}, in the other byte order. "
            f"Use {name}.astype({name}.dtype.newbyteorder('='))."
        )
    return (
        f"{name} is {array.dtype}, expected {FORMAT_LIST}. Convert it, for example {name}.astype(np.float32)."
    )


def _number(given: Any, name: str) -> float | None:
    if given is None or type(given) is float:
        return given
    if isinstance(given, bool | np.bool_) or not isinstance(given, int | float | np.integer | np.floating):
        raise AttentionScoringError(
            f"{name} is {given!r}, expected a positive number, or None to leave it out."
        )
    try:
        return float(given)
    except OverflowError:
        raise AttentionScoringError(
            f"{name} is an integer too large for a float, expected a positive number."
        ) from None


@lru_cache(maxsize=256)
def _problem(  # noqa: PLR0913  # what a cached problem is found by
    query: Shape, key: Shape, value: Shape, query_dtype: Any, key_dtype: Any, value_dtype: Any,
    mask: Mask | None, scale: float | None, softcap: float | None, bias: bool, slopes: bool, sinks: bool,
) -> AttentionProblem:  # fmt: skip
    shape = _shape(query, key, value)
    if not query_dtype == key_dtype == value_dtype:
        raise AttentionFormatError(
            f"query is {query_dtype}, key is {key_dtype} and value is {value_dtype}, expected one format. "
            "Convert them to the widest: nothing is narrowed or widened silently."
        )
    for name, number in (("scale", scale), ("softcap", softcap)):
        if number is not None and not (isfinite(number) and number > 0):
            raise AttentionScoringError(
                f"{name}={number!r}: expected a positive finite number. Leave it out for "
                + ("1/sqrt(key_dim)." if name == "scale" else "no cap.")
            )
    if mask is not None:
        mask.check(Sizes(shape.batch, shape.query_heads, shape.query_len, shape.key_len))
    scoring = Scoring(1 / sqrt(shape.key_dim) if scale is None else scale, softcap, bias, slopes, sinks)
    return AttentionProblem(shape, FORMAT_NAMES[query_dtype], mask, scoring)


def _shape(query: Shape, key: Shape, value: Shape) -> AttentionShape:
    ranks = (len(query), len(key), len(value))
    if len(set(ranks)) > 1 or not 2 <= ranks[0] <= 4:
        raise AttentionShapeError(
            f"query has {ranks[0]} axes, key {ranks[1]} and value {ranks[2]}, expected the same number for all: "
            "[batch, heads, tokens, dim], [heads, tokens, dim] or [tokens, dim]."
        )
    lead = (1,) * (4 - ranks[0])
    batch, query_heads, query_len, key_dim = lead + query
    key_batch, kv_heads, key_len, dim_of_key = lead + key
    value_batch, value_heads, value_len, value_dim = lead + value
    for name, other in (("key", key_batch), ("value", value_batch)):
        if other != batch:
            raise AttentionShapeError(
                f"{name} has batch={other} and query has batch={batch}, expected the same."
            )
    if dim_of_key != key_dim:
        raise AttentionShapeError(
            f"key has key_dim={dim_of_key} and query has key_dim={key_dim}, expected the same: they are multiplied. "
            "A [batch, tokens, heads, dim] array is passed as x.swapaxes(1, 2)."
        )
    if (value_heads, value_len) != (kv_heads, key_len):
        raise AttentionShapeError(
            f"value has {value_heads} heads x {value_len} tokens and key has {kv_heads} x {key_len}, "
            "expected a value for each key."
        )
    _check_heads(query_heads, kv_heads)
    shape = AttentionShape(batch, query_heads, kv_heads, query_len, key_len, key_dim, value_dim)
    _check_limits(shape)
    return shape


def _check_limits(shape: AttentionShape) -> None:
    for name, dim in (("key_dim", shape.key_dim), ("value_dim", shape.value_dim)):
        if not 1 <= dim <= LARGEST_DIM:
            raise AttentionShapeError(f"{name}={dim}: expected 1 to {LARGEST_DIM}.")
    if max(shape.key_len, shape.query_len) >= MOST_KEYS:
        raise AttentionShapeError(
            f"query_len={shape.query_len}, key_len={shape.key_len}: expected less than 2**31 tokens."
        )
    widest = max(shape.key_len, shape.key_dim, shape.value_dim)
    if prod((max(shape.batch, 1), shape.query_heads, max(shape.query_len, 1), widest, 8)) >= 2**63:
        raise AttentionShapeError(
            f"batch={shape.batch} x query_heads={shape.query_heads} x query_len={shape.query_len} x "
            f"key_len={shape.key_len}: the product overflows 64 bits. Split the batch or the queries."
        )


def _check_heads(query_heads: int, kv_heads: int) -> None:
    if query_heads < 1 or kv_heads < 1:
        raise AttentionShapeError(
            f"query_heads={query_heads}, kv_heads={kv_heads}: expected at least 1 of each."
        )
    if query_heads % kv_heads:
        divisors = [heads for heads in range(1, query_heads + 1) if query_heads % heads == 0]
        raise AttentionShapeError(
            f"query_heads={query_heads} cannot share kv_heads={kv_heads}: each kv head must serve the same number "
            f"of query heads. Use kv_heads in {divisors}."
        )


def _read_bias(bias: Any, problem: AttentionProblem) -> NDArray[Any]:
    if isinstance(bias, np.ndarray) and bias.dtype == np.bool_:
        raise AttentionScoringError("bias is an array of bool, which is a mask: pass mask= (True = visible).")
    if not isinstance(bias, np.ndarray):
        raise AttentionFormatError(_not_an_array(bias, "bias"))
    if bias.dtype not in FORMAT_NAMES:
        raise AttentionFormatError(_not_a_format(bias, "bias"))
    if not bias.flags.aligned:
        raise AttentionFormatError("bias is not aligned in memory. Pass bias.copy().")
    accumulation = accumulation_dtype(problem.number_format)
    if FORMAT_NAMES[bias.dtype] != problem.number_format and bias.dtype != accumulation:
        raise AttentionFormatError(
            f"bias is {bias.dtype}, expected {problem.number_format}, as the query, or {accumulation}, as the sums. "
            f"Convert it: bias.astype(np.{accumulation})."
        )
    shape = problem.shape
    full = (shape.batch, shape.query_heads, shape.query_len, shape.key_len)
    given = (1,) * (4 - bias.ndim) + bias.shape
    for axis, name in enumerate(("batch", "query_heads", "query_len", "key_len")):
        if bias.ndim > 4 or given[axis] not in (1, full[axis]):
            raise AttentionShapeError(
                f"bias has shape {list(bias.shape)}, expected one that broadcasts to [batch, query_heads, query_len, "
                f"key_len] = {list(full)}" + (f"; its {name} is {given[axis]}." if bias.ndim <= 4 else ".")
            )
    return np.broadcast_to(bias, full)


def _read_per_head(given: Any, name: str, problem: AttentionProblem) -> NDArray[Any]:
    """One number a query head, in the format of the sums. Plain numbers are read in it; arrays are not narrowed."""
    accumulation = accumulation_dtype(problem.number_format)
    if isinstance(given, np.ndarray):
        if given.dtype not in FORMAT_NAMES:
            raise AttentionFormatError(_not_a_format(given, name))
        if given.dtype.itemsize > accumulation.itemsize:
            raise AttentionFormatError(
                f"{name} is {given.dtype}, expected {accumulation} or narrower, the sums are in it. "
                f"Use {name}.astype(np.{accumulation})."
            )
        numbers = given
    else:
        try:
            numbers = np.array([float(each) for each in given], np.float64)
        except (TypeError, ValueError):
            raise AttentionFormatError(
                f"{name} is {given!r}, expected one number a query head: an array or a sequence of floats."
            ) from None
    heads = problem.shape.query_heads
    if numbers.shape != (heads,):
        raise AttentionShapeError(
            f"{name} has shape {list(numbers.shape)}, expected [{heads}], one number for each of the query heads."
        )
    if (
        np.isnan(numbers).any()
        or np.isposinf(numbers).any()
        or (name == "slopes" and np.isneginf(numbers).any())
    ):
        raise AttentionScoringError(f"{name} holds a NaN or an infinity, expected finite numbers.")
    return np.ascontiguousarray(numbers, accumulation)
