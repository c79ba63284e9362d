"""Too much of the future is seen, or too little of what may be."""

from typing import Any

import numpy as np

from tests.audit.models.host import Asked, Encoder, Host, PackedEncoder, Unplaced, Windowed, WithPrefix
from tests.audit.models.planted.registry import EVERYTHING, planted


@planted("dependence", "leak", "causal ignored")
class BidirectionalDecoder(Host):
    """transformers#48745: a decoder whose mask is an encoder's."""

    def order(self, asked: Asked, layer: int) -> Any:
        return np.ones((1, asked.tokens, asked.total), bool)


@planted("dependence", "leak", "causal dropped if an attention mask is given")
class CausalDroppedBesideAMask(Host):
    """keras#23040."""

    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.mask is not None else super().order(asked, layer)


@planted("dependence", "leak", "causal applied only if an attention mask is given")
class CausalOnlyBesideAMask(Host):
    """xformers#103."""

    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.mask is None else super().order(asked, layer)


@planted("dependence", "leak", "a padding mask that replaces the causal mask")
class PaddingReplacesCausal(Host):
    """unsloth-zoo#963."""

    def order(self, asked: Asked, layer: int) -> Any:
        return super().order(asked, layer) if asked.real.all() else EVERYTHING


@planted("dependence", "leak", "one token too many")
class OneTokenOfTheFuture(Host):
    """GPT-SoVITS#965."""

    def order(self, asked: Asked, layer: int) -> Any:
        return (asked.keys <= asked.queries + 1)[None]


@planted("dependence", "leak")
class FutureInOneLayer(Host):
    depth = 3

    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if layer == 2 else super().order(asked, layer)


@planted("dependence", "leak")
class FutureInsideABlock(Host):
    """Rows see their own block of 64 once 64 tokens lie before them."""

    def order(self, asked: Asked, layer: int) -> Any:
        shown = super().order(asked, layer)
        return shown | ((asked.keys // 64 == asked.queries // 64) & (asked.queries >= 64))[None]


@planted("dependence", "leak")
class FutureBesideAWindow(Windowed):
    """jax#39576: only the left bound of the window reaches the kernel."""

    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.total > self.window else super().order(asked, layer)


@planted("dependence", "leak")
class PrefixTooLong(WithPrefix):
    def in_prefix(self, asked: Asked, layer: int) -> Any:
        return ((asked.keys <= self.prefix) & (asked.queries <= self.prefix))[None]


@planted("dependence", "leak")
class HeadsSplitWithoutTranspose(Unplaced):
    """A view in place of a transpose mixes tokens into heads."""

    def split(self, x: Any, heads: int) -> Any:
        return x.reshape(x.shape[0], heads, x.shape[1], -1)


@planted("dependence", "leak")
class NormOverTokens(Host):
    """A norm over the tokens of a row is no norm of a token."""

    def norm(self, x: Any) -> Any:
        return x / np.sqrt((x * x).mean(axis=(1, 2), keepdims=True) + np.float32(1e-6))


@planted("dependence", "leak")
class FutureInABatchOnly(Host):
    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.batch > 1 else super().order(asked, layer)


@planted("dependence", "wrong", "a causal mask in an encoder")
class CausalEncoder(Encoder):
    """transformers#36150."""

    def order(self, asked: Asked, layer: int) -> Any:
        return (asked.keys <= asked.queries)[None]


@planted("dependence", "wrong")
class EncoderIsCausalWhenPacked(PackedEncoder):
    """The packed path builds causal blocks."""

    def order(self, asked: Asked, layer: int) -> Any:
        several = (asked.documents != asked.documents[:, :1]).any()
        return (asked.keys <= asked.queries)[None] if several else super().order(asked, layer)


@planted("dependence", "wrong", "no attention to earlier tokens")
class SeesItselfOnly(Host):
    def order(self, asked: Asked, layer: int) -> Any:
        return (asked.keys == asked.queries)[None]


@planted("dependence", "wrong")
class LosesTheFirstToken(Host):
    def order(self, asked: Asked, layer: int) -> Any:
        return super().order(asked, layer) & ((asked.keys > 0) | (asked.queries == 0))[None]


@planted("dependence", "wrong", "a prefix that stays causal")
class CausalPrefix(WithPrefix):
    def in_prefix(self, asked: Asked, layer: int) -> Any:
        return np.zeros((1, 1, 1), bool)


@planted("dependence", "wrong")
class PrefixOneTokenShort(WithPrefix):
    def in_prefix(self, asked: Asked, layer: int) -> Any:
        return ((asked.keys < self.prefix - 1) & (asked.queries < self.prefix - 1))[None]


@planted("dependence", "wrong")
class WindowInAModelWithout(Host):
    """vllm#51756: one window for layers that have none."""

    def near(self, asked: Asked, layer: int) -> Any:
        return (asked.keys >= asked.queries - 20)[None]


@planted("dependence", "wrong")
class BlindPast128(Host):
    """A mask whose indices wrap."""

    def order(self, asked: Asked, layer: int) -> Any:
        return super().order(asked, layer) & ((asked.queries - asked.keys) < 128)[None]


@planted("dependence", "wrong")
class ASpecialTokenEndsTheRow(Host):
    """torchtitan#3130: a token inside a document taken for its end."""

    def order(self, asked: Asked, layer: int) -> Any:
        if asked.past:
            return super().order(asked, layer)
        part = np.cumsum(asked.ids == 7, axis=1)
        return super().order(asked, layer) & (part[:, :, None] == part[:, None, :])
