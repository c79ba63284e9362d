"""Exercise 6: ALiBi, a penalty for distance; and rotary positions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attnscope.lesson.attending import Array
from attnscope.lesson.comparing import UNIT
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Misconception, Task
from attnscope.positions import alibi_slopes, apply_rotary


def sizes(rng: np.random.Generator, size: Any) -> Arguments:
    return {"heads": size.heads, "query_len": size.query_len, "key_len": size.key_len}


def distances(query_len: int, key_len: int) -> Array:
    """How far key j is before query i: i + key_len - query_len - j."""
    return np.arange(query_len)[:, None] + (key_len - query_len) - np.arange(key_len)


def right_bias(heads: int, query_len: int, key_len: int) -> tuple[Expected, ...]:
    slopes = alibi_slopes(heads).astype(np.float64)[:, None, None]
    bias = 0.0 - slopes * np.abs(distances(query_len, key_len))
    return (Expected(bias, 8 * UNIT * np.abs(bias)),)


def power(heads: int) -> int:
    """The largest power of two up to heads."""
    return 1 << (heads.bit_length() - 1)


def slopes_with(between: Callable[[int, int], Array]) -> Callable[[int], Array]:
    """Slopes of the power of two below, and others for the heads beyond it."""

    def slopes(heads: int) -> Array:
        below = power(heads)
        first = 2.0 ** (-8.0 * np.arange(1, below + 1) / below)
        return np.concatenate([first, between(below, heads - below)])

    return slopes


right_slopes = slopes_with(lambda below, more: 2.0 ** (-4.0 * np.arange(1, 2 * more, 2) / below))


def biased(slopes: Callable[[int], Array] = right_slopes, penalty: Callable[..., Array] | None = None) -> Any:
    """Other slopes, or another penalty of a distance."""

    def wrong(heads: int, query_len: int, key_len: int) -> Array:
        apart = distances(query_len, key_len)
        each = slopes(heads)[:, None, None]
        return np.asarray(-each * np.abs(apart) if penalty is None else penalty(each, apart))

    return wrong


def from_the_start(heads: int, query_len: int, key_len: int) -> Array:
    apart = np.abs(np.arange(query_len)[:, None] - np.arange(key_len))
    return np.asarray(-right_slopes(heads)[:, None, None] * apart)


def heads_last(heads: int, query_len: int, key_len: int) -> Array:
    return np.moveaxis(biased()(heads, query_len, key_len), 0, -1)


def keys_first(heads: int, query_len: int, key_len: int) -> Array:
    return np.asarray(biased()(heads, query_len, key_len).swapaxes(1, 2))


def one_dimensional(heads: int, query_len: int, key_len: int) -> Array:
    return np.asarray(biased()(heads, query_len, key_len)[0])


NUMBER = (
    "It has to hold for any number of heads: the slopes of the power of two below, then every second slope "
    "of the one above."
)
ALIBI = Task(
    name="alibi",
    parameters=("heads", "query_len", "key_len"),
    results=("bias",),
    draws=(
        Draw("a power of two", sizes, {"heads": 4, "query_len": 3, "key_len": 3}),
        Draw("8 heads", sizes, {"heads": 8, "query_len": 2, "key_len": 2}),
        Draw("fewer queries than keys", sizes, {"heads": 2, "query_len": 2, "key_len": 5}),
        Draw("one query", sizes, {"heads": 2, "query_len": 1, "key_len": 4}),
        Draw("one head", sizes, {"heads": 1, "query_len": 3, "key_len": 3}),
        Draw("3 heads", sizes, {"heads": 3, "query_len": 3, "key_len": 3}, {"heads": 3}),
        Draw("12 heads", sizes, {"heads": 12, "query_len": 2, "key_len": 4}, {"heads": 3}),
        Draw("7 heads", sizes, {"heads": 7, "query_len": 2, "key_len": 3}, {"heads": 3}),
        Draw("40 heads", sizes, {"heads": 40, "query_len": 2, "key_len": 3}, {"heads": 3}),
    ),
    expected=right_bias,
    misconceptions=(
        Misconception(
            "the first query meets the first key; the last query should meet the last key, so query i "
            "is at position i + key_len - query_len.",
            from_the_start,
        ),
        Misconception(
            "far keys are favoured: the penalty's sign is missing.",
            biased(penalty=lambda s, d: s * np.abs(d)),
        ),
        Misconception(
            "keys of the future are favoured: the distance has no sign.", biased(penalty=lambda s, d: -s * d)
        ),
        Misconception(
            "keys of the past are favoured: the distance has no sign.", biased(penalty=lambda s, d: s * d)
        ),
        Misconception(
            "keys of the future are hidden here; ALiBi is a penalty, and the mask is separate.",
            biased(penalty=lambda s, d: np.where(d < 0, -np.inf, -s * np.abs(d))),
        ),
        Misconception(
            "keys of the future get no penalty; the distance counts in both directions.",
            biased(penalty=lambda s, d: -s * np.maximum(d, 0)),
        ),
        Misconception("the distance is squared.", biased(penalty=lambda s, d: -s * d * d)),
        Misconception(
            "a token's distance to itself is not 0: it should be.",
            biased(penalty=lambda s, d: -s * (np.abs(d) + 1)),
        ),
        Misconception(
            "2^(-8 h / heads) is used although heads is no power of two. " + NUMBER,
            biased(lambda h: 2.0 ** (-8.0 * np.arange(1, h + 1) / h)),
        ),
        Misconception(
            "the first slopes of the next power of two are used although heads is not a power of two. "
            + NUMBER,
            biased(lambda h: 2.0 ** (-8.0 * np.arange(1, h + 1) / (1 << (h - 1).bit_length()))),
        ),
        Misconception(
            "beyond the power of two, the wrong slopes of the next one are used: it is every second one "
            "from the first on, those that lie between.",
            biased(slopes_with(lambda below, more: 2.0 ** (-4.0 * np.arange(2, 2 * more + 1, 2) / below))),
        ),
        Misconception(
            "beyond the power of two, the next slopes of the one above are used in a row; it is every "
            "second one.",
            biased(slopes_with(lambda below, more: 2.0 ** (-4.0 * np.arange(1, more + 1) / below))),
        ),
        Misconception(
            "the slopes are sorted; those between come after those of the power of two below.",
            biased(lambda h: np.sort(right_slopes(h))[::-1]),
        ),
        Misconception(
            "the slopes begin with 1: h counts from 1, not from 0.",
            biased(lambda h: 2.0 ** (-8.0 * np.arange(h) / h)),
        ),
        Misconception(
            "the slopes are 1/2, 1/4, 1/8, ... for any number of heads; the paper's go from about 1 down to "
            "2^-8 for any number.",
            biased(lambda h: 2.0 ** -np.arange(1.0, h + 1)),
        ),
        Misconception(
            "the slopes come in the opposite order: head 0 has the largest.",
            biased(lambda h: right_slopes(h)[::-1]),
        ),
        Misconception("all heads have the same slope.", biased(lambda h: np.full(h, 2.0 ** (-8 / h)))),
        Misconception(
            "the slopes are missing: all heads are penalised by the distance itself.", biased(np.ones)
        ),
        Misconception(
            "powers of e are used, the slopes are powers of 2.",
            biased(lambda h: np.exp(-8.0 * np.arange(1, h + 1) / h)),
        ),
        Misconception("the axis of heads is the last; expected [heads, query_len, key_len].", heads_last),
        Misconception("queries and keys are exchanged; expected [heads, query_len, key_len].", keys_first),
        Misconception("there is no axis of heads; expected [heads, query_len, key_len].", one_dimensional),
    ),
)


def turned(rng: np.random.Generator, size: Any) -> Arguments:
    positions = np.sort(rng.choice(60, size.tokens, replace=False))
    return {"x": rng.standard_normal((size.tokens, 2 * size.pairs)), "positions": positions}


def right_rotary(x: Array, positions: Array) -> tuple[Expected, ...]:
    size = np.abs(x[:, : x.shape[1] // 2]) + np.abs(x[:, x.shape[1] // 2 :])
    bound = np.tile(size, (1, 2)) * UNIT * (4 * positions[:, None] + 16)
    return (Expected(apply_rotary(x, positions), bound),)


def rotary_with(base: float = 10000.0, sign: int = 1, **options: Any) -> Any:
    return lambda x, positions: apply_rotary(x, sign * positions, base, **options)


ROTARY = Task(
    name="rotary",
    parameters=("x", "positions"),
    results=("rotated",),
    draws=(
        Draw("one pair", turned, {"tokens": 2, "pairs": 1}),
        Draw("several pairs", turned, {"tokens": 3, "pairs": 3}, seeds=2),
    ),
    expected=right_rotary,
    misconceptions=(
        Misconception(
            "neighbours are paired, x[2 i] with x[2 i + 1]; here halves are: x[i] with x[i + pairs].",
            rotary_with(style="interleaved"),
        ),
        Misconception("the vectors rotate in the opposite direction.", rotary_with(sign=-1)),
        Misconception(
            "the positions are always 0, 1, 2, ...: the argument positions makes no difference.",
            lambda x, positions: apply_rotary(x, np.arange(len(x))),
        ),
    ),
)

EXERCISE = Exercise(6, "ALiBi", (ALIBI,), (ROTARY,), difficulty=2, minutes=25)
