"""Correct implementations of many kinds: an audit must find nothing."""

from typing import Any

import numpy as np

import attnscope as at
from tests.audit.plain import Asked, Plain


def ours(query: Any, key: Any, value: Any, **options: Any) -> Any:
    """Attnscope's own kernel."""
    asked = Asked(query, key, value, **options)
    masks: list[at.Mask] = [at.Causal()] if asked.causal else []
    if asked.key_mask is not None:
        masks.append(at.Dense(asked.key_mask[:, None, None, :]))
    if asked.mask is not None:
        masks.append(at.Dense(asked.mask))
    if asked.window is not None:
        masks.append(at.Window(*asked.window))
    if asked.documents is not None:
        masks.append(at.Documents(asked.documents))
    mask = None
    for each in masks:
        mask = each if mask is None else mask & each
    scoring = {name: getattr(asked, name) for name in ("scale", "softcap", "bias", "sinks")}
    if asked.return_logsumexp:
        part = at.partial_attention(query, key, value, mask=mask, **scoring)
        return part.output, part.logsumexp
    return at.attention(query, key, value, mask=mask, **scoring)


class ScoresScaledAfterwards(Plain):
    """EQ2: the scale on the scores instead of the query."""

    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        with np.errstate(all="ignore"):
            return (query @ key.swapaxes(-1, -2)) * query.dtype.type(self.scale(asked))


class MaskAfterSoftmaxNormalisedAgain(Plain):
    """EQ3: the same, until something underflows."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
            kept = np.where(visible, parts / parts.sum(axis=-1, keepdims=True), 0)
            total = kept.sum(axis=-1, keepdims=True)
            return kept / np.where(total == 0, 1, total), total


class RowConstantBias(Plain):
    """EQ1: a constant that all scores of a row share changes nothing."""

    def biased(self, asked: Asked, scores: Any) -> Any:
        rows = np.arange(scores.shape[2], dtype=scores.dtype)[:, None]
        return super().biased(asked, scores) + scores.dtype.type(0.25) * rows


class PaddedQueriesLeftAlone(Plain):
    """EQ8: rows of padding queries are computed like all others."""


class Blockwise(Plain):
    """Flash attention's online softmax in float32, 32 keys at a time."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        query, key, value = (array.astype(np.float32) for array in (asked.query, asked.key, asked.value))
        key, value = self.heads(asked, key), self.heads(asked, value)
        shape = (*query.shape[:3], key.shape[2])
        visible = np.broadcast_to(self.visible(asked), shape)
        scores = self.hide(asked, self.scores(asked, query, key), visible)
        sinks = self.sinks(asked, scores.dtype)
        top = np.full(shape[:3], -np.inf, np.float32)
        total, output = np.zeros(shape[:3], np.float32), np.zeros((*shape[:3], value.shape[3]), np.float32)
        for start in range(0, shape[3], 32):
            keys = slice(start, start + 32)
            higher = np.maximum(top, scores[..., keys].max(axis=-1))
            anchor = np.where(np.isneginf(higher), np.float32(0), higher)
            shrink = np.exp(top - anchor)
            parts = np.exp(scores[..., keys] - anchor[..., None])
            total = total * shrink + parts.sum(axis=-1)
            mixed = self.mix(asked, parts, visible[..., keys], value[:, :, keys])
            output, top = output * shrink[..., None] + mixed, higher
        anchor = np.where(np.isneginf(top), np.float32(0), top)
        with np.errstate(divide="ignore", over="ignore"):
            logs = np.log(total) + anchor
            if sinks is not None:
                logs = np.logaddexp(logs, sinks)
                scale = np.exp(np.where(np.isneginf(logs), 0, anchor - logs))
            else:
                scale = 1 / np.where(total == 0, np.float32(1), total)
        return (output * scale[..., None]).astype(np.float32), logs.astype(np.float32)


class SplitInTwo(Plain):
    """Like EQ6: keys in two halves, which do not depend on the batch."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        cut = (weights.shape[-1] + 1) // 2
        first = super().mix(asked, weights[..., :cut], visible[..., :cut], value[:, :, :cut])
        return first + super().mix(asked, weights[..., cut:], visible[..., cut:], value[:, :, cut:])


class ByEinsum(Plain):
    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.einsum("bhqd,bhkd->bhqk", query, key) * query.dtype.type(self.scale(asked))


class WidensToFloat64(Plain):
    """More precise than it need be."""

    def __call__(self, query: Any, key: Any, value: Any, **options: Any) -> Any:
        return super().__call__(*(array.astype(np.float64) for array in (query, key, value)), **options)


class NaiveInItsFormat(Plain):
    """Every step in the arrays' own format, such as float16."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        query, key, value = asked.query, self.heads(asked, asked.key), self.heads(asked, asked.value)
        visible = np.broadcast_to(self.visible(asked), (*query.shape[:3], key.shape[2]))
        scores = self.hide(asked, self.scores(asked, query, key), visible)
        weights, logs = self.softmax(asked, scores, visible)
        return self.mix(asked, weights, visible, value), logs


CORRECT: dict[str, Any] = {
    "ours": ours,
    **{
        kind.__name__: kind()
        for kind in (
            Plain,
            ScoresScaledAfterwards,
            MaskAfterSoftmaxNormalisedAgain,
            RowConstantBias,
            PaddedQueriesLeftAlone,
            Blockwise,
            SplitInTwo,
            ByEinsum,
            WidensToFloat64,
        )
    },
}
