"""The hand-written model as a subject: it needs no download, and its tokens are bytes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from attnscope.inspection.attribution.scorer import HandWrittenScorer
from attnscope.inspection.chat import Message, plain_template
from attnscope.inspection.subject import ObservedLayer, Step, Tokens
from attnscope.models import copying_transformer


class HandWritten:
    """copying_transformer(): six heads attend 1 to 6 bytes back; an induction head and a background head."""

    name = "the hand-written model"
    context: int | None = None
    chats = True
    instructed = False  # it continues what it reads
    special_tokens: Sequence[str] = ()

    def __init__(self) -> None:
        self.model = copying_transformer()
        self.layers: Sequence[int] = range(len(self.model.layers))
        self.facts: Mapping[str, str] = {"model": "at.models.copying_transformer(), one token per byte"}

    def template(self, messages: Sequence[Message], *, answer_next: bool = False) -> str:
        return plain_template(messages, answer_next=answer_next)

    def tokenize(self, text: str, *, templated: bool) -> Tokens:
        lengths = np.array([len(character.encode()) for character in text], np.int64)
        characters = np.repeat(np.arange(len(text)), lengths)
        begins = np.diff(characters, prepend=-1) > 0
        pieces = tuple(text[place] if first else "" for place, first in zip(characters, begins, strict=True))
        ids = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        return Tokens(ids, pieces, characters, characters + 1)

    def generate(self, tokens: Tokens, new_tokens: int) -> Tokens:
        generated = self.model.generate(tokens.ids, new_tokens)
        return tokens.followed_by(list(generated), self.pieces(list(generated)))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        generated = bytes(ids)
        text = generated.decode(errors="replace")  # what it copies may end within a character
        if len(text.encode()) == len(generated):
            return list(self.tokenize(text, templated=True).pieces)
        return [bytes([byte]).decode(errors="replace") for byte in generated]

    def scorer(self, *, hides: bool) -> HandWrittenScorer:
        return HandWrittenScorer(self.model)

    def observe(
        self, tokens: Tokens, layers: Sequence[int], statistics: Mapping[str, Any], step: Step
    ) -> Iterator[ObservedLayer]:
        reading = self.model.read(tokens.ids)
        for done, layer in enumerate(layers, start=1):
            names = self.model.layers[layer].names
            yield ObservedLayer(layer, f"layer {layer}", names, reading.observe(layer, **statistics))
            step(done)
