"""The same-precision baseline: softmax attention in plain NumPy, as precise as the implementation under test.

It is not an oracle. It measures the error that this precision costs if nothing is wrong, so that a bound
can be "no worse than twice that" (the rule of flash-attention's and attention-gym's tests). Each step is a
method, so that a mutant is a subclass with one wrong step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.problem import Mask
from attnscope.result import PartialAttention
from tests.problems import Case


@dataclass(frozen=True, eq=False)
class Baseline:
    """All arithmetic in `dtype`; the output is rounded to the query's format, unless it is a partial."""

    dtype: Any = np.float32

    def attention(self, case: Case) -> Any:
        return self.partial(case).output.astype(case.query.dtype)

    def partial(self, case: Case) -> PartialAttention:
        query, key, value = (array.astype(self.dtype) for array in case.arrays)
        group = query.shape[1] // key.shape[1]
        key, value = self.repeat(key, group), self.repeat(value, group)
        scores = self.scores(query, key, case.options)
        visible = self.visible(case, scores.shape)
        weights, logsumexp = self.softmax(scores, visible, self.optional(case, "sinks"))
        return PartialAttention(self.mix(weights, visible, value), logsumexp)

    def repeat(self, heads: Any, group: int) -> Any:
        return np.repeat(heads, group, axis=1)

    def scale(self, options: dict[str, Any], key_dim: int) -> float:
        scale = options.get("scale")
        return float(1.0 / np.sqrt(key_dim) if scale is None else scale)

    def scores(self, query: Any, key: Any, options: dict[str, Any]) -> Any:
        scale = self.dtype(self.scale(options, query.shape[-1]))
        scores = self.cap((query * scale) @ key.swapaxes(-1, -2), options)
        return self.add(scores, options)

    def cap(self, scores: Any, options: dict[str, Any]) -> Any:
        if options.get("softcap") is None:
            return scores
        softcap = self.dtype(options["softcap"])
        return softcap * np.tanh(scores / softcap)

    def add(self, scores: Any, options: dict[str, Any]) -> Any:
        if options.get("bias") is not None:
            scores = scores + options["bias"].astype(self.dtype)
        if options.get("alibi_slopes") is not None:
            alibi_slopes = np.asarray(options["alibi_slopes"], dtype=self.dtype)
            scores = scores - alibi_slopes[:, None, None] * self.distance(*scores.shape[-2:])
        return scores

    def distance(self, query_len: int, key_len: int) -> Any:
        positions = np.arange(query_len) + key_len - query_len
        return np.abs(positions[:, None] - np.arange(key_len)).astype(self.dtype)

    def visible(self, case: Case, shape: tuple[int, ...]) -> Any:
        mask = case.options.get("mask")
        if isinstance(mask, Mask):
            mask = mask.visible(shape[2], shape[3], batch=shape[0], heads=shape[1])
        bias = case.options.get("bias")
        visible = np.broadcast_to(True if mask is None else mask, shape)
        return visible if bias is None else visible & ~np.isneginf(bias.astype(self.dtype))

    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        scores = np.where(visible, scores, self.dtype(-np.inf))
        top = scores.max(axis=-1, initial=-np.inf)
        if sinks is not None:
            top = np.maximum(top, sinks[:, None])
        anchor = np.where(np.isneginf(top), self.dtype(0), top)
        parts = np.exp(scores - anchor[..., None])
        total = parts.sum(axis=-1)
        if sinks is not None:
            total = total + np.exp(sinks[:, None] - anchor)
        with np.errstate(divide="ignore"):
            logsumexp = self.log(total) + anchor
        return parts / np.where(total == 0, self.dtype(1), total)[..., None], logsumexp

    def log(self, total: Any) -> Any:
        return np.log(total)

    def mix(self, weights: Any, visible: Any, value: Any) -> Any:
        """Correct for finite values only; the tests pass no others."""
        return weights @ value

    def optional(self, case: Case, name: str) -> Any:
        given = case.options.get(name)
        return None if given is None else np.asarray(given, dtype=self.dtype)
