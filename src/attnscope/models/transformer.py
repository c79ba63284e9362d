"""A transformer of attention layers alone, over bytes, with every matrix in the open.

    residual[i]  = embedding[byte i]
    residual[i] += sum over heads of attention(residual W_q, residual W_k, residual W_v)[i] W_o    each layer
    logits[i]    = residual[i] unembedding

The logits of position i score every byte that could come next.
"""

from __future__ import annotations  # the public index imports this file while it is itself being made

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import attnscope as at
from attnscope.errors import AttentionError, AttentionFormatError, AttentionShapeError

if TYPE_CHECKING:
    from collections.abc import Collection

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Tokens = bytes | NDArray[Any]
Head = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of one attention layer.

    Shapes
        names            (heads,)      what each head is for
        w_q, w_k         (heads, width, key_dim)
        w_v              (heads, width, value_dim)
        w_o              (heads, value_dim, width)
        alibi_slopes, sinks    (heads,)      what a byte of distance costs; the logit of "read nothing"
        rotary           queries and keys are turned by their positions (RoPE)
    """

    names: tuple[str, ...]
    w_q: Floats
    w_k: Floats
    w_v: Floats
    w_o: Floats
    alibi_slopes: Floats
    sinks: Floats
    rotary: bool

    def queries_keys_values(self, residual: Floats, positions: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """What each head asks, offers and carries at these positions."""
        query, key, value = residual @ self.w_q, residual @ self.w_k, residual @ self.w_v
        if self.rotary:
            query, key = at.apply_rotary(query, positions), at.apply_rotary(key, positions)
        return query, key, value

    def attend(self, query: Floats, key: Floats, value: Floats, mask: at.Mask) -> Floats:
        """Each head's mix of the values that its queries see."""
        return at.attention(query, key, value, mask=mask, **self.scoring)

    @property
    def scoring(self) -> dict[str, Any]:
        """How scores are made of queries and keys, as arguments of attention()."""
        return {"scale": 1.0, "alibi_slopes": self.alibi_slopes, "sinks": self.sinks}


@dataclass(frozen=True, eq=False)
class HeadReading:
    """One head on one text: what attention() was given, so that anyone can ask again.

    Shapes
        query, key     (tokens, key_dim)
        value          (tokens, value_dim)
        slope, sink    floats
    """

    name: str
    query: Floats
    key: Floats
    value: Floats
    slope: float
    sink: float


@dataclass(frozen=True, eq=False)
class Reading:
    """A text, read: the logits, and the arrays of each layer behind them.

    Shapes
        mask      which bytes each byte was shown
        logits    (tokens, 256)
        query     a layer: (heads, tokens, key_dim)
        key       a layer: (heads, tokens, key_dim)
        value     a layer: (heads, tokens, value_dim)
    """

    model: Transformer
    mask: at.Mask
    logits: Floats
    query: tuple[Floats, ...]
    key: tuple[Floats, ...]
    value: tuple[Floats, ...]

    def observe(self, layer: int, **asked: Any) -> at.Observation:
        """Where the heads of one layer looked: at.observe() of the very arrays that were read, with what it is asked.

        >>> from attnscope.models import copying_transformer
        >>> seen = copying_transformer().read(b"a cat, a c").observe(0)
        >>> [int(key) for key in seen.max_key[0]]  # the head "1 back"; byte 0 sees only itself, faintly
        [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        """
        scoring = self.model.layers[layer].scoring
        return at.observe(
            self.query[layer], self.key[layer], self.value[layer], mask=self.mask, **scoring, **asked
        )

    def head(self, layer: int, head: int) -> HeadReading:
        """One head's part of it."""
        weights = self.model.layers[layer]
        slope, sink = float(weights.alibi_slopes[head]), float(weights.sinks[head])
        arrays = (self.query[layer][head], self.key[layer][head], self.value[layer][head])
        return HeadReading(weights.names[head], *arrays, slope, sink)


class Transformer:
    """Bytes in, scores for the next byte out.

    Shapes
        embedding      (256, width)
        unembedding    (width, 256)
    Precision
        float32.
    Errors
        AttentionError where tokens are no bytes, or an ablated head does not exist.
    Source
        Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits": attention-only transformers.
    """

    def __init__(self, embedding: Floats, layers: tuple[Layer, ...], unembedding: Floats) -> None:
        self.embedding, self.layers, self.unembedding = embedding, layers, unembedding

    def logits(self, tokens: Tokens, *, mask: at.Mask | None = None, ablate: Collection[Head] = ()) -> Floats:
        """Score, at each position, every byte that could come next.

        Shapes
            logits    (tokens, 256)

        mask is at.Causal() unless given; another breaks the promise on purpose: Causal(offset=1) leaks.
        ablate names heads, as (layer, head), that add nothing to the residual stream.
        """
        return self.read(tokens, mask=mask, ablate=ablate).logits

    def read(self, tokens: Tokens, *, mask: at.Mask | None = None, ablate: Collection[Head] = ()) -> Reading:
        """Like logits(), and keep every head's queries, keys and values."""
        text = as_bytes(tokens)
        self._check_heads(ablate)
        memory = self._memory(len(text))
        mask = at.Causal() if mask is None else mask
        logits, query = self._forward(text, 0, memory, mask, ablate)
        return Reading(self, mask, logits, query, *zip(*memory, strict=True))

    def generate(self, tokens: Tokens, new_tokens: int, *, ablate: Collection[Head] = ()) -> bytes:
        """Continue a text by the likeliest byte, new_tokens times, each time reading only what is new.

        The keys and values of what was read stand in memory (the KV cache).
        """
        text = as_bytes(tokens)
        self._check_heads(ablate)
        if new_tokens < 0:
            raise AttentionShapeError(f"new_tokens={new_tokens}, expected 0 or more.")
        if len(text) == 0:
            raise AttentionShapeError("tokens is empty: nothing to continue. Pass at least one byte.")
        memory = self._memory(len(text) + new_tokens)
        written = bytearray()
        start = 0
        for _ in range(new_tokens):
            logits, _query = self._forward(text, start, memory, at.Causal(), ablate)
            start += len(text)
            text = logits[-1:].argmax(axis=-1).astype(np.uint8)
            written.append(int(text[0]))
        return bytes(written)

    def _forward(
        self,
        text: Bytes,
        start: int,
        memory: list[tuple[Floats, Floats]],
        mask: at.Mask,
        ablate: Collection[Head],
    ) -> tuple[Floats, tuple[Floats, ...]]:
        """Read text at positions start, start + 1, ...; keys and values before them stand in memory."""
        end = start + len(text)
        residual = self.embedding[text]
        queries = []
        for depth, (layer, (key, value)) in enumerate(zip(self.layers, memory, strict=True)):
            new = layer.queries_keys_values(residual, np.arange(start, end))
            query, key[:, start:end], value[:, start:end] = new
            mixed = layer.attend(query, key[:, :end], value[:, :end], mask)
            for head, (mixed_by_head, w_o) in enumerate(zip(mixed, layer.w_o, strict=True)):
                if (depth, head) not in ablate:
                    residual += mixed_by_head @ w_o
            queries.append(query)
        return residual @ self.unembedding, tuple(queries)

    def _memory(self, tokens: int) -> list[tuple[Floats, Floats]]:
        """Room for the keys and values of so many tokens, a layer."""
        return [
            (
                np.empty((len(layer.names), tokens, layer.w_k.shape[-1]), np.float32),
                np.empty((len(layer.names), tokens, layer.w_v.shape[-1]), np.float32),
            )
            for layer in self.layers
        ]

    def _check_heads(self, ablate: Collection[Head]) -> None:
        known = {(depth, head) for depth, layer in enumerate(self.layers) for head in range(len(layer.names))}
        unknown = sorted(set(ablate) - known)
        if unknown:
            heads = [
                f"layer {depth} has heads 0 to {len(layer.names) - 1}"
                for depth, layer in enumerate(self.layers)
            ]
            raise AttentionError(f"ablate names {unknown}, expected pairs (layer, head): {', '.join(heads)}.")


def as_bytes(tokens: Tokens) -> Bytes:
    """The tokens as an array of uint8, or say what is wrong with them."""
    if isinstance(tokens, bytes | bytearray | memoryview):
        return np.frombuffer(tokens, np.uint8)
    if not isinstance(tokens, np.ndarray):
        raise AttentionFormatError(
            f"tokens is {type(tokens).__name__}, expected bytes or an array of integers. Use text.encode()."
        )
    if tokens.dtype.kind not in "iu" or tokens.ndim != 1:
        raise AttentionFormatError(
            f"tokens has dtype {tokens.dtype} and shape {tokens.shape}, expected one row of integers."
        )
    if tokens.size and not 0 <= tokens.min() <= tokens.max() <= 255:
        raise AttentionFormatError(
            f"tokens reach from {tokens.min()} to {tokens.max()}, expected bytes: 0 to 255."
        )
    return tokens.astype(np.uint8)
