"""A cached generation gives the logits of one uncached call, for any chunks."""

from dataclasses import replace

import numpy as np

from attnscope.audit.models.claims import ModelClaims
from attnscope.audit.models.question import Question, Scenario, Where
from attnscope.audit.models.setting import Setting, finding_of, token_in_words
from attnscope.audit.models.subject import Cached, cached
from attnscope.probing import Finding, Severity

CHECK = "cache"
SHORT = 9  # a cache that is wrong with so few tokens is wrong from the first cached step on


def look(setting: Setting, scenario: Scenario) -> Finding | None:
    """Compare each chunk's logits with those of an uncached call."""
    if not scenario.chunks:
        return None
    question = setting.build(scenario)
    whole = setting.ask(question, scenario)
    parts = cached(setting.subject, question, scenario.chunks, scenario.mask)
    if whole is None or parts is None:
        return None
    where = question.real & parts.given
    setting.watch(replace(question, real=where), parts.logits)
    move = setting.differ(whole, parts.logits, where)
    if move is None:
        return None
    step, start = step_of(scenario.chunks, move.slot)
    cause, fix = cause_of(setting, scenario, question, parts, step)
    return finding_of(
        CHECK,
        Severity.WRONG,
        f"the cached logits of {token_in_words(question, move.row, move.slot)} differ by {move.size:.2g} "
        f"from the uncached ones, from step {step} on (tokens {start} ... "
        f"{start + scenario.chunks[step] - 1}), in {scenario.words}",
        scenario,
        question,
        {"logits": whole, "logits_cached": parts.logits},
        {"row": move.row, "slot": move.slot, "step": step},
        cause,
        fix,
    )


def after_padding(setting: Setting, scenario: Scenario) -> Finding | None:
    """Rows padded on the right that continue after their padding are the same rows without padding."""
    question = setting.build(scenario)
    parts = cached(setting.subject, question, scenario.chunks, "int")
    if parts is None:
        return None
    for row, real in enumerate(question.real):
        alone = setting.ask(question.alone(row))
        inside, given = parts.logits[row : row + 1, real], parts.given[row : row + 1, real]
        move = setting.differ(alone, inside, given)
        if move is not None and alone is not None:
            slot = int(np.flatnonzero(real)[move.slot])
            step, _ = step_of(scenario.chunks, slot)
            return finding_of(
                CHECK,
                Severity.WRONG,
                f"the cached logits of {token_in_words(question, row, slot)} differ by {move.size:.2g} from "
                f"those of the same row without padding, in {scenario.words}",
                scenario,
                question,
                {"logits_alone": alone, "logits_cached": parts.logits},
                {"row": row, "slot": slot, "step": step},
                *cause_of(setting, scenario, question, parts, step),
            )
    return None


def continued(claims: ModelClaims) -> list[Scenario]:
    """Rows of several lengths, padded on the right, that continue after their padding."""
    shapes = (
        ((5, 3), (1, 1)),
        ((4, 6, 2), (1, 2)),
        ((6, 3), (3,)),
        ((8, 3, 5, 7, 4, 6), (1, 1)),
        ((33, 20, 16), (1, 2)),
    )
    least = claims.prefix or 1
    return [
        Scenario(lengths, "right", chunks=(max(lengths), *tail), tail=sum(tail))
        for lengths, tail in shapes
        if min(lengths) >= least
    ]


def step_of(chunks: tuple[int, ...], slot: int) -> tuple[int, int]:
    """The step that a slot belongs to, and where it starts."""
    ends = np.cumsum(chunks)
    step = int(np.searchsorted(ends, slot, side="right"))
    return step, int(ends[step] - chunks[step])


def same(setting: Setting, scenario: Scenario) -> bool:
    """Whether the cached logits of a scenario are right."""
    question = setting.build(scenario)
    whole = setting.ask(question)
    parts = cached(setting.subject, question, scenario.chunks, scenario.mask)
    if whole is None or parts is None:
        return False
    return setting.differ(whole, parts.logits, question.real & parts.given) is None


def cause_of(
    setting: Setting, scenario: Scenario, question: Question, parts: Cached, step: int
) -> tuple[str | None, str]:
    """The likely mistake and its fix, from other chunkings of the same rows that are right."""
    chunks, window = scenario.chunks, setting.claims.window
    if np.isnan(parts.logits[question.real & parts.given]).any():
        return (
            "NaN from hidden slots of the cache",
            "Mask these slots before the softmax, and keep them finite.",
        )
    if scenario.padded and same(
        setting, scenario.but(lengths=(scenario.width,) * len(scenario.lengths), side=None, extra=0, tail=0)
    ):
        if shows_padding(setting, scenario, question, parts):
            return "cached steps that do not hide the padded slots of the cache", (
                "Pass the whole mask, with the cached slots, to every step."
            )
        return "positions of cached steps that count the padded slots" if step else None, (
            "The position of a cached token is the number of real tokens before it in its own row."
        )
    if step == 0:
        return (
            "a first step whose mask or positions differ from those of an uncached call",
            "Mask and position the tokens of a first step as in an uncached call.",
        )
    long_ones, singles = max(chunks[1:]) > 1, chunks[:1] + (1,) * (sum(chunks) - chunks[0])
    if window is not None and sum(chunks) > window and right_when_short(setting, scenario, window):
        return "a cache of the window that drops or keeps one token too many", (
            "Before a chunk of n tokens, keep the last `window` tokens: its first token sees them all."
        )
    if long_ones and len(singles) <= 80 and same(setting, scenario.but(chunks=singles)):
        return chunk_cause(setting, question, chunks, step, parts), (
            "Token i of a chunk has position cached + i: it sees all cached tokens, and the chunk up "
            "to itself."
        )
    cached_tokens = sum(chunks[:step])
    if cached_tokens > SHORT:
        return f"a cache that loses or mixes tokens when it holds {cached_tokens}", (
            "Check the cache when a block, or its capacity, is full."
        )
    return "cached steps whose positions or visible slots do not match the cached tokens", (
        "Start positions, and the mask's row, of a cached step at the number of cached tokens."
    )


def right_when_short(setting: Setting, scenario: Scenario, window: int) -> bool:
    return window > 1 and same(
        setting, scenario.but(lengths=(window,), side=None, extra=0, tail=0, chunks=(1,) * window)
    )


def shows_padding(setting: Setting, scenario: Scenario, question: Question, before: Cached) -> bool:
    """Whether the content of padded slots reaches cached logits."""
    changed = question.changed(~question.real, setting.claims)
    after = cached(setting.subject, changed, scenario.chunks, scenario.mask)
    where = question.real & before.given
    return after is not None and setting.moved(before.logits, after.logits, where) is not None


def chunk_cause(
    setting: Setting, question: Question, chunks: tuple[int, ...], step: int, parts: Cached
) -> str:
    """The mistake of a chunk: its early tokens see its later ones, or they see too few cached tokens."""
    start, end = sum(chunks[:step]), sum(chunks[: step + 1])
    later = np.zeros_like(question.real)
    later[:, end - 1] = question.real[:, end - 1]
    early: Where = np.zeros_like(question.real)
    early[:, start : end - 1] = question.real[:, start : end - 1]
    changed = question.changed(later, setting.claims)
    kind = "none" if question.attention_mask is None else "int"
    after = cached(setting.subject, changed, chunks[: step + 1], kind)
    before = parts.logits[:, :end]
    if after is not None and setting.moved(before, after.logits, early[:, :end]) is not None:
        return "a chunk after cached tokens that sees its own later tokens"
    return "causal aligned to the start in a chunk after cached tokens"
