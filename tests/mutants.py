"""Attention that is wrong in one step: mistakes that real projects made. The suite must catch each.

A mutant is Baseline with one method overridden; MUTANTS pairs it with a case on which the mistake shows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from attnscope.problem import Causal, KeyLengths, Window
from tests.baseline import Baseline
from tests.problems import Case


def case_of(**options: Any) -> Case:
    """4 query heads on 2 kv heads, 5 queries, 9 keys: no size equals another."""
    rng = np.random.default_rng(11)
    shapes = ((2, 4, 5, 6), (2, 2, 9, 6), (2, 2, 9, 3))
    query, key, value = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return Case(query, key, value, options)


class FlippedMask(Baseline):
    def visible(self, case: Case, shape: tuple[int, ...]) -> Any:
        return ~super().visible(case, shape)


class IgnoredMask(Baseline):
    def visible(self, case: Case, shape: tuple[int, ...]) -> Any:
        return np.ones(shape, dtype=bool)


class TopLeftCausal(Baseline):
    """The first query meets the first key, whatever the number of keys."""

    def visible(self, case: Case, shape: tuple[int, ...]) -> Any:
        return super().visible(case.but(mask=Causal(offset=0)), shape)


class WindowOneTooWide(Baseline):
    def visible(self, case: Case, shape: tuple[int, ...]) -> Any:
        return super().visible(case.but(mask=Window(left=3, right=0)), shape)


class LengthsOfTheFirstBatchRow(Baseline):
    def visible(self, case: Case, shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(super().visible(case, shape)[:1], shape)


class MaskBySmallNumber(Baseline):
    """-10 instead of -inf: hidden keys keep a little weight."""

    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        return super().softmax(np.where(visible, scores, self.dtype(-10)), np.True_, sinks)


class MaskAfterSoftmax(Baseline):
    """Hidden weights are zeroed, and the row is not normalised again."""

    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        weights, logsumexp = super().softmax(scores, np.True_, sinks)
        return weights * visible, logsumexp


class MissingScale(Baseline):
    def scale(self, options: dict[str, Any], key_dim: int) -> float:
        return 1.0


class ScaleOfTheWholeModel(Baseline):
    """1/sqrt of all heads' dims together."""

    def scale(self, options: dict[str, Any], key_dim: int) -> float:
        return float(1.0 / np.sqrt(4 * key_dim))


class ScaleOnTheBias(Baseline):
    def add(self, scores: Any, options: dict[str, Any]) -> Any:
        scaled = self.dtype(self.scale(options, 6)) * options["bias"]
        return super().add(scores, options | {"bias": scaled})


class SoftcapAfterTheBias(Baseline):
    def cap(self, scores: Any, options: dict[str, Any]) -> Any:
        return scores

    def add(self, scores: Any, options: dict[str, Any]) -> Any:
        return super().cap(super().add(scores, options), options)


class NoSoftcap(Baseline):
    def cap(self, scores: Any, options: dict[str, Any]) -> Any:
        return scores


class HeadsTiled(Baseline):
    """Query head h reads kv head h % kv_heads: 0 1 0 1 instead of 0 0 1 1."""

    def repeat(self, heads: Any, group: int) -> Any:
        return np.tile(heads, (1, group, 1, 1))


class DistanceFromTheFirstQuery(Baseline):
    def distance(self, query_len: int, key_len: int) -> Any:
        return np.abs(np.arange(query_len)[:, None] - np.arange(key_len)).astype(self.dtype)


class DistanceWithASign(Baseline):
    """Right for the past; keys ahead of the query gain by their distance."""

    def distance(self, query_len: int, key_len: int) -> Any:
        positions = np.arange(query_len) + key_len - query_len
        return (positions[:, None] - np.arange(key_len)).astype(self.dtype)


class SinkWithoutWeight(Baseline):
    def optional(self, case: Case, name: str) -> Any:
        return None


class SinkScaled(Baseline):
    def optional(self, case: Case, name: str) -> Any:
        return super().optional(case, name) * self.dtype(self.scale(case.options, 6))


class UnscaledRescale(Baseline):
    """Key by key, and a new maximum does not shrink what was accumulated."""

    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        running = np.maximum.accumulate(scores, axis=-1)
        parts = np.exp(scores - running)
        total = parts.sum(axis=-1)
        return parts / total[..., None], running[..., -1] + np.log(total)


class NanFromAHiddenKey(Baseline):
    """0 * NaN = NaN: the sum runs over hidden keys as well."""

    def mix(self, weights: Any, visible: Any, value: Any) -> Any:
        poisoned = value.copy()
        poisoned[:, :, -1] = np.nan
        return weights @ poisoned


class NanInsteadOfNothing(Baseline):
    """A row that sees no key divides 0 by 0."""

    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        weights, logsumexp = super().softmax(scores, visible, sinks)
        return np.where(np.isneginf(logsumexp)[..., None], self.dtype(np.nan), weights), logsumexp


class AverageInsteadOfNothing(Baseline):
    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        weights, logsumexp = super().softmax(scores, visible, sinks)
        average = self.dtype(1 / scores.shape[-1])
        return np.where(np.isneginf(logsumexp)[..., None], average, weights), logsumexp


class LogOfBaseTwo(Baseline):
    def log(self, total: Any) -> Any:
        return np.log2(total)


class LogWithoutTheMaximum(Baseline):
    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        weights, logsumexp = super().softmax(scores, visible, sinks)
        return weights, logsumexp - scores.max(axis=-1)


class HalfPrecisionWeights(Baseline):
    """Right, but for weights that were rounded to float16 on the way."""

    def mix(self, weights: Any, visible: Any, value: Any) -> Any:
        return super().mix(weights.astype(np.float16).astype(self.dtype), visible, value)


BIAS = np.random.default_rng(5).standard_normal((5, 9)).astype(np.float32)
EMPTY_ROWS = Causal(offset=-2)

MUTANTS: dict[Callable[[], Baseline], Case] = {
    FlippedMask: case_of(mask=Causal()),
    IgnoredMask: case_of(mask=KeyLengths(8)),
    TopLeftCausal: case_of(mask=Causal()),
    WindowOneTooWide: case_of(mask=Window(left=2, right=0)),
    LengthsOfTheFirstBatchRow: case_of(mask=KeyLengths([9, 7])),
    MaskBySmallNumber: case_of(mask=Causal()),
    MaskAfterSoftmax: case_of(mask=Causal()),
    MissingScale: case_of(),
    ScaleOfTheWholeModel: case_of(),
    ScaleOnTheBias: case_of(bias=BIAS),
    SoftcapAfterTheBias: case_of(bias=BIAS, softcap=2.0),
    NoSoftcap: case_of(softcap=2.0),
    HeadsTiled: case_of(),
    DistanceFromTheFirstQuery: case_of(alibi_slopes=[0.5, 0.25, 0.125, 0.0625]),
    DistanceWithASign: case_of(alibi_slopes=[0.5, 0.25, 0.125, 0.0625]),
    SinkWithoutWeight: case_of(sinks=[0.0, 1.0, -1.0, 0.5]),
    SinkScaled: case_of(sinks=[0.0, 1.0, -1.0, 0.5]),
    UnscaledRescale: case_of(),
    NanFromAHiddenKey: case_of(mask=KeyLengths(8)),
    NanInsteadOfNothing: case_of(mask=EMPTY_ROWS),
    AverageInsteadOfNothing: case_of(mask=EMPTY_ROWS),
    LogOfBaseTwo: case_of(),
    LogWithoutTheMaximum: case_of(),
    HalfPrecisionWeights: case_of(),
}
