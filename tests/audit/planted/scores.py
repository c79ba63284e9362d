"""Mistakes about scale, soft-cap, bias, sinks and the logsumexp."""

from dataclasses import replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(
    Contract(causal=True, mask=True, scale=True, softcap=True, bias=True, sinks=True, logsumexp=True)
)


@planted("scale")
class ScaleOfTheWholeModel(Plain):
    """ng-video-lecture#6."""

    def scale(self, asked: Asked) -> float:
        heads, dim = asked.query.shape[1], asked.query.shape[3]
        return float((heads * dim) ** -0.5) if asked.scale is None else asked.scale


@planted("scale")
class ScaleMissing(Plain):
    def scale(self, asked: Asked) -> float:
        return 1.0 if asked.scale is None else asked.scale


@planted("scale")
class GivenScaleIgnored(Plain):
    def scale(self, asked: Asked) -> float:
        return super().scale(replace(asked, scale=None))


@planted("scale")
class GivenScaleTimesTheDefault(Plain):
    def scale(self, asked: Asked) -> float:
        default = super().scale(replace(asked, scale=None))
        return default if asked.scale is None else default * asked.scale


@planted("bias")
class ScaleOnTheBias(Plain):
    """tt-metal#42891."""

    def biased(self, asked: Asked, scores: Any) -> Any:
        if asked.bias is None:
            return scores
        return scores + asked.bias.astype(scores.dtype) * scores.dtype.type(self.scale(asked))


@planted("bias")
class BiasOfItemZero(Plain):
    def biased(self, asked: Asked, scores: Any) -> Any:
        return scores if asked.bias is None else scores + asked.bias[:1].astype(scores.dtype)


@planted("bias")
class BiasIgnoredBesideAMask(Plain):
    def biased(self, asked: Asked, scores: Any) -> Any:
        return scores if asked.mask is not None else super().biased(asked, scores)


@planted("softcap")
class SoftcapIgnored(Plain):
    """vllm-metal#665."""

    def capped(self, asked: Asked, raw: Any) -> Any:
        return raw


@planted("softcap")
class SoftcapWithoutItsFactor(Plain):
    """unsloth-zoo#593."""

    def capped(self, asked: Asked, raw: Any) -> Any:
        return raw if asked.softcap is None else raw * np.tanh(raw / raw.dtype.type(asked.softcap))


@planted("softcap")
class SoftcapAfterTheBias(Plain):
    def scores(self, asked: Asked, query: Any, key: Any) -> Any:
        return super().capped(asked, super().biased(asked, self.dots(asked, query, key)))


@planted("softcap", "leak")
class SoftcapAfterTheMask(Plain):
    def capped(self, asked: Asked, raw: Any) -> Any:
        return raw

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        hidden = super().hide(asked, scores, visible)
        return super().capped(asked, hidden) if asked.softcap is not None else hidden

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("sinks")
class SinksIgnored(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        return None


@planted("sinks")
class SinksScaled(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        sinks = super().sinks(asked, dtype)
        return None if sinks is None else sinks * dtype.type(self.scale(asked))


@planted("sinks")
class SinkOfHeadZero(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        sinks = super().sinks(asked, dtype)
        return None if sinks is None else np.broadcast_to(sinks[:1], sinks.shape)


@planted("logsumexp")
class LogSumExpInBaseTwo(Plain):
    """sglang#40903."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return weights, logs / logs.dtype.type(np.log(2))


@planted("logsumexp")
class LogSumExpWithoutTheMaximum(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return weights, logs - np.where(visible.any(-1), scores.max(-1), 0)


@planted("logsumexp")
class LogSumExpWithoutTheSinks(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, _ = super().softmax(asked, scores, visible)
        return weights, super().softmax(replace(asked, sinks=None), scores, visible)[1]


@planted("magnitudes")
class TanhThatOverflows(Plain):
    """A tanh of exponentials: endless over endless where scores are large."""

    def capped(self, asked: Asked, raw: Any) -> Any:
        if asked.softcap is None:
            return raw
        cap = raw.dtype.type(asked.softcap)
        with np.errstate(all="ignore"):
            up, down = np.exp(raw / cap), np.exp(-raw / cap)
            return cap * (up - down) / (up + down)


@planted("magnitudes")
class SinkBesideTheMaximum(Plain):
    """The largest score is found without the sink: e^(sink - it) is endless."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        top = np.where(visible.any(axis=-1), scores.max(axis=-1), scores.dtype.type(0))
        sinks = self.sinks(asked, scores.dtype)
        with np.errstate(all="ignore"):
            parts = np.exp(scores - top[..., None])
            total = parts.sum(axis=-1) + (0 if sinks is None else np.exp(sinks - top))
            return parts / np.where(total == 0, 1, total)[..., None], np.log(total) + top
