"""Cached generations that are not what an uncached call is, and answers that depend on earlier ones."""

from typing import Any, ClassVar

import numpy as np

from tests.audit.models.host import Asked, Cache, Generation, Host, Learned, RightPadded, Unplaced, Windowed
from tests.audit.models.planted.registry import EVERYTHING, planted


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


@planted("cache", "wrong", "sees its own later tokens")
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


@planted("cache", "wrong", "positions of cached steps that count the padded slots")
class CachedStepsCountPaddingOnTheRight(RightPadded):
    """The same behind rows that are padded on the right."""

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


@planted("cache", "wrong", "one token too many")
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
        self.layers = [
            (
                np.concatenate([key[:, :, : tokens - 1], key[:, :, tokens : tokens + 1]], 2),
                np.concatenate([value[:, :, : tokens - 1], value[:, :, tokens : tokens + 1]], 2),
            )
            for key, value in self.layers
        ]
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

    buffers: ClassVar[dict[Any, Any]] = {}

    def extend(self, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
        shape = (*key.shape[:2], 600, key.shape[3])
        buffers = self.buffers.setdefault(
            (layer, key.shape[0]), (np.zeros(shape, key.dtype), np.zeros(shape, key.dtype))
        )
        end = self.tokens + key.shape[2]
        for buffer, new in zip(buffers, (key, value), strict=True):
            buffer[:, :, self.tokens : end] = new
        return tuple(buffer[:, :, :end] for buffer in buffers)

    def reorder(self, index: Any) -> None:
        for (_, rows), buffers in self.buffers.items():
            for buffer in buffers if rows == len(index) else ():
                buffer[...] = buffer[index]

    def truncate(self, tokens: int) -> None:
        self.tokens = tokens


@planted("stale state", "wrong")
class OneCacheForAll(Host):
    make_cache = InSharedBuffers


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
