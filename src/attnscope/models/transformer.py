"""A transformer of attention layers alone. A token is a number of one byte: a byte of text, or a word.

    residual[i]  = embedding[token i]
    residual[i] += sum over heads of attention(residual W_q, residual W_k, residual W_v)[i] W_o
                   in each layer
    logits[i]    = residual[i] unembedding

The logits of position i score every token that can come next.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionError, AttentionFormatError, AttentionShapeError
from attnscope.models.layer import Floats, Layer
from attnscope.observation import Observation, observe
from attnscope.problem import Causal, Mask

Bytes = NDArray[np.uint8]
Tokens = bytes | NDArray[Any]
Head = tuple[int, int]


@dataclass(frozen=True, eq=False)
class HeadReading:
    """The inputs of one head on one text.

    Parameters
    ----------
    name : str
        What the head does.
    query, key : ndarray of float32, (tokens, key_dim)
        Its queries and keys.
    value : ndarray of float32, (tokens, value_dim)
        Its values.
    slope, sink : float
        Its ALiBi slope and the logit of its sink.
    """

    name: str
    query: Floats
    key: Floats
    value: Floats
    slope: float
    sink: float


@dataclass(frozen=True, eq=False)
class Reading:
    """One forward pass over a text: the logits, and the inputs of every layer's attention.

    Parameters
    ----------
    model : Transformer
        The model.
    mask : Mask
        The keys that each byte sees.
    logits : ndarray of float32, (tokens, 256)
        The scores of the next byte.
    query, key : tuple of ndarray of float32, (heads, tokens, key_dim)
        The queries and keys, one array per layer.
    value : tuple of ndarray of float32, (heads, tokens, value_dim)
        The values, one array per layer.
    """

    model: "Transformer"
    mask: Mask
    logits: Floats
    query: tuple[Floats, ...]
    key: tuple[Floats, ...]
    value: tuple[Floats, ...]

    def observe(self, layer: int, **statistics: Any) -> Observation:
        """Observe the heads of one layer on the arrays of this forward pass.

        Parameters
        ----------
        layer : int
            The number of the layer.
        **statistics
            Further arguments of observe(), such as top_keys.

        Returns
        -------
        Observation
            Output and statistics of the layer.

        Examples
        --------
        >>> from attnscope.models import copying_transformer
        >>> seen = copying_transformer().read(b"a cat, a c").observe(0)
        >>> [int(key) for key in seen.max_key[0]]  # the head "1 back"; byte 0 sees only itself
        [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        """
        query, key, value = self.query[layer], self.key[layer], self.value[layer]
        return observe(query, key, value, mask=self.mask, **self.model.layers[layer].scoring, **statistics)

    def head(self, layer: int, head: int) -> HeadReading:
        """Select one head.

        Parameters
        ----------
        layer, head : int
            The numbers of layer and head.

        Returns
        -------
        HeadReading
            The inputs of the head.
        """
        weights = self.model.layers[layer]
        slope, sink = float(weights.alibi_slopes[head]), float(weights.sinks[head])
        arrays = (self.query[layer][head], self.key[layer][head], self.value[layer][head])
        return HeadReading(weights.names[head], *arrays, slope, sink)


class Transformer:
    """An attention-only transformer in float32, over at most 256 tokens: bytes, or the words of a vocabulary.

    Parameters
    ----------
    embedding : ndarray of float32, (tokens, width)
        The residual stream that each token begins with.
    layers : tuple of Layer
        The attention layers.
    unembedding : ndarray of float32, (width, 256)
        The projection of the residual stream to logits.

    References
    ----------
    Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
    """

    def __init__(self, embedding: Floats, layers: tuple[Layer, ...], unembedding: Floats) -> None:
        self.embedding, self.layers, self.unembedding = embedding, layers, unembedding

    def logits(self, tokens: Tokens, *, mask: Mask | None = None, ablate: Collection[Head] = ()) -> Floats:
        """Score, at each position, every byte that can come next.

        Parameters
        ----------
        tokens : bytes or ndarray of int, (tokens,)
            The text.
        mask : Mask, optional
            The keys that each byte sees. Default: Causal(). Causal(offset=1) leaks the next byte.
        ablate : collection of (layer, head)
            Heads whose output is left out.

        Returns
        -------
        ndarray of float32, (tokens, 256)
            The logits.

        Raises
        ------
        AttentionError
            If tokens are not bytes, or an ablated head does not exist.
        """
        return self.read(tokens, mask=mask, ablate=ablate).logits

    def read(self, tokens: Tokens, *, mask: Mask | None = None, ablate: Collection[Head] = ()) -> Reading:
        """Compute the logits, and keep the queries, keys and values of every head.

        Parameters
        ----------
        tokens, mask, ablate
            As for logits().

        Returns
        -------
        Reading
            The logits and arrays.
        """
        text = as_bytes(tokens)
        self._check_heads(ablate)
        memory = self._memory(len(text))
        mask = Causal() if mask is None else mask
        logits, query = self._forward(text, 0, memory, mask, ablate)
        return Reading(self, mask, logits, query, *zip(*memory, strict=True))

    def follow(self, reading: Reading, held: int, tokens: Tokens, *, mask: Mask | None = None) -> Floats:
        """Score every byte that can come next, after the first `held` tokens of a text that was read before.

        Parameters
        ----------
        reading : Reading
            The text; its keys and values are not computed again.
        held : int
            The number of its tokens that come before.
        tokens : bytes or ndarray of int, (tokens,)
            The tokens that follow them.
        mask : Mask, optional
            The keys that each of these sees, of `held` and its own. Default: Causal().

        Returns
        -------
        ndarray of float32, (tokens, 256)
            The logits.

        Raises
        ------
        AttentionError
            If tokens are not bytes, or the reading has fewer than `held` tokens.

        Examples
        --------
        >>> from attnscope.models import copying_transformer
        >>> model = copying_transformer()
        >>> logits = model.follow(model.read(b"a cat. a "), 7, b"a c")
        >>> chr(logits[-1].argmax())
        'a'
        """
        text = as_bytes(tokens)
        if not 0 <= held <= reading.key[0].shape[1]:
            raise AttentionShapeError(
                f"held={held}, expected 0 to {reading.key[0].shape[1]}, the tokens of the reading."
            )
        memory = self._memory(held + len(text))
        for (key, value), read_key, read_value in zip(memory, reading.key, reading.value, strict=True):
            key[:, :held], value[:, :held] = read_key[:, :held], read_value[:, :held]
        return self._forward(text, held, memory, Causal() if mask is None else mask, ())[0]

    def generate(self, tokens: Tokens, new_tokens: int, *, ablate: Collection[Head] = ()) -> bytes:
        """Continue a text by its most likely next bytes. Keys and values of earlier bytes are cached.

        Parameters
        ----------
        tokens : bytes or ndarray of int, (tokens,)
            The text.
        new_tokens : int
            How many bytes to generate.
        ablate : collection of (layer, head)
            Heads whose output is left out.

        Returns
        -------
        bytes
            The generated bytes.

        Raises
        ------
        AttentionError
            If tokens are empty or not bytes, new_tokens is negative, or an ablated head does not exist.
        """
        text = as_bytes(tokens)
        self._check_heads(ablate)
        if new_tokens < 0:
            raise AttentionShapeError(f"new_tokens={new_tokens}, expected 0 or more.")
        if len(text) == 0:
            raise AttentionShapeError(
                "tokens is empty, so there is nothing to continue. Pass at least one byte."
            )
        memory = self._memory(len(text) + new_tokens)
        generated = bytearray()
        start = 0
        for _ in range(new_tokens):
            logits, _query = self._forward(text, start, memory, Causal(), ablate)
            start += len(text)
            text = logits[-1:].argmax(axis=-1).astype(np.uint8)
            generated.append(int(text[0]))
        return bytes(generated)

    def _forward(
        self,
        text: Bytes,
        start: int,
        memory: list[tuple[Floats, Floats]],
        mask: Mask,
        ablate: Collection[Head],
    ) -> tuple[Floats, tuple[Floats, ...]]:
        """Logits and queries of a text from position start on; earlier keys and values are in memory."""
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
        """Arrays for the keys and values of so many tokens, one pair per layer."""
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
    """The tokens as an array of uint8.

    Raises
    ------
    AttentionFormatError
        If they are not bytes, nor one row of integers from 0 to 255.
    """
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
