"""Questions to a model: their shape, and their arrays.

The shape is rows, lengths, padding, documents, and the chunks of a cached generation. Short rows come first,
then ragged rows, odd lengths, and lengths past the edge of a plausible block.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.claims import ModelClaims, Side
from attnscope.probing import listed

MaskKind = Literal["none", "int", "bool"]
SHORT = (2, 3, 5, 8)
PAST_BLOCKS = (21, 37, 70, 140, 270)  # past 16, 32, 64, 128, 256
RAGGED = ((3, 1), (5, 2), (2, 7, 4), (11, 5, 8, 1, 3, 9, 2))
RAGGED_PAST_BLOCKS = ((37, 20, 3), (70, 69, 4), (140, 75, 66), (270, 131, 5))


ROWS_AND_MASKS: tuple[tuple[int, MaskKind], ...] = ((1, "none"), (2, "int"))
BOTH: tuple[MaskKind, ...] = ("none", "int")


@dataclass(frozen=True)
class Scenario:
    """The shape of a question; its tokens follow from the seed.

    Parameters
    ----------
    lengths : tuple of int
        Real tokens of each row.
    side : {"left", "right"}, optional
        The side on which shorter rows are padded; None: all have the same length.
    extra : int
        Padded slots of the longest row.
    mask : {"none", "int", "bool"}
        Whether an attention mask is given, and its dtype.
    documents : tuple of int
        Lengths of the documents in each row; they sum to its length.
    chunks : tuple of int
        Tokens of each cached step; they sum to the width.
    seed : int
        Determines the tokens.
    tail : int
        Real tokens of each row after its padding.
    """

    lengths: tuple[int, ...]
    side: Side | None = None
    extra: int = 0
    mask: MaskKind = "int"
    documents: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    seed: int = 0
    tail: int = 0

    @property
    def width(self) -> int:
        """Slots of a row, padding included."""
        return max(self.lengths) + self.extra + self.tail

    @property
    def padded(self) -> bool:
        """Whether any slot is padding."""
        return self.extra > 0 or len(set(self.lengths)) > 1

    @property
    def unusual(self) -> str | None:
        """A property that a model may refuse with an error without breaking a promise, in words, or None."""
        if self.mask == "bool":
            return "a mask of bool"
        if 0 in self.lengths:
            return "a row that is all padding"
        return None

    def but(self, **changes: Any) -> Self:
        """The same with some fields changed."""
        return replace(self, **changes)

    @property
    def words(self) -> str:
        """The scenario in words that can follow "in"."""
        rows = listed([str(each) for each in self.lengths])
        words = f"rows of {rows} tokens"
        if len(set(self.lengths)) == 1:
            words = "a row" if len(self.lengths) == 1 else f"{len(self.lengths)} rows"
            words += f" of {self.lengths[0]} token{'s' if self.lengths[0] != 1 else ''}"
        if self.documents:
            words += f", packed from documents of {listed([str(each) for each in self.documents])}"
        if self.padded:
            words += f", padded on the {self.side} to {self.width - self.tail}"
        if self.tail:
            words += f", and {self.tail} more after the padding"
        words += {"none": ", without a mask", "int": "", "bool": ", with a mask of bool"}[self.mask]
        if self.chunks:
            words += f", cached in chunks of {listed([str(each) for each in self.chunks])}"
        return words

    def __str__(self) -> str:
        return f"{self.words} (seed {self.seed})"


def plainer(scenario: Scenario) -> list[Scenario]:
    """The same scenario with less padding, or with a simpler mask."""
    found: list[Scenario] = []
    if scenario.mask == "bool":
        found.append(scenario.but(mask="int"))
    if scenario.padded and scenario.extra == 0 and not scenario.documents:
        found.append(scenario.but(lengths=(max(scenario.lengths),) * len(scenario.lengths), side=None))
    if not scenario.padded and scenario.mask == "int" and scenario.side is None:
        found.append(scenario.but(mask="none"))
    if scenario.extra > 1 and not scenario.chunks:
        found.append(scenario.but(extra=1))
    return found


def smaller(scenario: Scenario) -> list[Scenario]:
    """Simpler scenarios, the largest steps first; those with chunks or documents keep their lengths."""
    found = plainer(scenario)
    lengths = scenario.lengths
    if len(lengths) > 1:
        for row in range(len(lengths)):
            rest = lengths[:row] + lengths[row + 1 :]
            if max(rest) == max(lengths):
                found.append(scenario.but(lengths=rest))
    if not scenario.chunks and not scenario.documents:
        found += [
            shortened
            for each in (2, 3, 4, max(lengths) // 2, max(lengths) - 1)
            if (shortened := shorter(scenario, each))
        ]
    return found


def shorter(scenario: Scenario, length: int) -> Scenario | None:
    """The same scenario with rows of at most this length, or None."""
    if not 1 <= length < max(scenario.lengths):
        return None
    if len(set(scenario.lengths)) > 1:  # ragged stays ragged
        longest = max(scenario.lengths)
        lengths = tuple(
            length if each == longest else min(each, max(length - 1, 1)) for each in scenario.lengths
        )
        return scenario.but(lengths=lengths)
    return scenario.but(lengths=(length,) * len(scenario.lengths))


def plain(claims: ModelClaims) -> list[Scenario]:
    """Rows without padding: alone and several, with and without a mask."""
    found = [Scenario((length,), mask="none") for length in SHORT]
    found += [Scenario((length,)) for length in (3, 8)]
    found += [Scenario((length,) * 3, mask=mask) for length in (4, 7) for mask in BOTH]
    found += [
        Scenario((length,) * rows, mask=mask) for length in PAST_BLOCKS for rows, mask in ROWS_AND_MASKS
    ]
    if claims.documents:
        found += [
            Scenario((sum(each),) * 2, documents=each) for each in ((3, 4), (5, 2, 4), (40, 30), (65, 9, 66))
        ]
    return found


def padded(claims: ModelClaims) -> list[Scenario]:
    """Rows with padding on the declared side."""
    if claims.padding is None:
        return []
    side = claims.padding
    found = [Scenario((4,), side, extra=2), Scenario((1,), side, extra=3)]
    found += [Scenario(lengths, side) for lengths in RAGGED]
    found += [Scenario((3, 6, 6, 2, 5, 4), side, extra=3), Scenario((9, 2, 5), side, mask="bool")]
    found += [
        Scenario(lengths, side, extra=extra)
        for lengths, extra in zip(RAGGED_PAST_BLOCKS, (0, 3, 0, 0), strict=True)
    ]
    return found


def packed(claims: ModelClaims) -> list[Scenario]:
    """Rows with several documents."""
    shapes = ((2, 2), (1, 1, 1), (3, 4), (1, 5, 2), (7, 1, 6), (20, 17), (40, 30), (64, 5, 66), (130, 3, 129))
    found = [Scenario((sum(shape),), mask="none", documents=shape) for shape in shapes]
    found += [Scenario((sum(shape),) * 2, documents=shape) for shape in shapes[2:6]]
    return found


def chunked(claims: ModelClaims) -> list[Scenario]:
    """Cached generations in chunks: one by one, all at once, prefilled, odd, and past a block's edge."""
    shapes: list[tuple[int, ...]] = [
        (2, 1),
        (1, 1, 1, 1),
        (1,) * 9,
        (5, 1, 1, 1),
        (8,),
        (4, 3),
        (1, 4, 2),
        (3, 2, 2, 1),
        (2, 6),
        (7, 5, 1, 3),
        (17, 1, 1),
        (31, 3, 1),
        (33, 2),
        (63, 2, 1),
        (64, 1, 1),
        (65, 3),
        (30, 40),
        (1, 69),
        (20, 20, 20, 20, 5, 1),
        (127, 3),
        (128, 1, 1),
        (140, 1),
        (70, 70),
        (64, 64, 5),
        (255, 3),
        (256, 1, 1),
        (130, 131),
        (14, 1, 1),
        (30, 2),
        (61, 1, 1, 1),
        (60, 1, 3, 1),
        (120, 8),
        (125, 1, 1, 1, 1),
    ]
    if claims.window is not None:
        w = max(claims.window, 1)
        shapes += [
            (w, 1, 1, 1),
            (w + 1, 1, 1),
            (w + 2, 1, 1),
            (1,) * (2 * w + 3),
            (2 * w + 3, 1, 2, 1),
            (w, w + 1, 1),
            (1, w, w + 2, 1),
        ]
        shapes += [(w - 1, 1, 1, 1)] if w > 1 else []
    first = max(claims.prefix or 1, 1)  # a chunk that ends inside a prefix cannot see the rest of it
    shapes = sorted(
        {(max(shape[0], first), *shape[1:]) for shape in shapes}, key=lambda shape: (sum(shape), len(shape))
    )
    found: list[Scenario] = []
    for number, shape in enumerate(shapes):
        if len(shape) <= 140:
            found.append(Scenario((sum(shape),), mask=BOTH[number % 2], chunks=shape))
    found += [Scenario((sum(shape),) * 3, chunks=shape) for shape in shapes if 5 <= sum(shape) <= 20]
    return found


def chunked_and_padded(claims: ModelClaims) -> list[Scenario]:
    """Cached generations of rows padded on the left; in one, a row begins after the first chunk."""
    found = [
        Scenario((4,), "left", extra=2, chunks=(4, 1, 1)),
        Scenario((7, 5, 4), "left", chunks=(5, 1, 1)),
        Scenario((7, 3), "left", chunks=(5, 2)),
        Scenario((6, 9, 4, 8, 5, 7), "left", extra=1, chunks=(7, 1, 1, 1)),
        Scenario((6, 9, 4), "left", extra=1, chunks=(7, 3)),
        Scenario((9, 2, 3), "left", chunks=(4, 4, 1)),
        Scenario((10, 4, 8), "left", chunks=(10,)),
        Scenario((20, 31), "left", extra=2, chunks=(31, 1, 1)),
        Scenario((68, 40, 9), "left", chunks=(64, 1, 2, 1)),
        Scenario((131, 70), "left", chunks=(127, 1, 3)),
        *(Scenario((full, full - 5), "left", chunks=(full - 3, 1, 1, 1)) for full in (16, 32, 64, 128)),
    ]
    if claims.window is not None:
        w = claims.window
        found += [
            Scenario((2 * w + 4, w + 2, w + 5), "left", chunks=(w + 3, 1, *(1,) * w)),
            Scenario((2 * w + 6, w + 3), "left", extra=1, chunks=(w + 6, w + 1)),
        ]
    if claims.prefix is None:
        return found
    return [each for each in found if each.chunks[0] >= claims.prefix + each.width - min(each.lengths)]


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
