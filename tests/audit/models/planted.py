"""Real mistakes of models, each planted by overriding one step, with the check that must find it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.audit.models.host import (
    Alibi, Asked, Cache, Encoder, Generation, Host, Learned, Packed, PackedEncoder, RightPadded, Unplaced, Windowed,
    WithPrefix,
)  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """A mistake, what it breaks, how bad that is, and a word of the cause that must be told."""

    make: type[Host]
    check: str
    severity: str
    cause: str | None


PLANTED: dict[str, Planted] = {}


def planted(check: str, severity: str = "wrong", cause: str | None = None) -> Callable[[type[Any]], type[Any]]:
    """Register a mutant under its class's name."""

    def register(mutant: type[Any]) -> type[Any]:
        PLANTED[mutant.__name__] = Planted(mutant, check, severity, cause)
        return mutant

    return register


EVERYTHING = np.ones((1, 1, 1), bool)

# The future


@planted("dependence", "leak", "causal ignored")
class BidirectionalDecoder(Host):
    """transformers#48745: a decoder whose mask is an encoder's."""

    def order(self, asked: Asked, layer: int) -> Any:
        return np.ones((1, asked.tokens, asked.total), bool)


@planted("dependence", "leak", "causal dropped where an attention mask is given")
class CausalDroppedBesideAMask(Host):
    """keras#23040."""

    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.mask is not None else super().order(asked, layer)


@planted("dependence", "leak", "causal applied only where an attention mask is given")
class CausalOnlyBesideAMask(Host):
    """xformers#103."""

    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.mask is None else super().order(asked, layer)


@planted("dependence", "leak", "a padding mask that replaces the causal mask")
class PaddingReplacesCausal(Host):
    """unsloth-zoo#963."""

    def order(self, asked: Asked, layer: int) -> Any:
        return super().order(asked, layer) if asked.real.all() else EVERYTHING


@planted("dependence", "leak", "a token too many")
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
        return EVERYTHING if asked.total > self.window else super().order(asked, layer)  # type: ignore[operator]


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


# Too little is seen


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
        return ((asked.keys < self.prefix - 1) & (asked.queries < self.prefix - 1))[None]  # type: ignore[operator]


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


# Padding


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


# The batch


@planted("batch invariance", "leak")
class AttendsAcrossTheBatch(Unplaced):
    """batch_first taken for false."""

    def embed(self, asked: Asked) -> Any:
        x = super().embed(asked)
        return x + np.float32(0.5) * x.mean(axis=0, keepdims=True)


@planted("batch invariance", "wrong", "left at zero")
class LaterRowsAreZero(Host):
    """pytorch#139462."""

    def forward(self, asked: Asked, cache: Any) -> Any:
        logits = super().forward(asked, cache)
        logits[1:] = 0
        return logits


@planted("batch invariance", "leak")
class RowsRolled(Host):
    """The logits of another row."""

    def forward(self, asked: Asked, cache: Any) -> Any:
        return np.roll(super().forward(asked, cache), 1, axis=0)


@planted("batch invariance", "leak")
class NormOverTheBatch(Host):
    def norm(self, x: Any) -> Any:
        return x / np.sqrt((x * x).mean(axis=(0, 2), keepdims=True) + np.float32(1e-6))


# Documents


@planted("documents", "leak", "documents ignored")
class DocumentsIgnored(Packed):
    def same_document(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING


@planted("documents", "leak")
class DocumentsAsNeighbours(Packed):
    """sglang-jax#1289: a distance in place of blocks."""

    def same_document(self, asked: Asked, layer: int) -> Any:
        return (np.abs(asked.keys - asked.queries) <= 4)[None]


@planted("documents", "leak")
class DocumentsOfRowZero(Packed):
    def same_document(self, asked: Asked, layer: int) -> Any:
        ids = asked.documents.copy()
        ids[:, -1] = ids[:, 0]
        return ids[:, :, None] == ids[:, None, :]


@planted("documents", "wrong", "positions that go on")
class PositionsGoOn(Packed):
    """nanoVLM#201."""

    def in_documents(self, asked: Asked, counted: Any) -> Any:
        return counted


@planted("documents", "leak")
class DocumentsIgnoredInLayerOne(Packed):
    def same_document(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if layer == 1 else super().same_document(asked, layer)


@planted("documents", "wrong")
class DocumentNumbersCounted(Packed):
    def same_document(self, asked: Asked, layer: int) -> Any:
        return super().same_document(asked, layer) & (asked.documents < 60)[:, None, :] | (asked.keys == asked.queries)[None]


# The window


@planted("window", "leak", "one token too wide")
class WindowOneTooWide(Windowed):
    """transformers#39408."""

    def near(self, asked: Asked, layer: int) -> Any:
        return (asked.keys >= asked.queries - self.window - 1)[None]


@planted("window", "leak", "the window ignored")
class WindowIgnored(Windowed):
    """keras-hub#2186."""

    def near(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING


@planted("window", "leak")
class WindowIgnoredPastSomeLength(Windowed):
    def near(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.total > 128 else super().near(asked, layer)


# The cache


@planted("cache", "wrong", "aligned to the start")
class ChunkAlignedToTheStart(Host):
    """pytorch#103082."""

    def order(self, asked: Asked, layer: int) -> Any:
        if asked.tokens == 1:
            return EVERYTHING
        return (asked.keys <= asked.queries - asked.past)[None]


@planted("cache", "wrong")
class MaskRowOfTokenZero(Host):
    """LLMs-from-scratch#697: the cached step takes the first row of the triangle."""

    def order(self, asked: Asked, layer: int) -> Any:
        return (asked.keys <= asked.queries - asked.past)[None]


@planted("cache", "wrong", "see the chunk's later ones")
class ChunkSeesItsFuture(Host):
    def order(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.past and asked.tokens > 1 else super().order(asked, layer)


@planted("cache", "wrong")
class CachedPositionsStartAgain(Learned):
    def positions(self, asked: Asked) -> Any:
        counted = super().positions(asked)
        return counted - asked.past if asked.past else counted


@planted("cache", "wrong")
class CachedPositionsOneOff(Host):
    """onnxruntime-genai#2354."""

    def positions(self, asked: Asked) -> Any:
        return super().positions(asked) + (asked.past > 0)


@planted("cache", "wrong")
class CachedStepsCountPadding(Learned):
    """A decoded token's position is the number of slots, padding included."""

    def positions(self, asked: Asked) -> Any:
        if not asked.past:
            return super().positions(asked)
        return np.broadcast_to(np.arange(asked.total), (asked.batch, asked.total))


@planted("cache", "wrong", "do not hide the padded slots")
class CachedStepsForgetTheMask(Host):
    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return EVERYTHING if asked.past else super().hidden_padding(asked, layer)


@planted("cache", "wrong")
class UnwrittenSlotsAttended(Unplaced):
    """gpt-fast#233: zero keys of a static cache join the softmax."""

    def mix(self, asked: Asked, layer: int, query: Any, key: Any, value: Any) -> Any:
        mixed = super().mix(asked, layer, query, key, value)
        return mixed * np.float32(0.97) if asked.past else mixed


class LosesOldest(Cache):
    """Evicts one token early once the window is full."""

    def extend(self, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
        key, value = super().extend(layer, key, value)
        if self.tokens >= 4:
            key = key.copy()
            key[:, :, max(0, key.shape[2] - 5)] = 0
            self.layers[layer] = (key, value)
        return key, value


@planted("cache", "wrong")
class RollingCacheEvictsEarly(Windowed):
    """transformers#37574."""

    make_cache = LosesOldest


@planted("cache", "wrong", "a token too many")
class WindowOneTooWideInDecodeOnly(Windowed):
    def near(self, asked: Asked, layer: int) -> Any:
        wider = int(asked.past > 0)
        return (asked.keys >= asked.queries - self.window - wider)[None]


@planted("cache", "wrong")
class WindowOnlyInDecode(Host):
    def near(self, asked: Asked, layer: int) -> Any:
        return (asked.keys >= asked.queries - 16)[None] if asked.past else super().near(asked, layer)


class OverwritesTheLast(Cache):
    def extend(self, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
        key, value = super().extend(layer, key, value)
        if self.tokens == 64:
            key = key.copy()
            key[:, :, 63] = key[:, :, 64]
            self.layers[layer] = (key, value)
        return key, value


@planted("cache", "wrong")
class CacheOverwritesAtItsBrim(Host):
    """vllm#43810: the slot before a full block is lost."""

    make_cache = OverwritesTheLast


class OneLayerReordered(Cache):
    def reorder(self, index: Any) -> None:
        (key, value), *rest = self.layers
        self.layers = [(key[index], value[index]), *rest]


class KeysReordered(Cache):
    def reorder(self, index: Any) -> None:
        self.layers = [(key[index], value) for key, value in self.layers]


class NotReordered(Cache):
    def reorder(self, index: Any) -> None:
        pass


class ReorderedBackwards(Cache):
    def reorder(self, index: Any) -> None:
        super().reorder(np.argsort(index, kind="stable"))


@planted("reorder")
class ReorderSkipped(Host):
    """transformers#46612."""

    make_cache = NotReordered


@planted("reorder")
class ReorderOneLayer(Host):
    make_cache = OneLayerReordered


@planted("reorder")
class ReorderKeysOnly(Host):
    make_cache = KeysReordered


@planted("reorder")
class ReorderInverted(Host):
    make_cache = ReorderedBackwards


class NotTruncated(Cache):
    def truncate(self, tokens: int) -> None:
        pass


class OneTooMany(Cache):
    """llama-cpp-python#2180."""

    def truncate(self, tokens: int) -> None:
        self.layers = [(np.concatenate([key[:, :, : tokens - 1], key[:, :, tokens : tokens + 1]], 2),
                        np.concatenate([value[:, :, : tokens - 1], value[:, :, tokens : tokens + 1]], 2))
                       for key, value in self.layers]  # fmt: skip
        self.tokens = tokens


class RemovesInstead(Cache):
    """crop(n) read as: remove n."""

    def truncate(self, tokens: int) -> None:
        super().truncate(self.tokens - tokens)


@planted("truncate")
class TruncateKeepsOneTooMany(Host):
    make_cache = OneTooMany


class PositionsNotSetBack(Generation):
    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.longest = 0

    def step(self, ids: Any, mask: Any) -> Any:
        self.host.ahead = max(self.longest - self.cache.tokens, 0)
        logits = super().step(ids, mask)
        self.longest = max(self.longest, self.cache.tokens) + self.host.ahead
        self.host.ahead = 0
        return logits


@planted("truncate")
class PositionsGoOnAfterTruncate(Learned):
    ahead = 0

    def positions(self, asked: Asked) -> Any:
        return super().positions(asked) + self.ahead

    def decode(self) -> Generation:
        return PositionsNotSetBack(self)


class TruncatedInOneLayer(Cache):
    def truncate(self, tokens: int) -> None:
        kept = self.tokens - tokens
        super().truncate(tokens)
        if len(self.layers) > 1 and kept:
            key, value = self.layers[1]
            self.layers[1] = (np.roll(key, 1, axis=2), value)


@planted("truncate")
class TruncateOneLayer(Host):
    make_cache = TruncatedInOneLayer


@planted("stale state", "wrong")
class PositionsLeftBehind(Learned):
    """LLMs-from-scratch#1048: a generation's positions leak into uncached calls."""

    stale = 0

    def positions(self, asked: Asked) -> Any:
        self.stale = asked.total if asked.past else self.stale
        return super().positions(asked) + (0 if asked.past else self.stale)


class InSharedBuffers(Cache):
    """Slots of arrays that all generations write to."""

    buffers: Any = {}

    def extend(self, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
        shape = (*key.shape[:2], 600, key.shape[3])
        buffers = self.buffers.setdefault((layer, key.shape[0]), (np.zeros(shape, key.dtype), np.zeros(shape, key.dtype)))
        end = self.tokens + key.shape[2]
        for buffer, new in zip(buffers, (key, value), strict=True):
            buffer[:, :, self.tokens : end] = new
        return tuple(buffer[:, :, :end] for buffer in buffers)  # type: ignore[return-value]

    def reorder(self, index: Any) -> None:
        for (_, rows), buffers in self.buffers.items():
            for buffer in buffers if rows == len(index) else ():
                buffer[...] = buffer[index]

    def truncate(self, tokens: int) -> None:
        self.tokens = tokens


@planted("stale state", "wrong")
class OneCacheForAll(Host):
    make_cache = InSharedBuffers


# Repetition


@planted("determinism", "wrong")
class DropoutLeftOn(Host):
    """pytorch#124464."""

    def embed(self, asked: Asked) -> Any:
        x = super().embed(asked)
        return x * (np.random.random(x.shape) > 0.1)  # noqa: NPY002  # the global state, as such code does


@planted("padding invariance", "leak")
class KeyedByShape(Learned):
    """A mask kept from an earlier call of the same shape."""

    kept: Any = None

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        if self.kept is None:
            self.kept = {}
        return self.kept.setdefault((asked.batch, asked.total), super().hidden_padding(asked, layer))


@planted("determinism", "unstable")
class DrawsForNothing(Host):
    def embed(self, asked: Asked) -> Any:
        np.random.random(3)  # noqa: NPY002
        return super().embed(asked)


@planted("mutation", "wrong")
class LogitsInOneBuffer(Host):
    buffer: Any = None

    def forward(self, asked: Asked, cache: Any) -> Any:
        logits = super().forward(asked, cache)
        if self.buffer is None or self.buffer.shape != logits.shape:
            self.buffer = np.empty_like(logits)
        self.buffer[...] = logits
        return self.buffer
