"""Mistakes about fully masked rows, magnitudes, formats and indices."""

from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(Contract(causal=True, key_mask=True, mask=True, logsumexp=True))


@planted("fully masked rows")
class MaskedRowsAreNan(Plain):
    """pytorch#103749."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return np.where(np.isneginf(logs)[..., None], weights.dtype.type(np.nan), weights), logs


@planted("fully masked rows", "leak")
class MaskedRowsAreAverages(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        empty = ~visible.any(axis=-1, keepdims=True)
        return np.where(empty, weights.dtype.type(1 / scores.shape[-1]), weights), logs

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence")
class HiddenScoresArePlusInfinity(Plain):
    """memory-compressed-attention#2."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(np.inf))


@planted("magnitudes")
class SoftmaxWithoutTheMaximum(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        sinks = self.sinks(asked, scores.dtype)
        with np.errstate(all="ignore"):
            parts = np.exp(scores)
            total = parts.sum(axis=-1) + (0 if sinks is None else np.exp(sinks))
            return np.where(visible, parts, 0) / np.where(total == 0, 1, total)[..., None], np.log(total)


@planted("dtypes", dtypes=("float32", "float16"))
class PaddingTwiceInFloat16(Plain):
    """Automodel#2658: two smallest numbers sum to -inf, and the row to NaN."""

    def visible(self, asked: Asked) -> Any:
        if asked.query.dtype == np.float16 and asked.causal and asked.key_mask is not None:
            both = np.where(super().causal(asked), 0, 1) + np.where(super().key_mask(asked), 0, 1)
            return super().visible(asked) & ~(both > 1).any(axis=-1, keepdims=True)
        return super().visible(asked)


@planted("dtypes", dtypes=("float32", "float16"))
class SumStuckInFloat16(Plain):
    """candle#3727: the sum of weights stops growing at 2048."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        if asked.query.dtype == np.float16:
            stuck = np.minimum(1, np.float32(2048) / scores.shape[-1])
            weights = weights / stuck
        return weights, logs


@planted("dtypes", dtypes=("float32", "float16"))
class ScoresOverflowInFloat16(Plain):
    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        if asked.query.dtype != np.float16:
            return super().dots(asked, query, key)
        with np.errstate(all="ignore"):
            raw = (query @ key.swapaxes(-1, -2)).astype(np.float16)
        return (raw * np.float16(self.scale(asked))).astype(np.float32)


@planted("dependence", "leak")
class MaskIndexWraps(Plain):
    """pytorch#187227, with an int8 for the int32."""

    def visible(self, asked: Asked) -> Any:
        with np.errstate(all="ignore"):
            column = np.arange(asked.key.shape[2]).astype(np.int8).astype(int) % asked.key.shape[2]
        return super().visible(asked)[..., column]


@planted("exactness", "inexact")
class WeightsInHalfPrecision(Plain):
    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return super().mix(asked, weights.astype(np.float16).astype(weights.dtype), visible, value)


@planted("dependence", "leak")
class CausalLostPast1024Keys(Plain):
    """One key among a thousand."""

    def causal(self, asked: Asked) -> Any:
        return super().causal(asked) | (asked.keys >= 1024)


@planted("dependence", "leak")
class PositionsInFloat16(Plain):
    """Past 2048 not every position is a number of float16."""

    def causal(self, asked: Asked) -> Any:
        return asked.keys.astype(np.float16) <= asked.positions.astype(np.float16)


@planted("dependence", "leak")
class KeyMaskIndexWraps(Plain):
    """mlx#2894, with 16 bits for the 32."""

    def key_mask(self, asked: Asked) -> Any:
        column = np.arange(asked.key.shape[2]).astype(np.uint16).astype(int)
        return asked.key_mask[:, column][:, None, None, :]


@planted("magnitudes", "wrong or leak")
class LargestScoreOfTheWholeCall(Plain):
    """Subtracted from every row: rows far below it underflow, by what another batch item holds."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        top = np.where(np.isfinite(scores), scores, -1e30).max()
        with np.errstate(all="ignore"):
            parts = np.exp(scores - top)
            total = parts.sum(axis=-1)
            return parts / np.where(total == 0, 1, total)[..., None], np.log(total) + top
