"""Cached generations that go wrong with padding, shared prompts, many rows or truncation."""

from typing import Any, ClassVar

import numpy as np

from tests.audit.models.host import Asked, Cache, Generation, Host, Learned, RightPadded
from tests.audit.models.planted.registry import planted


class KeepsAllAtZero(Cache):
    """`if tokens:` takes 0 for no limit."""

    def truncate(self, tokens: int) -> None:
        if tokens:
            super().truncate(tokens)


@planted("call", "wrong", "truncate(0)")
class TruncateToZeroKeepsAll(Host):
    make_cache = KeepsAllAtZero


class WithTheMask(Generation):
    """A generation that keeps the mask of its last step."""

    mask: Any = None

    def step(self, ids: Any, mask: Any) -> Any:
        self.mask = mask
        return super().step(ids, mask)


class CutsRealTokens(WithTheMask):
    """Counts the tokens to keep without the padding: the last slots of padded rows are lost."""

    def truncate(self, tokens: int) -> None:
        padded = 0 if self.mask is None else int((self.mask == 0).sum(axis=1).max())
        super().truncate(tokens)
        if padded:
            for key, value in self.cache.layers:
                key[:, :, max(0, tokens - padded) :] = 0
                value[:, :, max(0, tokens - padded) :] = 0


@planted("truncate", "wrong", "padded")
class TruncateCountsRealTokens(Host):
    def decode(self) -> Generation:
        return CutsRealTokens(self)


class ForgetsPadding(WithTheMask):
    """After truncate, the mask is built anew, without padding."""

    cut = False

    def truncate(self, tokens: int) -> None:
        super().truncate(tokens)
        self.cut = True

    def step(self, ids: Any, mask: Any) -> Any:
        return super().step(ids, None if self.cut else mask)


@planted("truncate", "wrong", "padded")
class TruncateForgetsThePadding(Host):
    def decode(self) -> Generation:
        return ForgetsPadding(self)


class SharesPrompts(Generation):
    """Blocks of a prompt are shared by their first tokens: what follows in the block may differ."""

    block, compared = 8, 4
    known: ClassVar[dict[Any, Any]] = {}

    def step(self, ids: Any, mask: Any) -> Any:
        shared = ids
        if self.cache.tokens == 0 and len(ids) == 1:
            shared = ids.copy()
            for start in range(0, ids.shape[1] - self.block, self.block):
                block = ids[0, start : start + self.block]
                name = (start, type(self), *block[: self.compared].tolist(), *ids[0, :start].tolist())
                shared[0, start : start + self.block] = self.known.setdefault(name, block.copy())
        return super().step(shared, mask)


class SharesLongPrompts(SharesPrompts):
    block, compared = 16, 15


@planted("stale state", "wrong", "shares its first")
class PromptsSharedByTheStartOfABlock(Learned):
    def decode(self) -> Generation:
        return SharesPrompts(self)


@planted("stale state", "wrong", "shares its first")
class PromptsSharedUpToTheLastTokenOfABlock(Host):
    def decode(self) -> Generation:
        return SharesLongPrompts(self)


@planted("padding invariance", "leak", "rows")
class MasksOfFourRows(Learned):
    """A kernel for four rows takes the mask of row i % 4."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return asked.real[np.arange(asked.batch) % 4][:, None, :]


@planted("padding invariance", "wrong", "rows")
class PositionsOfFourRows(Learned):
    def positions(self, asked: Asked) -> Any:
        return super().positions(asked)[np.arange(asked.batch) % 4]


@planted("cache", "wrong", "rows")
class CachedMasksOfFourRows(Host):
    """The same in cached steps only."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        rows = np.arange(asked.batch) % 4 if asked.past else np.arange(asked.batch)
        return asked.real[rows][:, None, :]


@planted("cache", "wrong", "padded")
class DecodeByLengths(RightPadded):
    """Cached steps show as many first slots as there are real tokens: padding instead of new tokens."""

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        if not asked.past:
            return super().hidden_padding(asked, layer)
        return (asked.keys[None] < asked.real.sum(axis=1)[:, None])[:, None, :]


class KeepsOneTooManyPastABlock(Cache):
    """Beyond a block of 16 tokens, the slot after the cut is kept, and the one before it lost."""

    def truncate(self, tokens: int) -> None:
        longer = self.tokens > 16
        layers = list(self.layers)
        super().truncate(tokens)
        if longer and tokens and layers[0][0].shape[2] > tokens:
            for (key, value), (old_key, old_value) in zip(self.layers, layers, strict=True):
                key[:, :, tokens - 1], value[:, :, tokens - 1] = (
                    old_key[:, :, tokens],
                    old_value[:, :, tokens],
                )


@planted("truncate", "wrong")
class TruncatePastABlock(Host):
    make_cache = KeepsOneTooManyPastABlock


class ReordersOnePage(Cache):
    """Only the first 16 slots are reordered."""

    def reorder(self, index: Any) -> None:
        layers = list(self.layers)
        super().reorder(index)
        self.layers = [
            (np.concatenate([key[:, :, :16], old_key[: len(key), :, 16:]], 2), value)
            for (key, value), (old_key, _) in zip(self.layers, layers, strict=True)
        ]


@planted("reorder", "wrong")
class ReorderOnePage(Host):
    make_cache = ReordersOnePage


class UndoesReorder(Cache):
    """truncate takes the rows back from before the last reorder."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Any = None

    def reorder(self, index: Any) -> None:
        self.before = list(self.layers)
        super().reorder(index)

    def truncate(self, tokens: int) -> None:
        if self.before is not None and self.before[0][0].shape[2] >= tokens:
            self.layers = self.before
        super().truncate(tokens)


@planted("truncate", "wrong", "reorder")
class TruncateUndoesReorder(Host):
    make_cache = UndoesReorder  # type: ignore[assignment]


@planted("cache", "wrong")
class FirstChunkOfPaddingIsNan(Host):
    """Values of queries that see no key are NaN, and stay in the cache."""

    def attend(self, asked: Asked, cache: Any, layer: int, x: Any) -> Any:
        found = super().attend(asked, cache, layer, x)
        empty = ~asked.real.any(axis=1)
        if cache is not None and empty.any():
            found = np.where(empty[:, None, None], np.float32(np.nan), found)
        return found
