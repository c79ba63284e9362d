"""Mistakes about padding, other masks, and finite numbers used for minus infinity."""

from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(Contract(causal=True, key_mask=True, mask=True, logsumexp=True))


@planted("dependence", "leak")
class KeyMaskIgnored(Plain):
    """pytorch#122753."""

    def key_mask(self, asked: Asked) -> Any:
        return np.True_


@planted("dependence", "leak")
class KeyMaskIgnoredWhenCausal(Plain):
    """pytorch#187413."""

    def key_mask(self, asked: Asked) -> Any:
        return np.True_ if asked.causal else super().key_mask(asked)


@planted("dependence", "leak")
class KeyMaskInverted(Plain):
    def key_mask(self, asked: Asked) -> Any:
        return ~super().key_mask(asked)


@planted("dependence", "leak")
class KeyMaskAlongTheQueries(Plain):
    """hyunwoongko/transformer#40."""

    def key_mask(self, asked: Asked) -> Any:
        square = asked.query.shape[2] == asked.key.shape[2]
        return asked.key_mask[:, None, :, None] if square else super().key_mask(asked)


@planted("dependence", "leak")
class KeyMaskOfItemZero(Plain):
    """SimpleTuner#1502."""

    def key_mask(self, asked: Asked) -> Any:
        return super().key_mask(asked)[:1]


@planted("dependence", "leak")
class KeyMaskThroughAFlatBuffer(Plain):
    """onnxruntime-genai#1639."""

    def key_mask(self, asked: Asked) -> Any:
        mask = asked.key_mask
        filled = np.arange(mask.size) < mask.sum()
        return filled.reshape(mask.shape)[:, None, None, :]


@planted("dependence", "leak")
class KeyMaskAsALength(Plain):
    def key_mask(self, asked: Asked) -> Any:
        return (asked.keys < asked.key_mask.sum(axis=1)[:, None])[:, None, None, :]


@planted("dependence", "leak")
class KeyMaskOneKeyTooMany(Plain):
    def key_mask(self, asked: Asked) -> Any:
        shown = asked.key_mask
        return (shown | np.roll(shown, 1, axis=1))[:, None, None, :]


@planted("dependence")
class KeyMaskHidesRowsAsWell(Plain):
    """pytorch#63271. Padded rows become NaN although they have keys to see."""

    def visible(self, asked: Asked) -> Any:
        visible = super().visible(asked)
        if asked.key_mask is not None and asked.query.shape[2] == asked.key.shape[2]:
            visible = visible & asked.key_mask[:, None, :, None]
        return visible


@planted("dependence", "leak")
class MaskIgnoredAfterHeadZero(Plain):
    def mask(self, asked: Asked) -> Any:
        return asked.mask | (np.arange(asked.query.shape[1]) > 0)[:, None, None]


@planted("dependence", "leak")
class MaskOfHeadZero(Plain):
    def mask(self, asked: Asked) -> Any:
        return asked.mask[:, :1]


@planted("dependence", "leak")
class MaskTransposed(Plain):
    def mask(self, asked: Asked) -> Any:
        square = asked.query.shape[2] == asked.key.shape[2]
        return asked.mask.swapaxes(2, 3) if square else asked.mask


@planted("dependence", "leak")
class MasksJoinedByOr(Plain):
    """transformers#30993."""

    def visible(self, asked: Asked) -> Any:
        visible = super().visible(asked)
        return visible | super().mask(asked) if asked.mask is not None else visible


@planted("dependence", "leak")
class MaskAddedAsZeroAndOne(Plain):
    """mlx-vlm#704."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores + visible.astype(scores.dtype)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence", "leak")
class MaskAfterSoftmax(Plain):
    """pytorch-image-models#2236."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return np.where(visible, weights, 0), logs

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores


@planted("dependence", "leak")
class HiddenScoresAreMinusTen(Plain):
    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(-10))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence", "leak")
class HiddenScoresAreMinusTenThousand(Plain):
    """transformer#40: a fill of -10000."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(-1e4))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence", "leak")
class MinusABillionIsAdded(Plain):
    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores + np.where(visible, scores.dtype.type(0), scores.dtype.type(-1e9))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("fully masked rows", "leak")
class HiddenScoresAreTheSmallestNumber(Plain):
    """Fully masked rows are the average of hidden values: mlx#2395, onnxruntime#28904."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, np.finfo(scores.dtype).min)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("poison", "leak")
class NanFromAHiddenValue(Plain):
    """pytorch#101967, vllm#39444."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("poison", "leak")
class NanFromAHiddenKey(Plain):
    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores + np.where(visible, scores.dtype.type(0), scores.dtype.type(-np.inf))


@planted("mutation")
class MaskChangedInPlace(Plain):
    """RibonanzaNet#7."""

    def key_mask(self, asked: Asked) -> Any:
        shown = asked.key_mask.copy()
        asked.key_mask[:, -1] = False
        return shown[:, None, None, :]


@planted("mutation")
class QueryScaledInPlace(Plain):
    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        scores = super().dots(asked, query, key)
        asked.query *= asked.query.dtype.type(self.scale(asked))
        return scores
