"""A transformer over words whose weights were trained on the lesson's own text."""

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError
from attnscope.models.layer import NO_SINK, Layer
from attnscope.models.transformer import Transformer

WORD = re.compile(r"[a-z]+|[.,:;?!]")
WEIGHTS = files("attnscope.models").joinpath("trained.npz")


@dataclass(frozen=True)
class Vocabulary:
    r"""The words that a model knows: at most 256, so that a token is a byte.

    Parameters
    ----------
    words : tuple of str
        Lower-case words and marks; a word's place is its token.

    Examples
    --------
    >>> vocabulary = Vocabulary(("the", "trophy", "fits"))
    >>> vocabulary.encode("The trophy fits.")
    b'\x00\x01\x02'
    """

    words: tuple[str, ...]

    def split(self, text: str) -> list[str]:
        """The known words of a text, in lower case. Others are left out.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        list of str
            The words and marks.
        """
        known = set(self.words)
        return [word for word in WORD.findall(text.lower()) if word in known]

    def encode(self, text: str) -> bytes:
        """The tokens of a text; unknown words are left out.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        bytes
            A token per word.
        """
        place = {word: token for token, word in enumerate(self.words)}
        return bytes(place[word] for word in self.split(text))

    def decode(self, tokens: bytes | NDArray[Any]) -> str:
        """The words of tokens, with spaces between them.

        Parameters
        ----------
        tokens : bytes or ndarray of int, (tokens,)
            Tokens of this vocabulary.

        Returns
        -------
        str
            The words.

        Raises
        ------
        AttentionFormatError
            If a token has no word.
        """
        unknown = [int(token) for token in tokens if int(token) >= len(self.words)]
        if unknown:
            raise AttentionFormatError(
                f"token {unknown[0]} has no word, expected 0 to {len(self.words) - 1}."
            )
        return " ".join(self.words[int(token)] for token in tokens)


def trained_transformer() -> tuple[Transformer, Vocabulary]:
    """Load a transformer of two attention layers that was trained on the lesson's text.

    Returns
    -------
    tuple of Transformer and Vocabulary
        The model, over words, and the words.

    Notes
    -----
    `python -m attnscope.training` trains it anew. Its weights are stored in float16.

    Examples
    --------
    >>> model, words = trained_transformer()
    >>> len(model.layers), model.embedding.shape[0] == len(words.words)
    (2, True)
    """
    parameters = stored_arrays()
    del parameters["history"]
    vocabulary = Vocabulary(tuple(parameters.pop("words").tolist()))
    return transformer_of({name: each.astype(np.float32) for name, each in parameters.items()}), vocabulary


def stored_arrays() -> dict[str, NDArray[Any]]:
    """What a training stored: weights, words, and its history."""
    with WEIGHTS.open("rb") as file, np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def transformer_of(parameters: dict[str, NDArray[np.float32]]) -> Transformer:
    """The model with these weights: embedding, unembedding, and w_q0, w_k0, w_v0, w_o0, w_q1, ... per layer.

    w_q, w_k, w_v: (heads, width, dim); w_o: (heads, dim, width). The scale 1 / sqrt(dim) goes into w_q.
    """
    layers = []
    for depth in range(sum(name.startswith("w_q") for name in parameters)):
        w_q, w_k, w_v, w_o = (parameters[f"{name}{depth}"] for name in ("w_q", "w_k", "w_v", "w_o"))
        heads, _, dim = w_q.shape
        layers.append(
            Layer(
                tuple(f"head {head}" for head in range(heads)),
                w_q * np.float32(dim**-0.5),
                w_k,
                w_v,
                w_o,
                np.zeros(heads, np.float32),
                np.full(heads, NO_SINK, np.float32),
                rotary=True,
            )
        )
    return Transformer(parameters["embedding"], tuple(layers), parameters["unembedding"])
