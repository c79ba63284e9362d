"""Exercise 8: flash attention, the online softmax over blocks; and merging two parts."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, attend, scored
from attnscope.lesson.comparing import UNIT, exact
from attnscope.lesson.question import (
    Arguments,
    Draw,
    Exercise,
    Expected,
    Memory,
    Misconception,
    Symptom,
    Task,
)
from attnscope.reference import merge_partials as exact_merge
from attnscope.result import PartialAttention

TOKENS_MEASURED = 640  # few enough for loops in plain Python, enough for n x n to stand out


def operands(rng: np.random.Generator, size: Any, spread: float = 1.0, shift: float = 0.0) -> Arguments:
    query = spread * rng.standard_normal((size.query_len, size.key_dim))
    key = spread * rng.standard_normal((size.key_len, size.key_dim))
    if shift:
        query[:, 0], key[:, 0] = 1.0, key[:, 0] + shift * size.key_dim**0.5
    return {
        "query": query,
        "key": key,
        "value": rng.standard_normal((size.key_len, size.value_dim)),
        "block": size.block,
    }


def rising(rng: np.random.Generator, size: Any) -> Arguments:
    """The largest score comes last, or first: every block has a new maximum, or only the first."""
    made = operands(rng, size)
    made["query"][:, 0] = 2.0
    made["query"][0, 0] = -2.0
    made["key"][:, 0] += np.linspace(0, 30, size.key_len)
    return made


def far_apart(rng: np.random.Generator, size: Any) -> Arguments:
    """Each query's scores lie far below those of the one before it."""
    made = operands(rng, size)
    made["query"][:, 0] = np.arange(size.query_len)
    made["key"][:, 0] = -2000.0 * size.key_dim**0.5
    return made


def shifted(shift: float) -> Callable[[np.random.Generator, Any], Arguments]:
    return lambda rng, size: operands(rng, size, shift=shift)


def in_float32(rng: np.random.Generator, size: Any) -> Arguments:
    made = operands(rng, size)
    return {name: made[name].astype(np.float32) for name in ("query", "key", "value")} | {"block": size.block}


def long_text(rng: np.random.Generator, size: Any) -> Arguments:
    size.query_len = size.key_len = size.tokens
    return operands(rng, size)


def right_partial(query: Array, key: Array, value: Array, block: int) -> tuple[Expected, ...]:
    right = exact(query, key, value)
    return right.output, right.logsumexp


def online(
    *,
    rescaled: tuple[str, ...] = ("output", "total"),
    anchored: bool = True,
    first_top: float = -np.inf,
    scale: float | None = None,
    blocks: Callable[[int, int], list[slice]] | None = None,
    divided: bool = True,
    swapped_rescale: bool = False,
    shared_top: bool = False,
) -> Callable[..., tuple[Array, Array, Array]]:
    """The online softmax with steps left out: (output, running maximum, total)."""

    def run(query: Array, key: Array, value: Array, block: int) -> tuple[Array, Array, Array]:
        count = len(query)
        top, total = np.full(count, first_top), np.zeros(count)
        output = np.zeros((count, value.shape[1]))
        cut = blocks or (lambda n, size: [slice(at, at + size) for at in range(0, n, size)])
        for keys in cut(len(key), block):
            scores = scored(query, key[keys], scale)
            tops = np.full(count, scores.max()) if shared_top else scores.max(axis=1)
            new = np.maximum(top, tops) if anchored else np.zeros(count)
            with np.errstate(all="ignore"):
                rescale = np.exp(new - top if swapped_rescale else top - new)
            rescale = np.where(np.isfinite(rescale), rescale, 0.0)
            parts = np.exp(scores - new[:, None])
            by = {
                name: rescale if anchored and name in rescaled else np.ones(count)
                for name in ("output", "total")
            }
            output = output * by["output"][:, None] + parts @ value[keys]
            total = total * by["total"] + parts.sum(axis=1)
            top = new
        return (output / total[:, None] if divided else output), top, total

    return run


def flash_with(
    logs: Callable[[Array, Array], Any] = lambda top, total: top + np.log(total), **steps: Any
) -> Any:
    """(output, logsumexp) of an online softmax with steps left out."""

    def wrong(*arguments: Any) -> tuple[Array, Any]:
        output, top, total = online(**steps)(*arguments)
        return output, logs(top, total)

    return wrong


def forgetful(query: Array, key: Array, value: Array, block: int) -> tuple[Array, Array]:
    """Each block has its own maximum, and what was accumulated keeps an older one."""
    total, output, top = np.zeros(len(query)), np.zeros((len(query), value.shape[1])), np.zeros(len(query))
    for start in range(0, len(key), block):
        scores = scored(query, key[start : start + block])
        top = scores.max(axis=1)
        parts = np.exp(scores - top[:, None])
        total, output = total + parts.sum(axis=1), output + parts @ value[start : start + block]
    return output / total[:, None], top + np.log(total)


def averaged(query: Array, key: Array, value: Array, block: int) -> tuple[Array, Array]:
    parts = [slice(start, start + block) for start in range(0, len(key), block)]
    outputs = [attend(query, key[part], value[part])[0] for part in parts]
    logs = [np.log(np.exp(scored(query, key[part])).sum(1)) for part in parts]
    return np.mean(outputs, axis=0), np.logaddexp.reduce(logs)


def summed(query: Array, key: Array, value: Array, block: int) -> tuple[Array, Array]:
    output, log = averaged(query, key, value, block)
    return output * -(-len(key) // block), log


def whole_blocks(n: int, block: int) -> list[slice]:
    return [slice(start, start + block) for start in range(0, n - block + 1, block)]


def whole_or_one(n: int, block: int) -> list[slice]:
    return whole_blocks(n, block) or [slice(0, n)]


def first_block(n: int, block: int) -> list[slice]:
    return [slice(0, block)]


def last_block(n: int, block: int) -> list[slice]:
    return [slice((n - 1) // block * block, n)]


LOG = "the logsumexp is wrong, the output right: "
EVEN = {"query_len": 2, "key_len": 4, "key_dim": 2, "value_dim": 2, "block": 2}
UNEVEN = {"query_len": 3, "key_len": 7, "key_dim": 3, "value_dim": 2, "block": 3}
FLASH = Task(
    name="flash",
    parameters=("query", "key", "value", "block"),
    results=("output", "logsumexp"),
    draws=(
        Draw("blocks that fit", operands, EVEN, {"key_len": 2}, seeds=2),
        Draw("a last block that is short", operands, UNEVEN, {"key_len": 2}, seeds=2),
        Draw("a block larger than all keys", operands, {**EVEN, "block": 16}),
        Draw("blocks of one key", operands, {**EVEN, "block": 1}),
        Draw(
            "scores that rise, or fall, from block to block",
            rising,
            {**UNEVEN, "key_len": 8},
            {"query_len": 2, "key_len": 3},
        ),
        Draw("large scores", shifted(2000.0), UNEVEN, {"key_len": 2}),
        Draw("very negative scores", shifted(-2000.0), UNEVEN, {"key_len": 2}),
        Draw(
            "queries whose scores lie far apart",
            far_apart,
            UNEVEN,
            {"query_len": 2, "key_len": 2},
            round=False,
        ),
        Draw("float32", in_float32, {**UNEVEN, "query_len": 5, "key_len": 20, "block": 6}, {"key_len": 2}),
    ),
    expected=right_partial,
    misconceptions=(
        Misconception(
            "what was accumulated is not rescaled when a new maximum comes: neither the output nor the sum.",
            flash_with(rescaled=()),
        ),
        Misconception(
            "the accumulated output is not rescaled when a new maximum comes.",
            flash_with(rescaled=("total",)),
        ),
        Misconception(
            "the accumulated sum is not rescaled when a new maximum comes; the output is.",
            flash_with(rescaled=("output",)),
        ),
        Misconception(
            "the rescale factor is inverted: what was accumulated must be multiplied by e^(old maximum - "
            "new maximum).",
            flash_with(swapped_rescale=True),
        ),
        Misconception(
            "the last block is left out if the block does not divide the number of keys.",
            flash_with(blocks=whole_blocks),
        ),
        Misconception(
            "the last block is left out if the block does not divide the number of keys.",
            flash_with(blocks=whole_or_one),
        ),
        Misconception("only the first block is attended to.", flash_with(blocks=first_block)),
        Misconception("only the last block is attended to.", flash_with(blocks=last_block)),
        Misconception("the output is not divided by the sum at the end.", flash_with(divided=False)),
        Misconception(
            "the outputs of the blocks are averaged; a block counts by the sum of its exponentials.", averaged
        ),
        Misconception(
            "the outputs of the blocks are added, each normalized by itself; they share one sum.", summed
        ),
        Misconception("the scores are not scaled by the square root of key_dim.", flash_with(scale=1.0)),
        Misconception(
            "all queries share one running maximum: if the scores of one lie far below it, all its "
            "exponentials vanish. Each query has its own.",
            flash_with(shared_top=True),
        ),
        Misconception(
            "the exponentials overflow or vanish: subtract the largest score so far.",
            flash_with(anchored=False),
        ),
        Misconception(
            "the running maximum begins at 0: if all scores lie far below it, every exponential vanishes. "
            "Begin below every score.",
            flash_with(first_top=0.0),
        ),
        Misconception(
            "the running maximum forgets earlier blocks: it is the largest score so far, not of this block.",
            forgetful,
        ),
        Misconception(
            LOG + "its base is 2; expected the natural logarithm.",
            flash_with(lambda top, total: (top + np.log(total)) / np.log(2)),
        ),
        Misconception(
            LOG + "it is the sum itself; expected its logarithm, with the maximum that was subtracted.",
            flash_with(lambda top, total: total),
        ),
        Misconception(
            LOG + "the maximum that was subtracted from the scores has to be added to the logarithm.",
            flash_with(lambda top, total: np.log(total)),
        ),
        Misconception(
            LOG + "the maximum is taken from the logarithm; it has to be added.",
            flash_with(lambda top, total: np.log(total) - top),
        ),
        Misconception(LOG + "it is the largest score alone.", flash_with(lambda top, total: top)),
        Misconception(LOG + "its sign is wrong.", flash_with(lambda top, total: -(top + np.log(total)))),
        Misconception(
            LOG + "it has an axis too many, expected [query_len].",
            flash_with(lambda top, total: (top + np.log(total))[:, None]),
        ),
        Misconception(
            LOG + "it is the sum of the exponentials; expected its logarithm.",
            flash_with(lambda top, total: np.exp(top) * total),
        ),
    ),
    symptoms=(
        Symptom(
            "the output is right, the logsumexp is not: it is the natural logarithm of the sum of e^score.",
            lambda a, came, right: bool(np.allclose(came[0], right[0], rtol=2.0**-12, atol=2.0**-12)),
        ),
        Symptom(
            "the logsumexp is right, the output is not: the weights' sum is known, so look at how values "
            "add up.",
            lambda a, came, right: (
                came[1].shape == right[1].shape
                and bool(np.allclose(came[1], right[1], rtol=2.0**-12, atol=2.0**-12))
            ),
        ),
    ),
    memory=Memory(
        Draw(
            "a long text", long_text, {"tokens": TOKENS_MEASURED, "key_dim": 2, "value_dim": 2, "block": 16}
        ),
        2
        * TOKENS_MEASURED
        ** 2,  # an n x n array of the shortest floats; a block of all scores in float64 takes a tenth
        "the results are right, but some array grows with query_len times key_len: hold no n x n array.",
    ),
)


def two_parts(rng: np.random.Generator, size: Any) -> Arguments:
    """Two partials of different keys; some rows are fully masked in one of them, or in both."""
    made: Arguments = {}
    for part in ("a", "b"):
        made[f"output_{part}"] = rng.standard_normal((size.query_len, size.value_dim))
        made[f"log_{part}"] = size.spread * rng.standard_normal(size.query_len)
    if size.query_len > 2:
        made["output_b"][0] = made["output_a"][1] = 0.0
        made["log_b"][0] = made["log_a"][1] = -np.inf
        made["output_a"][2] = made["output_b"][2] = 0.0
        made["log_a"][2] = made["log_b"][2] = -np.inf
    return made


def right_merge(output_a: Array, log_a: Array, output_b: Array, log_b: Array) -> tuple[Expected, ...]:
    parts = [
        PartialAttention(np.asarray(output), np.asarray(log))
        for output, log in ((output_a, log_a), (output_b, log_b))
    ]
    merged = exact_merge(*parts)
    size = np.abs(np.nan_to_num(log_a, neginf=0)) + np.abs(np.nan_to_num(log_b, neginf=0)) + 8
    wrong_by = UNIT * 8 * size
    bound = np.expm1(2 * wrong_by)[:, None] * (np.abs(output_a) + np.abs(output_b)) + UNIT**2
    return Expected(merged.output, bound), Expected(merged.logsumexp, 2 * wrong_by)


MERGE = Task(
    name="merge",
    parameters=("output_a", "log_a", "output_b", "log_b"),
    results=("output", "logsumexp"),
    draws=(
        Draw("two parts", two_parts, {"query_len": 2, "value_dim": 2, "spread": 2}),
        Draw(
            "parts without visible keys",
            two_parts,
            {"query_len": 4, "value_dim": 2, "spread": 2},
            {"query_len": 3},
        ),
        Draw("large logarithms", two_parts, {"query_len": 2, "value_dim": 2, "spread": 2000}),
    ),
    expected=right_merge,
    misconceptions=(
        Misconception(
            "the two outputs are averaged; each counts by e^log of its part.",
            lambda oa, la, ob, lb: ((oa + ob) / 2, np.logaddexp(la, lb)),
        ),
        Misconception(
            "a part without visible keys makes NaN: -inf minus -inf is no number.",
            lambda *parts: bare_merge(*parts),
        ),
        Misconception(
            "the logarithms are added; the sums are to be added, and the logarithm taken of that.",
            lambda oa, la, ob, lb: (right_merge(oa, la, ob, lb)[0].value, la + lb),
        ),
    ),
    symptoms=(
        Symptom(
            "a part without visible keys makes NaN: -inf minus -inf is no number.",
            lambda arguments, came, right: bool(np.isnan(came[0]).any()),
        ),
    ),
)


def bare_merge(output_a: Array, log_a: Array, output_b: Array, log_b: Array) -> tuple[Array, Array]:
    top = np.maximum(log_a, log_b)
    one, other = np.exp(log_a - top)[:, None], np.exp(log_b - top)[:, None]
    return (one * output_a + other * output_b) / (one + other), top + np.log(one + other)[:, 0]


EXERCISE = Exercise(8, "flash attention", (FLASH,), (MERGE,), difficulty=3, minutes=40, after=(1,))
