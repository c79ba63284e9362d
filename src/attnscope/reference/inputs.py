"""A problem and its arrays, as the reference reads them: float64, one kv head for each query head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import AttentionProblem, Mask, Operands, describe

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Options(TypedDict, total=False):
    """The keyword arguments of attention(); each is None, or absent, where it plays no part.

    mask        a Mask, or a bool array with True = visible
    scale       multiplies the dot products; 1/sqrt(key_dim) unless given
    softcap     score -> softcap * tanh(score / softcap)
    bias        added to the scores; broadcasts to (batch, query_heads, query_len, key_len);
                -inf hides its key, as a mask would
    alibi_slopes      ALiBi: one slope a query head; the score loses slope * |query position - key position|
    sinks       one logit a query head that joins the normalizer and carries no value
    """

    mask: Mask | NDArray[np.bool_] | None
    scale: float | None
    softcap: float | None
    bias: NDArray[Any] | None
    alibi_slopes: NDArray[Any] | Sequence[float] | None
    sinks: NDArray[Any] | Sequence[float] | None


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything a formula of this room may use.

    Shapes
        query               (batch, query_heads, query_len, key_dim)
        key                 (batch, query_heads, key_len, key_dim)       kv heads repeated: see `one_for_each`
        value               (batch, query_heads, key_len, value_dim)
        visible             (batch, query_heads, query_len, key_len)     True: this query sees this key
        bias                (batch, query_heads, query_len, key_len)     or None
        alibi_slopes, sinks       (query_heads,)                               or None
        query_positions     (query_len,)
        key_positions       (key_len,)
    """

    query: Floats
    key: Floats
    value: Floats
    visible: Bools
    scale: float
    softcap: float | None
    bias: Floats | None
    alibi_slopes: Floats | None
    sinks: Floats | None
    query_positions: Floats
    key_positions: Floats

    def of_keys(self, keys: slice) -> "Inputs":
        """Ask the same of some of the keys only; positions stay what they were."""
        return replace(
            self,
            key=self.key[..., keys, :],
            value=self.value[..., keys, :],
            visible=self.visible[..., keys],
            bias=None if self.bias is None else self.bias[..., keys],
            key_positions=self.key_positions[keys],
        )


def read(
    query: NDArray[Any], key: NDArray[Any], value: NDArray[Any], **options: Unpack[Options]
) -> tuple[AttentionProblem, Operands, Inputs]:
    """Validate the arguments of attention() and widen them to float64, which is exact from every format."""
    problem, operands = describe(query, key, value, **options)
    shape = problem.shape
    bias = None if operands.bias is None else widen(operands.bias)
    visible = visible_keys(problem)
    first_position = shape.key_len - shape.query_len  # the last query stands at the last key
    inputs = Inputs(
        query=widen(operands.query),
        key=one_for_each(shape.query_heads, widen(operands.key)),
        value=one_for_each(shape.query_heads, widen(operands.value)),
        visible=visible if bias is None else visible & ~np.isneginf(bias),
        scale=problem.scoring.scale,
        softcap=problem.scoring.softcap,
        bias=bias,
        alibi_slopes=None if operands.alibi_slopes is None else widen(operands.alibi_slopes),
        sinks=None if operands.sinks is None else widen(operands.sinks),
        query_positions=first_position + np.arange(shape.query_len, dtype=np.float64),
        key_positions=np.arange(shape.key_len, dtype=np.float64),
    )
    return problem, operands, inputs


def widen(array: NDArray[Any]) -> Floats:
    """Copy to float64: exact from all four formats."""
    return array.astype(np.float64)


def one_for_each(query_heads: int, heads: Floats) -> Floats:
    """Repeat kv heads side by side, 0 0 1 1: query head h reads kv head h // (query_heads // kv_heads)."""
    kv_heads = heads.shape[1]
    return np.repeat(heads, query_heads // kv_heads, axis=1)


def visible_keys(problem: AttentionProblem) -> Bools:
    """Ask the mask slot by slot; never by the spans that kernels read, which this judges."""
    shape = problem.shape
    everywhere = (shape.batch, shape.query_heads, shape.query_len, shape.key_len)
    if problem.mask is None:
        return np.broadcast_to(np.True_, everywhere)
    visible = problem.mask.visible(shape.query_len, shape.key_len, batch=shape.batch, heads=shape.query_heads)
    return np.broadcast_to(visible, everywhere)
