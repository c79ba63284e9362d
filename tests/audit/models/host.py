"""A small correct transformer in NumPy, step by step, so that a mistake is one step overridden.

ids [batch, tokens] -> embed -> (norm, attend, add; norm, mix, add) x layers -> norm -> logits
[batch, tokens, vocab]
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import attnscope as at

VOCAB, WIDTH, QUERY_HEADS, KV_HEADS, HEAD = 31, 24, 4, 2, 6
LONGEST = 600


@dataclass
class Asked:
    """One call as the steps see it, with `total` tokens, `past` of them from earlier calls."""

    ids: Any
    mask: Any
    documents: Any
    past: int = 0

    @property
    def batch(self) -> int:
        return int(self.ids.shape[0])

    @property
    def tokens(self) -> int:
        return int(self.ids.shape[1])

    @property
    def total(self) -> int:
        return self.past + self.tokens

    @property
    def real(self) -> Any:
        """Of all tokens so far."""
        if self.mask is None:
            return np.ones((self.batch, self.total), bool)
        return np.asarray(self.mask).astype(bool)

    @property
    def queries(self) -> Any:
        """The slots of this call's tokens, as a column."""
        return np.arange(self.past, self.total)[:, None]

    @property
    def keys(self) -> Any:
        return np.arange(self.total)


@dataclass
class Cache:
    """Keys and values of each layer, [batch, kv_heads, tokens, head]."""

    layers: list[tuple[Any, Any]] = field(default_factory=list)
    tokens: int = 0

    def extend(self, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
        """All keys and values, the new ones included."""
        if layer == len(self.layers):
            self.layers.append((key, value))
        else:
            old_key, old_value = self.layers[layer]
            self.layers[layer] = (np.concatenate([old_key, key], 2), np.concatenate([old_value, value], 2))
        return self.layers[layer]

    def reorder(self, index: Any) -> None:
        self.layers = [(key[index], value[index]) for key, value in self.layers]

    def truncate(self, tokens: int) -> None:
        self.layers = [(key[:, :, :tokens], value[:, :, :tokens]) for key, value in self.layers]
        self.tokens = tokens


class Host:
    """All steps right, in float32."""

    kind = "rotary"  # or "learned", "alibi", "none"
    causal = True
    depth = 2
    window: int | None = None
    prefix: int | None = None
    padding: str | None = "left"
    documents = False
    vocab = VOCAB
    make_cache = Cache

    def __init__(self) -> None:
        rng = np.random.default_rng(11)
        self.embedding = self.drawn(rng, self.vocab, WIDTH)
        self.places = self.drawn(rng, LONGEST, WIDTH)
        wide = [
            (WIDTH, QUERY_HEADS * HEAD),
            (WIDTH, KV_HEADS * HEAD),
            (WIDTH, KV_HEADS * HEAD),
            (QUERY_HEADS * HEAD, WIDTH),
            (WIDTH, 2 * WIDTH),
            (2 * WIDTH, WIDTH),
        ]
        self.weights = [
            [self.drawn(rng, *shape) * 2 / shape[0] ** 0.5 for shape in wide] for _ in range(self.depth)
        ]
        self.head = self.drawn(rng, WIDTH, self.vocab)

    def drawn(self, rng: Any, *shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    # what an audit calls

    def __call__(self, ids: Any, mask: Any, documents: Any = None) -> Any:
        return self.forward(Asked(ids, mask, documents), None)

    def decode(self) -> "Generation":
        return Generation(self)

    @property
    def claims(self) -> dict[str, Any]:
        return {
            "vocab_size": self.vocab,
            "causal": self.causal,
            "pad_id": 0,
            "padding": self.padding,
            "window": self.window,
            "documents": self.documents,
            "prefix": self.prefix,
            "decode": self.decode if self.causal else None,
        }

    # the steps

    def forward(self, asked: Asked, cache: Cache | None) -> Any:
        x = self.embed(asked)
        for layer in range(self.depth):
            x = self.block(asked, cache, layer, x)
        return self.norm(x) @ self.head

    def block(self, asked: Asked, cache: Cache | None, layer: int, x: Any) -> Any:
        inner, outer = self.weights[layer][4:]
        x = x + self.attend(asked, cache, layer, self.norm(x))
        return x + np.maximum(self.norm(x) @ inner, 0) @ outer

    def embed(self, asked: Asked) -> Any:
        x = self.embedding[asked.ids]
        if self.kind == "learned":
            x = x + self.places[np.clip(self.positions(asked)[:, asked.past :], 0, LONGEST - 1)]
        return x

    def positions(self, asked: Asked) -> Any:
        """Of all tokens so far, [batch, total]."""
        counted = np.maximum(np.cumsum(asked.real, axis=1) - 1, 0)
        return counted if asked.documents is None else self.in_documents(asked, counted)

    def in_documents(self, asked: Asked, counted: Any) -> Any:
        ids = asked.documents
        first = np.concatenate([np.ones_like(ids[:, :1], bool), ids[:, 1:] != ids[:, :-1]], axis=1) | (
            counted == 0
        )
        return counted - np.maximum.accumulate(np.where(first, counted, 0), axis=1)

    def norm(self, x: Any) -> Any:
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-6))

    def split(self, x: Any, heads: int) -> Any:
        return x.reshape(x.shape[0], x.shape[1], heads, HEAD).swapaxes(1, 2)

    def attend(self, asked: Asked, cache: Cache | None, layer: int, x: Any) -> Any:
        wq, wk, wv, wo = self.weights[layer][:4]
        own = self.positions(asked)[:, asked.past :]
        query, key = (
            self.turn(self.split(x @ wq, QUERY_HEADS), own),
            self.turn(self.split(x @ wk, KV_HEADS), own),
        )
        value = self.split(x @ wv, KV_HEADS)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        mixed = self.mix(asked, layer, query, key, value)
        return mixed.swapaxes(1, 2).reshape(asked.batch, asked.tokens, -1) @ wo

    def turn(self, heads: Any, positions: Any) -> Any:
        if self.kind != "rotary":
            return heads
        turned = [
            at.apply_rotary(row, np.asarray(places)) for row, places in zip(heads, positions, strict=True)
        ]
        return np.stack(turned).astype(np.float32)

    def mix(self, asked: Asked, layer: int, query: Any, key: Any, value: Any) -> Any:
        group = QUERY_HEADS // KV_HEADS
        key, value = np.repeat(key, group, axis=1), np.repeat(value, group, axis=1)
        scores = query @ key.swapaxes(-1, -2) * np.float32(HEAD**-0.5)
        if self.kind == "alibi":
            scores = scores + self.alibi(asked)
        visible = self.visible(asked, layer)[:, None]
        return self.softmax(scores, visible) @ value

    def alibi(self, asked: Asked) -> Any:
        positions = self.positions(asked).astype(np.float32)
        slopes = np.asarray(at.alibi_slopes(QUERY_HEADS))[:, None, None]
        return slopes * (positions[:, None, None, :] - positions[:, None, asked.past :, None])

    def softmax(self, scores: Any, visible: Any) -> Any:
        scores = np.where(visible, scores, np.float32(-np.inf))
        top = scores.max(axis=-1, keepdims=True)
        parts = np.exp(scores - np.where(np.isneginf(top), 0, top))
        total = parts.sum(axis=-1, keepdims=True)
        return parts / np.where(total == 0, np.float32(1), total)

    # what is visible: [batch, tokens, total]

    def visible(self, asked: Asked, layer: int) -> Any:
        shown = self.order(asked, layer) & self.near(asked, layer)
        return shown & self.hidden_padding(asked, layer) & self.same_document(asked, layer)

    def order(self, asked: Asked, layer: int) -> Any:
        if not self.causal:
            return np.ones((1, asked.tokens, asked.total), bool)
        shown = (asked.keys <= asked.queries)[None]
        return shown if self.prefix is None else shown | self.in_prefix(asked, layer)

    def in_prefix(self, asked: Asked, layer: int) -> Any:
        return ((asked.keys < self.prefix) & (asked.queries < self.prefix))[None]

    def near(self, asked: Asked, layer: int) -> Any:
        if self.window is None:
            return np.ones((1, 1, 1), bool)
        return (asked.keys >= asked.queries - self.window)[None]

    def hidden_padding(self, asked: Asked, layer: int) -> Any:
        return asked.real[:, None, :]

    def same_document(self, asked: Asked, layer: int) -> Any:
        if asked.documents is None:
            return np.ones((1, 1, 1), bool)
        return asked.documents[:, :, None] == asked.documents[:, None, :]


class Generation:
    """A cached generation of a host."""

    def __init__(self, host: Any) -> None:
        self.host, self.cache = host, host.make_cache()

    def step(self, ids: Any, mask: Any) -> Any:
        asked = Asked(ids, mask, None, self.cache.tokens)
        logits = self.host.forward(asked, self.cache)
        self.cache.tokens += ids.shape[1]
        return logits

    def reorder(self, index: Any) -> None:
        self.cache.reorder(index)

    def truncate(self, tokens: int) -> None:
        self.cache.truncate(tokens)


class Learned(Host):
    kind = "learned"


class Alibi(Host):
    kind = "alibi"


class Unplaced(Host):
    kind = "none"


class RightPadded(Host):
    kind, padding = "learned", "right"


class Encoder(Host):
    causal, kind, padding = False, "learned", "right"


class Packed(Host):
    kind, padding, documents = "learned", None, True


class PackedEncoder(Host):
    kind, padding, documents, causal = "learned", None, True, False


class Windowed(Host):
    window = 4


class WithPrefix(Host):
    kind, prefix, padding = "learned", 4, "right"


class Deep(Host):
    depth = 3


CORRECT = (
    Host,
    Learned,
    Alibi,
    Unplaced,
    RightPadded,
    Encoder,
    Packed,
    PackedEncoder,
    Windowed,
    WithPrefix,
    Deep,
)
