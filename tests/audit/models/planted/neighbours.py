"""Other rows, other documents, and a window that is not kept."""

from typing import Any

import numpy as np

from tests.audit.models.host import Asked, Host, Packed, Unplaced, Windowed
from tests.audit.models.planted.registry import EVERYTHING, planted


@planted("batch invariance", "leak")
class AttendsAcrossTheBatch(Unplaced):
    """batch_first taken for false."""

    def embed(self, asked: Asked) -> Any:
        x = super().embed(asked)
        return x + np.float32(0.5) * x.mean(axis=0, keepdims=True)


@planted("batch invariance", "wrong", "never written")
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


@planted("documents", "wrong", "positions that continue")
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
        return (
            super().same_document(asked, layer) & (asked.documents < 60)[:, None, :]
            | (asked.keys == asked.queries)[None]
        )


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
