"""The hand-written model as a subject: it is always here, and reads bytes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from attnscope.inspection.chat import Message, plain_template
from attnscope.inspection.subject import LayerSeen, Step, Tokens
from attnscope.models import copying_transformer


class HandWritten:
    """at.models.copying_transformer(): six heads that look 1 to 6 bytes back, an induction head, a background head."""

    name = "the hand-written model"
    context: int | None = None
    chats = True

    def __init__(self) -> None:
        self.model = copying_transformer()
        self.layers = len(self.model.layers)
        self.facts: Mapping[str, str] = {"model": "at.models.copying_transformer(): a token is a byte"}

    def template(self, messages: Sequence[Message], *, answer_next: bool = False) -> str:
        return plain_template(messages, answer_next=answer_next)

    def tokenize(self, text: str, *, templated: bool) -> Tokens:
        lengths = np.array([len(character.encode()) for character in text], np.int64)
        characters = np.repeat(np.arange(len(text)), lengths)
        begins = np.diff(characters, prepend=-1) > 0
        pieces = tuple(
            text[character] if first else "" for character, first in zip(characters, begins, strict=True)
        )
        return Tokens(
            np.frombuffer(text.encode(), np.uint8).astype(np.int64), pieces, characters, characters + 1
        )

    def write_on(self, tokens: Tokens, new_tokens: int) -> Tokens:
        written = self.model.generate(tokens.ids, new_tokens)
        text = written.decode(errors="replace")  # what it copies may end within a character
        if len(text.encode()) == len(written):
            return tokens.followed_by(list(written), self.tokenize(text, templated=True).pieces)
        return tokens.followed_by(list(written), [bytes([byte]).decode(errors="replace") for byte in written])

    def observe(
        self, tokens: Tokens, layers: Sequence[int], asked: Mapping[str, Any], step: Step
    ) -> Iterator[LayerSeen]:
        reading = self.model.read(tokens.ids)
        for done, layer in enumerate(layers, start=1):
            names = self.model.layers[layer].names
            yield LayerSeen(layer, f"layer {layer}", names, reading.observe(layer, **asked))
            step(done)
