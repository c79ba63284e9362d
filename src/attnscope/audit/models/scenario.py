"""What one question looks like: how many rows, how long, padded where, in which documents, cached in which chunks."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from attnscope.audit.models.claims import Side
from attnscope.audit.words import listed

MaskKind = Literal["none", "int", "bool"]


@dataclass(frozen=True)
class Scenario:
    """The shape of a question; its tokens follow from the seed.

    lengths      real tokens of each row
    side         where the shorter rows are padded; None: all are as long
    extra        padded slots that even the longest row has
    mask         whether an attention mask is given, and as which numbers
    documents    lengths of the documents that each row is packed of; they add up to its length
    chunks       tokens of each cached step; they add up to the width
    tail         real tokens with which each row goes on behind its padding
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
        """What a model may refuse aloud without breaking a promise, in words."""
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
        """The scenario in words, as they follow "in"."""
        rows = listed([str(each) for each in self.lengths])
        said = f"rows of {rows} tokens"
        if len(set(self.lengths)) == 1:
            said = "a row" if len(self.lengths) == 1 else f"{len(self.lengths)} rows"
            said += f" of {self.lengths[0]} token{'s' if self.lengths[0] != 1 else ''}"
        if self.documents:
            said += f", packed of documents of {listed([str(each) for each in self.documents])}"
        if self.padded:
            said += f", padded on the {self.side} to {self.width - self.tail}"
        if self.tail:
            said += f", and {self.tail} more behind it"
        said += {"none": ", without a mask", "int": "", "bool": ", with a mask of bool"}[self.mask]
        if self.chunks:
            said += f", cached in chunks of {listed([str(each) for each in self.chunks])}"
        return said

    def __str__(self) -> str:
        return f"{self.words} (seed {self.seed})"


def plainer(scenario: Scenario) -> list[Scenario]:
    """The same with less padding, or less of a mask."""
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
    """Simpler scenarios, the boldest steps first; those with chunks or documents keep their lengths."""
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
    """The same with no row longer than this."""
    if not 1 <= length < max(scenario.lengths):
        return None
    if len(set(scenario.lengths)) > 1:  # ragged stays ragged
        longest = max(scenario.lengths)
        lengths = tuple(
            length if each == longest else min(each, max(length - 1, 1)) for each in scenario.lengths
        )
        return scenario.but(lengths=lengths)
    return scenario.but(lengths=(length,) * len(scenario.lengths))
