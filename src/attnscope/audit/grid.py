"""The calls that are tried: combinations of options, lengths, numbers, formats and layouts, from one seed.

Whole products are tried of the dimensions that real bugs need together: sets of options at short lengths,
kinds of numbers in each format for one and for many query rows, kinds of masks at lengths below and above a
block, each array in each layout. The dimensions that a product leaves open are dealt from shuffled decks.
"""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any, Generic, TypeVar

import numpy as np

from attnscope.audit.case import Case
from attnscope.audit.contract import Contract
from attnscope.audit.data import LAYOUTS, REGIMES, SHARED
from attnscope.audit.options import BY_NAME, DRAWN, HIDING
from attnscope.problem import AttentionShape

SMALL = ((5, 9), (7, 7), (1, 11), (9, 6), (17, 33))
# Lengths around and at multiples of 8, 16, 32, 64 and 128, by the number of query rows
LENGTHS: dict[str, tuple[tuple[int, int], ...]] = {
    "one row": tuple((1, keys) for keys in (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48)),
    "one row, many keys": tuple((1, keys) for keys in (63, 64, 65, 96, 127, 128, 129, 160, 192)),
    "one row, hundreds of keys": tuple((1, keys) for keys in (257, 300, 384, 513)),
    "rows": tuple(
        zip((2, 8, 3, 9, 16, 5, 15, 33, 32, 12, 9), (7, 8, 16, 9, 16, 17, 32, 33, 32, 48, 6), strict=True)
    ),
    "rows, many keys": tuple(
        zip((64, 3, 17, 8, 16, 5, 65, 32, 2, 67), (64, 65, 96, 127, 128, 129, 65, 160, 192, 197), strict=True)
    ),
    "rows, hundreds of keys": ((4, 259), (3, 300), (5, 384), (2, 515)),
}
PAST_BLOCKS = ((1, 65), (67, 67), (5, 79), (33, 131), (131, 131), (1, 257), (70, 301), (2, 515), (3, 1_031))
LONG = ((2, 4_099), (1, 33_001), (2, 65_701))
EVERY_LENGTH = tuple(lengths for each in LENGTHS.values() for lengths in each)
BLOCKS = {
    f"{rows}, {where}": tuple(
        (queries, keys)
        for queries, keys in EVERY_LENGTH
        if (queries == 1) == (rows == "one row") and (keys % 16 == 0) == (where == "whole blocks")
    )
    for where in ("whole blocks", "beside whole blocks")
    for rows in ("one row", "many rows")
}
# Of keys and of values
DIMS = ((6, 6), (8, 8), (4, 4), (16, 16), (7, 7), (12, 12), (32, 32), (20, 20), (64, 64), (8, 16), (16, 6))
BATCHES = (2, 3, 2, 1)
GROUPS = ((4, 2), (6, 2), (4, 1), (6, 3))
EQUAL_HEADS = ((3, 3), (2, 2), (4, 4))
TRANSPOSED = ("dims before tokens", "column-major")  # a square array can be taken for its transpose
WITH_ARRAYS = ("key_mask", "mask", "documents", "bias", "sinks")
Item = TypeVar("Item")


class Deck(Generic[Item]):
    """Deals its cards in random order, all of them before any comes again."""

    def __init__(self, rng: np.random.Generator, cards: tuple[Item, ...]) -> None:
        self.rng, self.cards = rng, cards
        self.left: list[int] = []

    def deal(self) -> Item:
        """The next card."""
        if not self.left:
            self.left = [int(each) for each in self.rng.permutation(len(self.cards))]
        return self.cards[self.left.pop()]


class Grid:
    """The cases for a contract, from one seed.

    >>> Grid(Contract(causal=True), seed=0).case(("causal",), (5, 9)).options
    ('causal',)
    """

    def __init__(self, contract: Contract, seed: int) -> None:
        self.contract = contract
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.decks: dict[str, Deck[Any]] = {}

    def deal(self, name: str, cards: tuple[Item, ...]) -> Item:
        """The next card of a deck, which is made when it is first needed."""
        deck: Deck[Item] = self.decks.setdefault(name, Deck(self.rng, cards))
        return deck.deal()

    def case(
        self,
        options: tuple[str, ...],
        lengths: tuple[int, int],
        *,
        dims: tuple[int, int] = (6, 6),
        batch: int | None = None,
    ) -> Case:
        """A case with these options; the kinds take turns."""
        query_len, key_len = lengths
        if not self.contract.unequal_lengths:
            query_len = key_len = min(max(lengths), 160)
        grouped = "grouped_heads" in options
        heads = self.deal("groups", GROUPS) if grouped else self.deal("equal heads", EQUAL_HEADS)
        batch = batch or self.deal("batches", BATCHES)
        drawn = {name: self.kind(name, key_len) for name in options if name in DRAWN}
        return Case(
            AttentionShape(batch, *heads, query_len, key_len, *dims),
            seed=int(self.rng.integers(2**31)),
            causal="causal" in options or self.contract.causal == "always",
            logsumexp=self.contract.logsumexp and self.deal("with logsumexp", (True, True, False)),
            number_format=self.contract.main_format,
        ).but(**drawn)

    def kind(self, name: str, key_len: int) -> object:
        """A kind of an option; windows grow with the length."""
        option = BY_NAME[name]
        if option.long_kinds and key_len > 60:
            return self.deal(f"long kinds of {name}", option.long_kinds)
        return self.deal(f"kinds of {name}", option.kinds)

    def few_options(self) -> tuple[tuple[str, ...], ...]:
        """No option, each alone, each beside causal, all."""
        options = self.contract.options
        chosen = [(), *((name,) for name in options)]
        if "causal" in options:
            chosen += [("causal", name) for name in options if name != "causal"]
        return tuple(dict.fromkeys([*chosen, options]))

    def cases(self) -> list[Case]:
        """All cases, the simple ones first."""
        return [
            *self.small(),
            *self.other_sizes(),
            *self.past_blocks(),
            *self.long(),
            *self.numbers(),
            *self.large_options(),
            *self.masks(),
            *self.layouts(),
            *self.formats(),
            *self.long_sums(),
        ]

    def small(self) -> Iterator[Case]:
        """Every set of up to three options, and many larger ones, at short lengths."""
        options = self.contract.options
        for count in range(3):
            for chosen in combinations(options, count):
                yield from (self.case(chosen, lengths) for lengths in SMALL)
        for number, chosen in enumerate(combinations(options, 3)):
            yield self.case(chosen, SMALL[number % len(SMALL)])
        for number in range(60 if len(options) > 3 else 0):
            kept = self.rng.random(len(options)) < 0.7
            chosen = tuple(name for name, keep in zip(options, kept, strict=True) if keep)
            yield self.case(chosen, SMALL[number % len(SMALL)])
        yield from (self.case(options, lengths) for lengths in SMALL)

    def other_sizes(self) -> Iterator[Case]:
        """Odd and large dims, values wider than keys, other batches and heads."""
        for options in ((), self.contract.options):
            for dim in (1, 3, 16, 64, 80, 128, 130):
                yield self.case(options, (5, 9), dims=(dim, dim))
            yield self.case(options, (5, 9), batch=1)
            yield self.case(options, (3, 7), batch=5).but(
                query_heads=12, kv_heads=3 if "grouped_heads" in options else 12
            )
            yield self.case(options, (1, 7), batch=1).but(query_heads=1, kv_heads=1)
            yield self.case(options, (1, 1))
            yield self.case(options, (5, 9)).but(value_dim=9)

    def past_blocks(self) -> Iterator[Case]:
        """Few options at lengths past a block of 64 to 1,024; each set meets half of the lengths."""
        for turn, chosen in enumerate(self.few_options()):
            for number, lengths in enumerate(PAST_BLOCKS):
                if (turn + number) % 2:
                    yield self.case(chosen, lengths, batch=2).but(spiked=max(lengths) > 256)

    def long(self) -> Iterator[Case]:
        """Positions that small integers and short floating-point numbers cannot represent."""
        if not self.contract.unequal_lengths:
            return
        for chosen in [each for each in self.few_options() if len(each) < 2]:
            hides = not chosen or chosen[0] in HIDING
            for lengths in LONG if hides else LONG[:1]:
                case = self.case(chosen, lengths, dims=(4, 4), batch=1).but(
                    query_heads=2, kv_heads=2, spiked=True
                )
                holes = {"key_mask": "holes"} if "key_mask" in chosen else {}
                yield case.but(kv_heads=1 if "grouped_heads" in chosen else 2, **holes)

    def numbers(self) -> Iterator[Case]:
        """Every kind of numbers in every format, for one and many rows, short and long."""
        for number_format in self.contract.dtypes:
            for change, lengths in product(self.kinds_of_numbers(number_format), LENGTHS):
                case = self.drawn_case(self.options_for(change), lengths)
                yield case.but(number_format=number_format, **change)

    def kinds_of_numbers(self, number_format: str) -> list[dict[str, Any]]:
        """Changes of a case: regimes, equal scores far from 0, scores that are far apart."""
        offsets = {
            "float16": (12.0, -12.0, 100.0, -100.0, 2e4, -2e4),
            "float64": (30.0, -30.0, 1e3, -1e3, 1e6, -1e6),
        }.get(number_format, (30.0, -30.0, 120.0, -120.0, 1e4, -1e4, 1e5, -1e5))
        return [
            *({"regime": name} for name in REGIMES if name != "usual"),
            *({"offset": offset} for offset in offsets),
            *({"spread": spread} for spread in (6.0, 20.0)),
        ]

    def options_for(self, change: dict[str, Any]) -> tuple[str, ...]:
        """Options that leave a kind of numbers as it is: a scale would change an offset."""
        if "offset" not in change:
            return self.deal("few options", self.few_options())
        kept = [chosen for chosen in self.few_options() if not any(BY_NAME[name].rescales for name in chosen)]
        return self.deal("options that do not rescale", tuple(kept))

    def drawn_case(self, options: tuple[str, ...], lengths: str) -> Case:
        """A case with lengths of one class, and dims that take turns."""
        case = self.case(options, self.deal(lengths, LENGTHS[lengths]), dims=self.deal("dims", DIMS))
        return case.but(spiked=case.sizes.key_len > 128)

    def large_options(self) -> Iterator[Case]:
        """Options with large numbers: e^x of such a soft-cap, sink, bias or scale overflows."""
        for name in self.contract.options:
            for changes in BY_NAME[name].large:
                for options in ((name,), tuple(dict.fromkeys((*self.contract.options[:1], name)))):
                    yield from (self.case(options, lengths).but(**changes) for lengths in ((7, 13), (1, 11)))

    def masks(self) -> Iterator[Case]:
        """Every kind of every mask, alone and beside causal, at lengths of every class."""
        for name in [each for each in HIDING if each in self.contract.options and each in DRAWN]:
            row = BY_NAME[name]
            for kind, lengths in product((*row.kinds, *row.long_kinds), LENGTHS):
                beside = self.deal(f"beside {name}", ((name,), ("causal", name)))
                options = tuple(each for each in beside if each in self.contract.options)
                yield self.drawn_case(options, lengths).but(**{name: kind})

    def layouts(self) -> Iterator[Case]:
        """Every array in every layout, for one and for many rows, at whole blocks and beside them."""
        arrays = (
            "all",
            "query",
            "key",
            "value",
            *(name for name in self.contract.options if name in WITH_ARRAYS),
        )
        for layout, placed, blocks in product(list(LAYOUTS)[1:], arrays, BLOCKS):
            if placed not in WITH_ARRAYS:
                options = self.deal("options", ((), self.contract.options[:1], self.contract.options))
            elif blocks.startswith("one row"):
                continue
            else:
                options = self.deal(f"options of {placed}", ((placed,), self.contract.options))
            case = self.case(options, self.deal(blocks, BLOCKS[blocks]), dims=self.deal("dims", DIMS))
            case = case.but(layout=layout, placed=placed)
            yield case.but(**self.shared(placed) if layout == "broadcast" else {})
            if layout in TRANSPOSED and blocks == "many rows, whole blocks":
                yield case.but(query_len=8, key_len=8, key_dim=8, value_dim=8)

    def shared(self, placed: str) -> dict[str, Any]:
        """Changes that make an array equal along an axis, so that its strides can be 0."""
        kinds = {"mask": "the same for all queries", "key_mask": "the same for the batch"}
        if placed in kinds:
            return {placed: kinds[placed]}
        return {"regime": self.deal("shared", SHARED)}

    def formats(self) -> Iterator[Case]:
        """Few options in every other format, at lengths of every class."""
        for number_format in self.contract.dtypes:
            if number_format != self.contract.main_format:
                for chosen, lengths in product(self.few_options(), LENGTHS):
                    yield self.drawn_case(chosen, lengths).but(number_format=number_format)

    def long_sums(self) -> Iterator[Case]:
        """Sums of thousands of terms in 16 bits, and keys that two masks hide."""
        lengths = (2, 4_099) if self.contract.unequal_lengths else (700, 700)
        heads = {"batch": 1, "query_heads": 2, "kv_heads": 2}
        hiding = tuple(name for name in ("causal", "key_mask", "mask") if name in self.contract.options)
        for number_format in [each for each in self.contract.dtypes if each in ("float16", "bfloat16")]:
            for spread in (0.05, 1.0):
                case = self.case((), lengths, dims=(8, 8)).but(spread=spread, **heads)
                yield case.but(number_format=number_format)
            if len(hiding) > 1:
                padded = {"key_mask": "left padding"} if "key_mask" in hiding else {}
                for each in SMALL:
                    yield self.case(hiding, each).but(number_format=number_format, **padded)
