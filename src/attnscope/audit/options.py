"""The options of attention, one row each: how an audit draws, interprets, names, shrinks and enlarges them.

To audit another option, add a row here and a field of the same name to `Contract`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.audit.arrays import BIASES, DOCUMENTS, KEY_MASKS, MASKS, Drawing
from attnscope.problem import AttentionShape, Causal, Dense, Documents, Mask, Window

Kind = Any  # the value that is passed, or the name of a way to draw an array
Draw = Callable[[Kind, int, AttentionShape], Any]


def as_given(kind: Kind, _seed: int, _sizes: AttentionShape) -> Any:
    return kind


def drawn(kinds: dict[str, Drawing], salt: int) -> Draw:
    """Return a draw that looks up its kind in a table; `salt` makes options with one seed independent."""
    return lambda kind, seed, sizes: kinds[kind](np.random.default_rng([seed, salt]), sizes)


def sinks_around(kind: Kind, seed: int, sizes: AttentionShape) -> Any:
    return float(kind) + np.random.default_rng([seed, 7]).standard_normal(sizes.query_heads)


def towards(*simple: Kind) -> Callable[[Kind], Iterator[Kind]]:
    """Return a function that shrinks any other kind to one of these, the simplest first."""
    return lambda kind: iter(simple[: simple.index(kind)] if kind in simple else simple)


def narrower(window: tuple[int, int]) -> Iterator[tuple[int, int]]:
    left, right = window
    for tried in ((0, 0), (1, 0), (0, right), (left, 0), (left // 2, right // 2)):
        if tried != window and tried[0] <= left and tried[1] <= right:
            yield tried


def unchanged(_kind: Kind) -> Iterator[Kind]:
    return iter(())


@dataclass(frozen=True)
class Option:
    """One option of attention.

    Parameters
    ----------
    name : str
        The keyword of the function under audit, and the field of `Contract`.
    passed_as : str
        Type and shape of the argument, for help texts.
    words : str
        The option in a sentence: "a soft-cap".
    check : str
        The promise that is broken if an error needs this option.
    kinds, long_kinds : tuple
        The kinds that the grid draws from; `long_kinds` at more than 60 keys, if given.
    draw : callable, optional
        (kind, seed, sizes) -> argument; None if the option is not drawn.
    mask : callable, optional
        (argument, offset) -> the mask that it stands for; None if it hides nothing.
    by_position : bool
        Whether it hides by positions, so that the alignment of queries and keys matters.
    scoring : bool
        Whether it is a scoring option of the reference.
    in_format : bool
        Whether its array has the format of the queries.
    rescales : str
        "scales" or "caps" if it changes the size of every score: then a constant cannot be added to all
        scores.
    simpler : callable
        kind -> simpler kinds, for shrinking.
    large : tuple of dict
        Changes of a case that make the numbers of this option large.
    extreme_kinds : tuple
        The kinds that make scores large.
    plural : bool
        Whether `words` is a plural.
    hides : str
        The beginning of a reason: "the window hides".
    """

    name: str
    passed_as: str
    words: str
    check: str = "dependence"
    kinds: tuple[Kind, ...] = ()
    draw: Draw | None = None
    mask: Callable[[Any, int | None], Mask] | None = None
    by_position: bool = False
    scoring: bool = False
    in_format: bool = False
    rescales: str = ""
    simpler: Callable[[Kind], Iterator[Kind]] = unchanged
    large: tuple[dict[str, Any], ...] = ()
    extreme_kinds: tuple[Kind, ...] = ()
    long_kinds: tuple[Kind, ...] = ()
    plural: bool = False
    hides: str = ""

    def is_special(self, kind: Kind) -> bool:
        """Whether a kind is named, and is none of those that others are shrunk to."""
        return isinstance(kind, str) and bool(list(self.simpler(kind)))

    def phrase(self, kind: Kind) -> str:
        """The option in a sentence, with its kind if that is special: "a mask (a staircase)"."""
        return f"{self.words} ({kind})" if self.is_special(kind) else self.words


OPTIONS = (
    Option(
        "causal",
        "causal=bool",
        "causal",
        mask=lambda given, offset: Causal(offset),
        by_position=True,
        hides="causal hides",
    ),
    Option(
        "key_mask",
        "key_mask=bool[batch, key_len], True = visible",
        "a key mask",
        kinds=tuple(KEY_MASKS)[:-1],
        draw=drawn(KEY_MASKS, 8),
        mask=lambda given, offset: Dense(given[:, None, None, :]),
        simpler=towards("right padding", "holes"),
        hides="the key mask hides",
    ),
    Option(
        "mask",
        "mask=bool[batch, 1 or heads, query_len, key_len], True = visible",
        "a mask",
        kinds=tuple(MASKS)[:-1],
        draw=drawn(MASKS, 4),
        mask=lambda given, offset: Dense(given),
        simpler=towards("the same for all heads"),
        hides="the mask hides",
    ),
    Option(
        "window",
        "window=(left, right), neighbours, the position not counted",
        "a window",
        check="window",
        kinds=((2, 0), (1, 1), (0, 0), (3, 2), (0, 2), (100, 100), (4, 1), (2, 3)),
        long_kinds=((63, 0), (64, 0), (5, 2), (100, 3), (31, 32)),
        draw=as_given,
        mask=lambda given, offset: Window(given[0], given[1], offset),
        by_position=True,
        simpler=narrower,
        hides="the window hides",
    ),
    Option(
        "documents",
        "documents=int[batch, key_len]",
        "documents",
        check="documents",
        plural=True,
        kinds=tuple(DOCUMENTS)[:-1],
        draw=drawn(DOCUMENTS, 9),
        by_position=True,
        mask=lambda given, offset: Documents(given, offset),
        simpler=towards("runs"),
        hides="documents hide",
        large=({"documents": "large ids"},),
    ),
    Option(
        "grouped_heads", "more query heads than key heads", "grouped heads", check="head mapping", plural=True
    ),
    Option(
        "scale",
        "scale=float, instead of 1/sqrt(key_dim)",
        "a scale",
        check="scale",
        scoring=True,
        draw=as_given,
        kinds=(0.3, 1.7, 1.0),
        large=({"scale": 25.0},),
        extreme_kinds=(25.0,),
        rescales="scales",
    ),
    Option(
        "softcap",
        "softcap=float, for softcap * tanh(score / softcap)",
        "a soft-cap",
        check="softcap",
        scoring=True,
        draw=as_given,
        kinds=(0.5, 2.0, 30.0),
        large=({"spread": 20.0},),
        rescales="caps",
    ),
    Option(
        "bias",
        "bias=float[batch or 1, heads or 1, query_len or 1, key_len]",
        "a bias",
        check="bias",
        scoring=True,
        kinds=tuple(BIASES)[:-1],
        draw=drawn(BIASES, 4),
        in_format=True,
        simpler=towards("full"),
        large=({"bias": "large"},),
        extreme_kinds=("large",),
    ),
    Option(
        "sinks",
        "sinks=float[heads], logits that join the softmax denominator",
        "sinks",
        check="sinks",
        scoring=True,
        kinds=(0.0, 2.0, -1.0),
        draw=sinks_around,
        in_format=True,
        simpler=towards(0.0),
        plural=True,
        large=({"sinks": 120.0}, {"sinks": -120.0}),
        extreme_kinds=(120.0, -120.0),
    ),
)
BY_NAME = {row.name: row for row in OPTIONS}
DRAWN = tuple(row.name for row in OPTIONS if row.draw is not None)
HIDING = tuple(row.name for row in OPTIONS if row.mask is not None)
SCORING = tuple(row.name for row in OPTIONS if row.scoring)


def masks_of(options: dict[str, Any], offset: int | None) -> dict[str, Mask]:
    """The mask that each of a call's options stands for, in the order of the table."""
    given = {name: options[name] for name in HIDING if options.get(name) is not None}
    found: dict[str, Mask] = {}
    for name, each in given.items():
        mask = BY_NAME[name].mask
        if mask is not None and each is not False:  # causal=False
            found[name] = mask(each, offset)
    return found
