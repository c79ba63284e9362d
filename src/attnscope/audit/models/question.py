"""The arrays of one question to a model, and changes of some of its tokens."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.claims import ModelClaims, Side
from attnscope.audit.models.scenario import Scenario

Tokens = NDArray[np.int64]
Where = NDArray[np.bool_]
MASK_NUMBERS: dict[str, type[Any]] = {"int": np.int64, "bool": np.bool_}


@dataclass(frozen=True, eq=False)
class Question:
    """The arrays of one question.

    Parameters
    ----------
    token_ids : (batch, tokens) array of int
    real : (batch, tokens) array of bool
        The slots that are not padding.
    attention_mask : (batch, tokens) array, optional
    documents : (batch, tokens) array of int, optional
    side : {"left", "right"}, optional
        The side of the padding.
    """

    token_ids: Tokens
    real: Where
    attention_mask: NDArray[Any] | None
    documents: Tokens | None
    side: Side | None = None

    @property
    def places(self) -> Tokens:
        """The number of each slot's token in its row; -1 in padded slots."""
        counted = np.cumsum(self.real, axis=1) - 1
        return np.where(self.real, counted, -1)

    def with_tokens(self, token_ids: Tokens) -> "Question":
        """The same question with other tokens."""
        return replace(self, token_ids=token_ids)

    def changed(self, where: Where, claims: ModelClaims, draw: int = 0) -> "Question":
        """Another token in each of these slots."""
        tokens = claims.ordinary
        rng = np.random.default_rng((draw, 0x5EED, *self.token_ids.shape))
        step = rng.integers(1, len(tokens), self.token_ids.shape)
        index = np.searchsorted(tokens, self.token_ids)
        other = tokens[(index + step) % len(tokens)]
        return self.with_tokens(np.where(where, other, self.token_ids))

    def rows(self, rows: list[int] | NDArray[Any]) -> "Question":
        """The question with these rows, in this order."""
        return Question(
            self.token_ids[rows],
            self.real[rows],
            None if self.attention_mask is None else self.attention_mask[rows],
            None if self.documents is None else self.documents[rows],
            self.side,
        )

    def alone(self, row: int, mask: str = "none") -> "Question":
        """One row without its padding."""
        real = self.real[row]
        token_ids = self.token_ids[row : row + 1, real]
        documents = None if self.documents is None else self.documents[row : row + 1, real]
        ones = np.ones_like(token_ids, bool)
        return Question(token_ids, ones, mask_of(ones, mask), documents)

    def named_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, by name."""
        arrays = {
            "token_ids": self.token_ids,
            "attention_mask": self.attention_mask,
            "documents": self.documents,
        }
        return {name: array for name, array in arrays.items() if array is not None}


def mask_of(real: Where, kind: str) -> NDArray[Any] | None:
    """An attention mask: None, or 1 where a token is real."""
    return None if kind == "none" else real.astype(MASK_NUMBERS[kind])


def build(scenario: Scenario, claims: ModelClaims) -> Question:
    """Draw the arrays of a scenario; a row's tokens depend neither on its length nor on the other rows."""
    batch, width = len(scenario.lengths), scenario.width
    token_ids = np.full((batch, width), claims.fill, np.int64)
    real = np.zeros((batch, width), bool)
    for row, length in enumerate(scenario.lengths):
        start = width - length if scenario.side == "left" else 0
        token_ids[row, start : start + length] = drawn(claims, scenario.seed, row, length)
        real[row, start : start + length] = True
        if scenario.tail:
            token_ids[row, -scenario.tail :] = drawn(claims, scenario.seed + 7, row, scenario.tail)
            real[row, -scenario.tail :] = True
    documents = None
    if claims.documents:
        ends = np.cumsum(scenario.documents or scenario.lengths[:1])
        places = np.maximum(np.cumsum(real, axis=1) - 1, 0)
        documents = np.searchsorted(ends, places, side="right").astype(np.int64)
        if not scenario.documents:
            documents[:] = 0
    return Question(token_ids, real, mask_of(real, scenario.mask), documents, scenario.side)


def drawn(claims: ModelClaims, seed: int, row: int, length: int) -> Tokens:
    """A row's tokens: ordinary ones, and special ones in between."""
    rng = np.random.default_rng((seed, row))
    tokens = claims.ordinary[rng.integers(0, len(claims.ordinary), 512 + length)[:length]]
    special = np.array(claims.special_ids, np.int64)
    if len(special):
        at = np.arange(2, length, 5)
        tokens[at] = special[np.arange(len(at)) % len(special)]
    return tokens
