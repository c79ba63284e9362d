"""The calls that are tried: pairs of options, lengths past a block's edge, uneven splits, extreme scores.

Chosen by what made real bugs visible: ragged batches, 4 query heads on 2 kv heads, query_len unlike
key_len, odd lengths, every option crossed with causal, and long sequences. Everything is drawn from one
seed.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from attnscope.audit.arrays import LAYOUTS
from attnscope.audit.case import Case
from attnscope.audit.contract import Contract
from attnscope.audit.options import BY_NAME, DRAWN
from attnscope.problem import AttentionShape

SMALL = ((5, 9), (7, 7), (1, 11), (9, 6), (17, 33))
PAST_BLOCKS = (
    (1, 65),
    (3, 67),
    (67, 67),
    (5, 79),
    (1, 129),
    (33, 131),
    (131, 131),
    (67, 197),
    (1, 257),
    (3, 259),
    (70, 301),
    (2, 515),
    (3, 1_031),
)
LONG = ((2, 4_099), (1, 33_001), (2, 65_701))
GROUPS = ((4, 2), (6, 2), (4, 1), (6, 3))
EQUAL_HEADS = ((3, 3), (2, 2), (4, 4))


class Grid:
    """The cases for a contract, from one seed.

    >>> Grid(Contract(causal=True), seed=0).case(("causal",), (5, 9)).options
    ('causal',)
    """

    def __init__(self, contract: Contract, seed: int) -> None:
        self.contract = contract
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.made = 0

    def case(
        self, options: tuple[str, ...], lengths: tuple[int, int], *, dim: int = 6, batch: int | None = None
    ) -> Case:
        """A case with these options; the kinds take turns."""
        self.made += 1
        turn = self.made + self.seed
        query_len, key_len = lengths
        if not self.contract.unequal_lengths:
            query_len = key_len = max(lengths)
        heads = (
            GROUPS[turn % len(GROUPS)] if "grouped_heads" in options else EQUAL_HEADS[turn % len(EQUAL_HEADS)]
        )
        batch = batch or 2 + turn % 2
        drawn = {name: self.kind(name, key_len) for name in options if name in DRAWN}
        return Case(
            AttentionShape(batch, *heads, query_len, key_len, dim, dim),
            seed=int(self.rng.integers(2**31)),
            causal="causal" in options or self.contract.causal == "always",
            logsumexp=self.contract.logsumexp and turn % 3 > 0,
            number_format=self.contract.main_format,
        ).but(**drawn)

    def kind(self, name: str, key_len: int) -> object:
        """A random kind of an option; windows grow with the length."""
        option = BY_NAME[name]
        kinds = option.long_kinds if option.long_kinds and key_len > 60 else option.kinds
        return kinds[int(self.rng.integers(len(kinds)))]

    def cases(self) -> list[Case]:
        """All cases, the simple ones first."""
        return [
            *self.small(),
            *self.other_dims(),
            *self.past_blocks(),
            *self.long(),
            *self.extreme(),
            *self.large_options(),
            *self.in_other_layouts(),
            *self.in_other_formats(),
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

    def other_dims(self) -> Iterator[Case]:
        """Dims that are no multiple of a vector, large dims, and values wider than keys."""
        for options in ((), self.contract.options):
            for dim in (1, 3, 16, 64, 80):
                yield self.case(options, (5, 9), dim=dim)
            yield from (self.case(options, (5, 9), dim=dim) for dim in (128, 130))
            yield self.case(options, (5, 9), batch=1)
            yield self.case(options, (3, 7), batch=5).but(
                query_heads=12, kv_heads=3 if "grouped_heads" in options else 12
            )
            yield self.case(options, (1, 7), batch=1).but(query_heads=1, kv_heads=1)
            yield self.case(options, (1, 1))
            yield self.case(options, (5, 9)).but(value_dim=9)

    def past_blocks(self) -> Iterator[Case]:
        """Each option alone, beside causal, and all together, at lengths past a block of 64 to 1,024."""
        for chosen in self.few_options():
            for number, lengths in enumerate(PAST_BLOCKS):
                if max(lengths) <= 301 or number % 2 == len(chosen) % 2:
                    yield self.case(chosen, lengths, batch=2).but(spiked=max(lengths) > 256)

    def few_options(self) -> list[tuple[str, ...]]:
        """No option, each alone, each beside causal, all."""
        options = self.contract.options
        chosen = [(), *((name,) for name in options)]
        if "causal" in options:
            chosen += [("causal", name) for name in options if name != "causal"]
        return list(dict.fromkeys([*chosen, options]))

    def long(self) -> Iterator[Case]:
        """Positions that small integers and short floating-point numbers cannot represent."""
        if not self.contract.unequal_lengths:
            return
        for chosen in [each for each in self.few_options() if len(each) < 2 and each != ("bias",)]:
            for lengths in LONG:
                case = self.case(chosen, lengths, dim=4, batch=1).but(query_heads=2, kv_heads=2, spiked=True)
                holes = {"key_mask": "holes"} if "key_mask" in chosen else {}
                yield case.but(kv_heads=1 if "grouped_heads" in chosen else 2, **holes)

    def extreme(self) -> Iterator[Case]:
        """Scores far from 0: equal, of either sign, or far apart."""
        offsets = {"float16": (12.0, -12.0, 100.0, -100.0, 20_000.0, -20_000.0)}.get(
            self.contract.main_format, (30.0, -30.0, 120.0, -120.0, 1e3, -1e3, 1e4, -1e4)
        )
        for chosen in self.few_options():
            if any(BY_NAME[name].rescales for name in chosen):
                continue
            for offset in offsets:
                yield self.case(chosen, (5, 9), dim=16).but(
                    offset=offset, causal="causal" in chosen or self.contract.causal == "always"
                )
            for spread in (6.0, 20.0):
                yield self.case(chosen, (7, 13)).but(spread=spread)

    def large_options(self) -> Iterator[Case]:
        """Options with large numbers: e^x of such a soft-cap, sink, bias or scale overflows."""
        for name in self.contract.options:
            for changes in BY_NAME[name].large:
                for options in ((name,), tuple(dict.fromkeys((*self.contract.options[:1], name)))):
                    yield from (self.case(options, lengths).but(**changes) for lengths in ((7, 13), (1, 11)))

    def in_other_layouts(self) -> Iterator[Case]:
        """The memory layouts."""
        for layout in LAYOUTS:
            if layout != "contiguous":
                for chosen in ((), self.contract.options[:1], self.contract.options):
                    yield self.case(chosen, (5, 9)).but(layout=layout)
                yield self.case((), (1, 67)).but(layout=layout)
                yield self.case((), (7, 7)).but(layout=layout, key_len=8, query_len=8, key_dim=8, value_dim=8)

    def in_other_formats(self) -> Iterator[Case]:
        """Each declared format: single options, long sums, keys hidden twice, scores near its limits."""
        for number_format in self.contract.dtypes:
            if number_format != self.contract.main_format:
                for case in self.of_format(number_format):
                    yield case.but(number_format=number_format)
            if number_format in ("float16", "bfloat16"):
                for case in self.of_short_format():
                    yield case.but(number_format=number_format)

    def of_format(self, number_format: str) -> Iterator[Case]:
        for chosen in self.few_options():
            yield from (self.case(chosen, lengths) for lengths in ((5, 9), (7, 7), (3, 67)))
        offsets = (
            (12.0, -12.0, 100.0, -100.0, 20_000.0, -20_000.0)
            if number_format == "float16"
            else (100.0, -100.0, 1e3)
        )
        yield from (self.case((), (5, 9), dim=16).but(offset=offset) for offset in offsets)

    def of_short_format(self) -> Iterator[Case]:
        lengths = (2, 4_099) if self.contract.unequal_lengths else (700, 700)
        heads = {"batch": 1, "query_heads": 2, "kv_heads": 2}
        for spread in (0.05, 1.0):
            yield self.case((), lengths, dim=8).but(spread=spread, **heads)
        hiding = tuple(name for name in ("causal", "key_mask", "mask") if name in self.contract.options)
        if len(hiding) > 1:
            padded = {"key_mask": "left padding"} if "key_mask" in hiding else {}
            yield from (self.case(hiding, lengths).but(**padded) for lengths in SMALL)
