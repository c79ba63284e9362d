"""A correct implementation in NumPy, step by step, so that a mistake is one step overridden."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.audit import Contract

EVERYTHING = Contract(
    causal=True,
    key_mask=True,
    mask=True,
    window=True,
    documents=True,
    grouped_heads=True,
    scale=True,
    softcap=True,
    bias=True,
    sinks=True,
    logsumexp=True,
)


@dataclass
class Asked:
    """One call, as the steps see it."""

    query: Any
    key: Any
    value: Any
    causal: bool = False
    key_mask: Any = None
    mask: Any = None
    window: Any = None
    documents: Any = None
    scale: float | None = None
    softcap: float | None = None
    bias: Any = None
    sinks: Any = None
    return_logsumexp: bool = False

    @property
    def offset(self) -> int:
        """The position of the first query."""
        return int(self.key.shape[2] - self.query.shape[2])

    @property
    def group(self) -> int:
        return int(self.query.shape[1] // self.key.shape[1])

    @property
    def positions(self) -> Any:
        return np.arange(self.query.shape[2])[:, None] + self.offset

    @property
    def keys(self) -> Any:
        return np.arange(self.key.shape[2])


class Plain:
    """All steps right; computed in float32 (float64 for float64)."""

    def __call__(self, query: Any, key: Any, value: Any, **options: Any) -> Any:
        asked = Asked(query, key, value, **options)
        output, logs = self.attend(asked)
        output = output.astype(query.dtype)
        return (output, logs) if asked.return_logsumexp else output

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        compute = np.float64 if asked.query.dtype == np.float64 else np.float32
        query, key, value = (array.astype(compute) for array in (asked.query, asked.key, asked.value))
        key, value = self.heads(asked, key), self.heads(asked, value)
        visible = np.broadcast_to(self.visible(asked), (*query.shape[:3], key.shape[2]))
        scores = self.scores(asked, query, key)
        weights, logs = self.softmax(asked, self.hide(asked, scores, visible), visible)
        return self.mix(asked, weights, visible, value), logs

    def heads(self, asked: Asked, array: Any) -> Any:
        return np.repeat(array, asked.group, axis=1)

    def visible(self, asked: Asked) -> Any:
        visible = np.ones((1, 1, 1, asked.key.shape[2]), bool)
        for name in ("causal", "key_mask", "mask", "window", "documents"):
            if getattr(asked, name) is not None and getattr(asked, name) is not False:
                visible = visible & getattr(self, name)(asked)
        return visible

    def causal(self, asked: Asked) -> Any:
        return asked.keys <= asked.positions

    def key_mask(self, asked: Asked) -> Any:
        return asked.key_mask[:, None, None, :]

    def mask(self, asked: Asked) -> Any:
        return asked.mask

    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return (asked.keys >= asked.positions - left) & (asked.keys <= asked.positions + right)

    def documents(self, asked: Asked) -> Any:
        ids, places = asked.documents, asked.positions[:, 0]
        inside = (places >= 0) & (places < ids.shape[1])
        own = np.where(inside, ids[:, np.clip(places, 0, ids.shape[1] - 1)], -1)
        return (own[:, :, None] == ids[:, None, :])[:, None]

    def scale(self, asked: Asked) -> float:
        return float(asked.query.shape[-1] ** -0.5 if asked.scale is None else asked.scale)

    def scores(self, asked: Asked, query: Any, key: Any) -> Any:
        raw = self.dots(asked, query, key)
        return self.biased(asked, self.capped(asked, raw))

    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        with np.errstate(all="ignore"):
            return (query * query.dtype.type(self.scale(asked))) @ key.swapaxes(-1, -2)

    def capped(self, asked: Asked, raw: Any) -> Any:
        if asked.softcap is None:
            return raw
        cap = raw.dtype.type(asked.softcap)
        return cap * np.tanh(raw / cap)

    def biased(self, asked: Asked, scores: Any) -> Any:
        return scores if asked.bias is None else scores + asked.bias.astype(scores.dtype)

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(-np.inf))

    def sinks(self, asked: Asked, dtype: Any) -> Any:
        return None if asked.sinks is None else asked.sinks.astype(dtype)[:, None]

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        sinks = self.sinks(asked, scores.dtype)
        top = scores.max(axis=-1)
        if sinks is not None:
            top = np.maximum(top, sinks)
        anchor = np.where(np.isneginf(top), scores.dtype.type(0), top)
        parts = np.exp(scores - anchor[..., None])
        total = parts.sum(axis=-1)
        if sinks is not None:
            total = total + np.exp(sinks - anchor)
        with np.errstate(divide="ignore"):
            logs = np.log(total) + anchor
        return parts / np.where(total == 0, scores.dtype.type(1), total)[..., None], logs

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        seen = np.where(visible.any(axis=2)[..., None], value, 0)
        output = weights @ np.where(np.isfinite(seen), seen, 0)
        dangerous: Any = ~np.isfinite(seen).all(axis=-1)
        for key in np.flatnonzero(dangerous.any(axis=(0, 1))):
            reached = visible[..., key, None] & dangerous[..., None, key, None]
            output = output + np.where(reached, weights[..., key, None] * seen[..., None, key, :], 0)
        return output
