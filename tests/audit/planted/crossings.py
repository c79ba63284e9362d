"""Mistakes in branches of fast code: they need a length, a dim, a batch or a layout beside an option."""

from dataclasses import replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.placements import read_flat
from tests.audit.planted.registry import planting

planted = planting(
    Contract(
        causal=True,
        key_mask=True,
        mask=True,
        window=True,
        documents=True,
        grouped_heads=True,
        softcap=True,
        bias=True,
        sinks=True,
        dtypes=("float32", "float16"),
    )
)


@planted("dependence", "leak", causes=("the key mask ignored", "whole blocks"))
class KeyMaskIgnoredInDecodeAtWholeBlocks(Plain):
    def key_mask(self, asked: Asked) -> Any:
        decode = asked.query.shape[2] == 1 and asked.key.shape[2] % 64 == 0
        return np.True_ if decode else super().key_mask(asked)


@planted("magnitudes", causes=("score", "scores"))
class ExponentialWrapsFarBelow(Plain):
    """An integer exponent that overflows: e^x is 1 below -60000."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        top = np.where(np.isfinite(scores), scores, -1e30).max(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            wrapped = np.where(np.isfinite(scores) & (scores - top < -60_000), top, scores)
        return super().softmax(asked, wrapped, visible)


@planted("magnitudes", causes=("a soft-cap is given",))
class SoftcapOverflows(Plain):
    """tanh by exponentials is inf / inf for large scores."""

    def capped(self, asked: Asked, raw: Any) -> Any:
        if asked.softcap is None:
            return raw
        with np.errstate(all="ignore"):
            power = np.exp(2 * raw / raw.dtype.type(asked.softcap))
            return raw.dtype.type(asked.softcap) * ((power - 1) / (power + 1))


@planted("window", "leak", causes=("window",))
class WindowRoundedToBlocks(Plain):
    """The window's left bound is rounded down to a block of 16 keys in rows past the first block."""

    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        low = asked.positions - left
        low = np.where(asked.positions >= 32, low // 16 * 16, low)
        return (asked.keys >= low) & (asked.keys <= asked.positions + right)


@planted("documents", "leak", causes=("documents",))
class DocumentsRoundedToBlocks(Plain):
    """A block of 8 keys belongs to the document of its first key, past 16 keys."""

    def documents(self, asked: Asked) -> Any:
        ids = asked.documents
        if ids.shape[1] <= 16:
            return super().documents(asked)
        rounded = ids[:, np.arange(ids.shape[1]) // 8 * 8]
        places = asked.positions[:, 0]
        inside = (places >= 0) & (places < ids.shape[1])
        own = np.where(inside, ids[:, np.clip(places, 0, ids.shape[1] - 1)], -1)
        return (own[:, :, None] == rounded[:, None, :])[:, None]


@planted("dependence", "leak", causes=("causal hides",))
class CausalByTiles(Plain):
    """If rows fill tiles of 16, a tile sees what its last row sees."""

    def causal(self, asked: Asked) -> Any:
        if asked.query.shape[2] % 16:
            return super().causal(asked)
        last = (asked.positions - asked.offset) // 16 * 16 + 15 + asked.offset
        return asked.keys <= last


@planted("dependence", "leak", causes=("mask",))
class MaskSqueezedInABatchOfOne(Plain):
    """squeeze() removes the batch axis of one item, and the mask of head 0 serves all."""

    def mask(self, asked: Asked) -> Any:
        return asked.mask[:, :1] if len(asked.mask) == 1 else asked.mask


@planted("exactness", causes=("output",))
class ValueReadWithTheKeysDim(Plain):
    """A value that is wider than the keys is read with the keys' dim."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        wide, narrow = asked.value.shape[3], asked.key.shape[3]
        if wide > narrow:
            value = asked.value.copy()
            value[..., narrow:] = 0
            asked = replace(asked, value=value)
        return super().attend(asked)


@planted("dtypes", causes=("float16",))
class LastDimsDroppedInFloat16(Plain):
    """Vectors of 8 numbers: the rest of a dim is not multiplied."""

    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        whole = asked.query.shape[3] // 8 * 8
        if asked.query.dtype != np.float16 or not whole:
            return super().dots(asked, query, key)
        return super().dots(asked, query[..., :whole], key[..., :whole])


@planted("layouts", "wrong or leak", causes=("bias",))
class BiasReadAsContiguous(Plain):
    def biased(self, asked: Asked, scores: Any) -> Any:
        bias = asked.bias
        if bias is not None and not bias.flags.c_contiguous and 0 not in bias.strides:
            asked = replace(asked, bias=read_flat(bias))
        return super().biased(asked, scores)


@planted("layouts", "wrong or leak", causes=("documents",))
class DocumentsReadAsContiguous(Plain):
    def documents(self, asked: Asked) -> Any:
        ids = asked.documents
        if not ids.flags.c_contiguous and 0 not in ids.strides:
            asked = replace(asked, documents=read_flat(ids))
        return super().documents(asked)


@planted("layouts", "wrong or leak", causes=("sinks",))
class SinksReadAsContiguous(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        sinks = asked.sinks
        if sinks is not None and sinks.strides[0] != sinks.itemsize and len(sinks) > 1:
            asked = replace(asked, sinks=read_flat(sinks))
        return super().sinks(asked, dtype)


@planted("sinks", causes=("sinks ignored",))
class SinksIgnoredInDecodeOfGroupedHeads(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        decode = asked.query.shape[2] == 1 and asked.group > 1
        return None if decode else super().sinks(asked, dtype)
