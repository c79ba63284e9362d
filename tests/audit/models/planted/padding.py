"""Padding that shows, or shifts."""

from typing import Any

import numpy as np

from tests.audit.models.host import Alibi, Asked, Encoder, Host, Learned, RightPadded, Unplaced, WithPrefix
from tests.audit.models.planted.registry import EVERYTHING, planted


@planted("padding invariance", "leak", "the attention mask ignored")
class MaskIgnored(Host):
    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING


@planted("padding invariance", "leak")
class MaskIgnoredInTheLastLayer(Host):
    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if layer == self.depth - 1 else super().hidden_padding(asked, layer)


@planted("padding invariance", "leak")
class ZeroOneMaskAddedToScores(Encoder):
    def softmax(self, scores: Any, visible: Any) -> Any:
        return super().softmax(scores + visible.astype(np.float32), EVERYTHING)


@planted("padding invariance", "leak", "the mask of row 0")
class MaskOfRowZero(Host):
    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return asked.real[:1, None, :]


@planted("padding invariance", "wrong", "flat buffer")
class MaskFromAFlatBuffer(RightPadded):
    """onnxruntime-genai#1639."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        real = asked.real
        return (np.arange(real.size) < real.sum()).reshape(real.shape)[:, None, :]


@planted("padding invariance", "leak")
class MaskAlongTheQueries(Encoder):
    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return asked.real[:, :, None]


@planted("padding invariance", "leak", "from the other side")
class PaddingSideAssumed(Unplaced):
    """The number of real tokens is taken, and the side is not."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        lengths = asked.real.sum(axis=1)
        return (asked.keys[None] < lengths[:, None])[:, None, :]


@planted("padding invariance", "leak")
class PrefixShowsPadding(WithPrefix):
    """transformers#30993: the prefix is unmasked after the padding was hidden."""

    def visible(self, asked: Asked, layer: int) -> Any:
        return super().visible(asked, layer) | self.in_prefix(asked, layer)


@planted("padding invariance", "wrong", "positions that count the padded slots")
class PositionsCountPadding(Learned):
    """transformers#22161."""

    def positions(self, asked: Asked) -> Any:
        return np.broadcast_to(np.arange(asked.total), (asked.batch, asked.total))


@planted("padding invariance", "wrong")
class AlibiOfTheLongestRow(Alibi):
    """Distances from the right end, taken of unpadded rows; padded ones are one off a token."""

    def alibi(self, asked: Asked) -> Any:
        bias = super().alibi(asked)
        return bias if asked.real.all() else bias * np.float32(1.01)


@planted("not a number", "wrong", "NaN")
class NaNWhereNothingIsSeen(Host):
    def softmax(self, scores: Any, visible: Any) -> Any:
        scores = np.where(visible, scores, np.float32(-np.inf))
        with np.errstate(all="ignore"):
            parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
            return parts / parts.sum(axis=-1, keepdims=True)


@planted("padding invariance", "leak")
class FlattenedMean(Encoder):
    """A pooled mean over all slots, padding included, joins every token."""

    def embed(self, asked: Asked) -> Any:
        x = super().embed(asked)
        return x + np.float32(0.3) * x.mean(axis=1, keepdims=True)


@planted("mutation", "wrong")
class MaskChangedInPlace(Host):
    """RibonanzaNet#7."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        shown = super().hidden_padding(asked, layer).copy()
        if asked.mask is not None and layer == 0:
            asked.mask[:, 0] = 0
        return shown


@planted("attention mask", "wrong")
class OnesAreNotNone(Host):
    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        real = asked.real.copy()
        if asked.mask is not None and asked.total > 2:
            real[:, 0] = asked.total <= 2
        return real[:, None, :]


@planted("attention mask", "wrong")
class BoolMaskInverted(Host):
    """True read as hidden, as torch's key_padding_mask is."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        inverted = asked.mask is not None and asked.mask.dtype == bool
        return (~asked.real if inverted else asked.real)[:, None, :]
