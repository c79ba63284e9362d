"""Mistakes of code that treats masks block by block."""

from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(Contract(causal=True, key_mask=True, mask=True))


def blocks(visible: Any, block: int, axis: int = -1) -> Any:
    """A mask cut into whole blocks along an axis; the rest is left out."""
    whole = visible.shape[axis] // block
    visible = np.moveaxis(visible, axis, -1)[..., : whole * block]
    return visible.reshape(*visible.shape[:-1], whole, block)


class Resets(Plain):
    """A wholly hidden block of keys after a visible one resets the running sums."""

    block = 32

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        lost = np.zeros(visible.shape, bool)
        seen = blocks(np.broadcast_to(visible, scores.shape), self.block).any(axis=-1)
        for number in range(1, seen.shape[-1]):
            hidden = ~seen[..., number]
            lost[..., : number * self.block] |= hidden[..., None]
        left = visible & ~lost
        kept = np.where(left.any(axis=-1, keepdims=True), left, visible)
        return super().softmax(asked, np.where(kept, scores, -np.inf), visible)


@planted("dependence", causes=("key", "mask"))
class HiddenBlockResetsTheSums(Resets):
    pass


@planted("dependence", causes=("key", "mask"))
class HiddenBlockOf16ResetsTheSums(Resets):
    block = 16


@planted("dependence", causes=("key", "mask"))
class LeadingHiddenBlockIsNan(Plain):
    """-inf minus -inf in the first block of 64 keys."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        first = np.broadcast_to(visible, scores.shape)[..., :64]
        broken = ~first.any(axis=-1) & visible.any(axis=-1) if scores.shape[-1] > 64 else np.False_
        return np.where(np.asarray(broken)[..., None], weights.dtype.type(np.nan), weights), logs

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return np.where(
            np.isnan(weights).any(axis=-1, keepdims=True), np.nan, super().mix(asked, weights, visible, value)
        )


@planted("dependence", causes=("key", "mask"))
class StopsAtAHiddenBlock(Plain):
    """The loop over blocks of 32 keys ends at the first hidden one, as if padding could only follow."""

    def visible(self, asked: Asked) -> Any:
        visible = super().visible(asked)
        if asked.key_mask is None:
            return visible
        seen = blocks(asked.key_mask, 32).any(axis=-1)
        open_ = np.cumprod(seen, axis=-1).astype(bool)
        reached = np.repeat(open_, 32, axis=-1)
        rest = np.repeat(
            open_.all(axis=-1, keepdims=True), asked.key_mask.shape[1] - reached.shape[1], axis=1
        )
        return visible & np.concatenate([reached, rest], axis=1)[:, None, None, :]


@planted("dependence", "leak", causes=("key_len",))
class LastWordOfTheMaskIgnored(Plain):
    """Bits of the last 32 keys are not read if key_len is a multiple of 32."""

    def key_mask(self, asked: Asked) -> Any:
        shown, length = super().key_mask(asked), asked.key.shape[2]
        return shown | (asked.keys >= length - 32) if length % 32 == 0 else shown


@planted("dependence", "leak", causes=("key_len",))
class MaskOfWholeVectorsIgnored(Plain):
    """Masks are not applied if key_len is a multiple of 16: there is no remainder to mask."""

    def mask(self, asked: Asked) -> Any:
        return np.True_ if asked.key.shape[2] % 16 == 0 else super().mask(asked)


@planted("dependence", causes=("mask",))
class TileSkippedByItsFirstRow(Plain):
    """A tile of 16 queries and 32 keys is skipped if its first row sees none of the keys."""

    def visible(self, asked: Asked) -> Any:
        shape = (*asked.query.shape[:3], asked.key.shape[2])
        visible = np.broadcast_to(super().visible(asked), shape).copy()
        if asked.mask is None:
            return visible
        for row in range(0, shape[2], 16):
            for key in range(0, shape[3], 32):
                tile = visible[:, :, row : row + 16, key : key + 32]
                tile &= tile[:, :, :1].any(axis=-1, keepdims=True)
        return visible


@planted("dependence", "leak", causes=("mask",))
class BlockShownIfItsEndsAre(Plain):
    """A block of 16 keys counts as visible if its first and last keys are."""

    def key_mask(self, asked: Asked) -> Any:
        shown = asked.key_mask.copy()
        for start in range(0, shown.shape[1] - 15, 16):
            both = shown[:, start] & shown[:, start + 15]
            shown[:, start : start + 16] |= both[:, None]
        return shown[:, None, None, :]


@planted("dependence", "leak", causes=("staircase",))
class StaircaseTakenForCausal(Plain):
    """A mask whose rows only grow is replaced by causal."""

    def mask(self, asked: Asked) -> Any:
        mask = asked.mask
        grows = (mask[:, :, 1:] >= mask[:, :, :-1]).all() and (mask[..., :-1] >= mask[..., 1:]).all()
        strict = mask.shape[2] > 2 and not mask.all()
        return super().causal(asked) if grows and strict else mask


@planted("layouts", "wrong or leak", causes=("mask",))
class BroadcastMaskReadFlat(Plain):
    """The memory behind a mask is read as if it were as large as the mask."""

    def mask(self, asked: Asked) -> Any:
        mask = asked.mask
        once = mask[tuple(slice(1) if step == 0 else slice(None) for step in mask.strides)]
        return np.resize(once.ravel(), mask.shape)
