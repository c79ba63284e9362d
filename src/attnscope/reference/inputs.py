"""A problem and its arrays as the reference reads them: float64, with one kv head for each query head."""

from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import Array, AttentionOptions, AttentionProblem, Operands, describe

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that a formula of the reference may use.

    Parameters
    ----------
    query : ndarray, shape (batch, query_heads, query_len, key_dim)
    key : ndarray, shape (batch, query_heads, key_len, key_dim)
        kv heads are repeated: see `one_for_each`.
    value : ndarray, shape (batch, query_heads, key_len, value_dim)
    visible : ndarray of bool, shape (batch, query_heads, query_len, key_len)
        True: this query sees this key.
    scale : float
    softcap : float or None
    bias : ndarray, shape (batch, query_heads, query_len, key_len), or None
    alibi_slopes, sinks : ndarray, shape (query_heads,), or None
    query_positions : ndarray, shape (query_len,)
    key_positions : ndarray, shape (key_len,)
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
        """Restrict the inputs to some of the keys; positions do not change."""
        return replace(
            self,
            key=self.key[..., keys, :],
            value=self.value[..., keys, :],
            visible=self.visible[..., keys],
            bias=None if self.bias is None else self.bias[..., keys],
            key_positions=self.key_positions[keys],
        )


def read(
    query: Array, key: Array, value: Array, **options: Unpack[AttentionOptions]
) -> tuple[AttentionProblem, Operands, Inputs]:
    """Validate the arguments of attention() and widen them to float64, which is exact for every format."""
    problem, operands = describe(query, key, value, **options)
    shape = problem.shape
    bias = None if operands.bias is None else widen(operands.bias)
    visible = visible_keys(problem)
    first_position = shape.key_len - shape.query_len  # the last query is aligned with the last key
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
    """Write the mask out entry by entry, never by the spans that the kernel reads and that this tests."""
    shape = problem.shape
    everywhere = (shape.batch, shape.query_heads, shape.query_len, shape.key_len)
    if problem.mask is None:
        return np.broadcast_to(np.True_, everywhere)
    visible = problem.mask.visible(shape.query_len, shape.key_len, batch=shape.batch, heads=shape.query_heads)
    return np.broadcast_to(visible, everywhere)
