"""Mistakes that need a number format, a magnitude or a length, or several of them at once."""

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

HALVES = ("float32", "float16", "bfloat16")
planted = planting(Contract(causal=True, key_mask=True, grouped_heads=True, dtypes=HALVES))


def in_format(asked: Asked, *names: str) -> bool:
    return asked.query.dtype.name in names


@planted("dtypes", causes=("float16",))
class BfloatThroughFloat16(Plain):
    """bfloat16 arrays become float16, which ends at 65504 and 6e-8."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        if in_format(asked, "bfloat16"):
            with np.errstate(over="ignore"):
                arrays = (each.astype(np.float16) for each in (asked.query, asked.key, asked.value))
            asked = replace(asked, **dict(zip(("query", "key", "value"), arrays, strict=True)))
        return super().attend(asked)


@planted("dependence", "leak", causes=("finite number",))
class FillAddedInHalf(Plain):
    """-1e4 is added to hidden scores, in 16 bits only."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        if in_format(asked, "float32"):
            return super().hide(asked, scores, visible)
        return scores + np.where(visible, scores.dtype.type(0), scores.dtype.type(-1e4))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("fully masked rows", "leak", causes=("average of all hidden",))
class SmallestFloat16Fills(Plain):
    """Hidden scores are -65504, in float16 only."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        fill = -65504 if in_format(asked, "float16") else -np.inf
        return np.where(visible, scores, scores.dtype.type(fill))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


class Floored(Plain):
    """The exponential has a smallest value, so that hidden keys keep a small weight."""

    formats: tuple[str, ...] = HALVES
    floor = -20.0

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        if not in_format(asked, *self.formats):
            return super().softmax(asked, scores, visible)
        top = np.maximum(scores.max(axis=-1, keepdims=True), scores.dtype.type(-1e30))
        parts = np.exp(np.maximum(scores - top, scores.dtype.type(self.floor)))
        total = parts.sum(axis=-1, keepdims=True)
        return parts / total, (np.log(total) + top)[..., 0]

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        seen = visible.any(axis=-1, keepdims=True)
        return np.where(seen, weights, 0) @ value


@planted("dependence", "leak", causes=("finite number", "exponential"))
class ExponentialFlooredInBfloat16(Floored):
    formats = ("bfloat16",)


@planted("dependence", "leak", causes=("finite number", "exponential"))
class ExponentialFlooredInFloat16(Floored):
    formats, floor = ("float16",), -10.0


@planted("dependence", "leak", causes=("finite number", "exponential"))
class ExponentialFlooredFarBelow(Floored):
    floor = -30.0


class OnlineFrom(Plain):
    """An online softmax whose running maximum starts at a finite number."""

    start = 0.0
    formats: tuple[str, ...] = HALVES
    rows = 10**9

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        if not in_format(asked, *self.formats) or asked.query.shape[2] > self.rows:
            return super().softmax(asked, scores, visible)
        top = np.maximum(scores.max(axis=-1), scores.dtype.type(self.start))
        parts = np.exp(scores - top[..., None])
        total = parts.sum(axis=-1)
        with np.errstate(divide="ignore"):
            return parts / np.where(total == 0, 1, total)[..., None].astype(scores.dtype), np.log(total) + top


@planted("magnitudes", causes=("maximum",))
class MaximumStartsAtZero(OnlineFrom):
    pass


@planted("magnitudes", causes=("maximum",))
class MaximumStartsAtZeroForOneRow(OnlineFrom):
    rows = 1


@planted("magnitudes", causes=("maximum",))
class MaximumStartsAtTheSmallestFloat16(OnlineFrom):
    start = -65504.0


@planted("dtypes", causes=("maximum", "scores are around -"))
class MaximumStartsAtMinusTenThousandInBfloat16(OnlineFrom):
    start, formats = -1e4, ("bfloat16",)


@planted("magnitudes", causes=("largest score",))
class NoMaximumForOneRow(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        if asked.query.shape[2] > 1:
            return super().softmax(asked, scores, visible)
        with np.errstate(all="ignore"):
            parts = np.exp(scores)
            total = parts.sum(axis=-1)
            return np.where(visible, parts, 0) / np.where(total == 0, 1, total)[..., None], np.log(total)


@planted("dtypes", causes=("key_len",))
class SumStuckAt256InBfloat16(Plain):
    """A running sum in bfloat16 stops growing at 256 equal weights, in rows of one query."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        if in_format(asked, "bfloat16") and asked.query.shape[2] == 1:
            count = visible.sum(axis=-1, keepdims=True)
            weights = weights * np.where(count > 256, count / np.float32(256), np.float32(1))
        return weights, logs


@planted("dtypes", "leak", causes=("key_len",))
class PositionsInBfloat16(Plain):
    """Positions have the format of the queries: past 256 not every position is a number of bfloat16."""

    def causal(self, asked: Asked) -> Any:
        if not in_format(asked, "bfloat16"):
            return super().causal(asked)
        short = ml_dtypes.bfloat16
        return asked.keys.astype(short) <= asked.positions.astype(short)


@planted("dtypes", causes=("float16",))
class TinyValuesFlushedInFloat16(Plain):
    """Values below the smallest normal number of float16 become 0."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        if in_format(asked, "float16"):
            value = np.where(np.abs(asked.value) < np.float16(6.1e-5), np.float16(0), asked.value)
            asked = replace(asked, value=value)
        return super().attend(asked)


@planted("dtypes", causes=("grouped heads", "float16"))
class GroupedScoresOverflowInFloat16(Plain):
    """The dot products of grouped heads are float16 before they are scaled."""

    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        if not in_format(asked, "float16") or asked.group == 1:
            return super().dots(asked, query, key)
        with np.errstate(all="ignore"):
            raw = (query @ key.swapaxes(-1, -2)).astype(np.float16)
            return raw.astype(np.float32) * np.float32(self.scale(asked))


@planted("magnitudes", causes=("value",))
class ValuesClipped(Plain):
    """Outputs are clipped to the range of float16."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return np.clip(super().mix(asked, weights, visible, value), -65504, 65504)


@planted("dtypes", causes=("bfloat16",))
class HalfRowsSplitAtABlock(Plain):
    """The last, incomplete vector of 16 keys is dropped in bfloat16 past 128 keys."""

    def visible(self, asked: Asked) -> Any:
        visible, length = super().visible(asked), asked.key.shape[2]
        if in_format(asked, "bfloat16") and length > 128 and length % 16:
            visible = visible & (asked.keys < length - length % 16)
        return visible
