"""Correct models that resemble wrong ones: an audit finds nothing."""

from typing import Any

import numpy as np

from tests.audit.models.host import CORRECT, Asked, Encoder, Host, Learned, Windowed


class RotaryCountsPadding(Host):
    """Rotary scores depend on distances: positions that count the padding change nothing but rounding."""

    def positions(self, asked: Asked) -> Any:
        return np.broadcast_to(np.arange(asked.total), (asked.batch, asked.total))


class FiniteFill(Host):
    """A large negative number instead of minus infinity."""

    def softmax(self, scores: Any, visible: Any) -> Any:
        return super().softmax(np.where(visible, scores, np.float32(-1e9)), np.True_)


class ConstantOfARow(Host):
    """A constant that all scores of a row share."""

    def softmax(self, scores: Any, visible: Any) -> Any:
        return super().softmax(
            scores + np.arange(scores.shape[2], dtype=np.float32)[:, None] * np.float32(0.25), visible
        )


class NormalisedAgain(Host):
    """The mask after the softmax, and then normalised again."""

    def softmax(self, scores: Any, visible: Any) -> Any:
        kept = super().softmax(scores, np.True_) * visible
        total = kept.sum(axis=-1, keepdims=True)
        return kept / np.where(total == 0, np.float32(1), total)


class NaNInPaddedRows(Encoder):
    """Logits of padded slots may be anything."""

    def forward(self, asked: Asked, cache: Any) -> Any:
        logits = super().forward(asked, cache)
        return np.where(asked.real[:, asked.past :, None], logits, np.float32(np.nan))


class SumsInAnOrderOfTheBatch(Host):
    """Last bits that depend on the number of rows, as with split keys."""

    def norm(self, x: Any) -> Any:
        order = np.random.default_rng(len(x)).permutation(x.shape[-1])
        squares = np.add.reduce((x * x)[..., order], axis=-1, keepdims=True, dtype=np.float32) / np.float32(
            x.shape[-1]
        )
        return x / np.sqrt(squares + np.float32(1e-6))


class InFloat16(Learned):
    """Every step in float16."""

    def drawn(self, rng: Any, *shape: int) -> Any:
        return super().drawn(rng, *shape).astype(np.float16)

    def norm(self, x: Any) -> Any:
        return super().norm(x.astype(np.float32)).astype(np.float16)

    def softmax(self, scores: Any, visible: Any) -> Any:
        return super().softmax(scores.astype(np.float32), visible).astype(np.float16)


class LogitsInFloat64(Host):
    """A wide array that holds a float32 model's numbers."""

    def forward(self, asked: Asked, cache: Any) -> Any:
        return super().forward(asked, cache).astype(np.float64)


class OneLayerOfTheWindow(Windowed):
    """Layers may differ: one with less than the declared window reaches less far."""

    def near(self, asked: Asked, layer: int) -> Any:
        return super().near(asked, layer) & (asked.keys >= asked.queries - (2 if layer else 4))[None]


class LastLogitsOnly(Host):
    """Cached steps give the last token's logits alone."""

    def forward(self, asked: Asked, cache: Any) -> Any:
        logits = super().forward(asked, cache)
        return logits if cache is None else logits[:, -1:]


CONTROLS = (
    *CORRECT,
    RotaryCountsPadding,
    FiniteFill,
    ConstantOfARow,
    NormalisedAgain,
    NaNInPaddedRows,
    SumsInAnOrderOfTheBatch,
    InFloat16,
    LogitsInFloat64,
    OneLayerOfTheWindow,
    LastLogitsOnly,
)
