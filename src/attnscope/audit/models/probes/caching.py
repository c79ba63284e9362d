"""A cached generation gives the logits of the same tokens asked at once, in whatever chunks they come."""

from dataclasses import replace

import numpy as np

from attnscope.audit.models.question import Question, Where
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.session import Cached, cached
from attnscope.audit.models.setting import Setting, finding_of, token_in_words
from attnscope.audit.models.subject import Floats
from attnscope.probing import Finding, Severity

CHECK = "cache"
SHORT = 9  # a cache that is wrong with so few tokens is wrong from the first cached step on


def look(setting: Setting, scenario: Scenario) -> Finding | None:
    """Each chunk's logits beside those of the whole."""
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
        f"the cached logits of {token_in_words(question, move.row, move.slot)} differ by {move.size:.2g} from the "
        f"uncached ones, from step {step} on (tokens {start} ... {start + scenario.chunks[step] - 1}), in {scenario.words}",
        scenario,
        question,
        {"logits": whole, "logits_cached": parts.logits},
        {"row": move.row, "slot": move.slot, "step": step},
        cause,
        fix,
    )


def behind_a_hole(setting: Setting) -> Finding | None:
    """Rows padded on the right go on behind their padding, where the uncached model can do that at all."""
    for lengths, tail in (((5, 3), (1, 1)), ((4, 6, 2), (1, 2)), ((6, 3), (3,))):
        scenario = Scenario(lengths, "right", chunks=(max(lengths), *tail), tail=sum(tail))
        question = setting.build(scenario)
        whole = setting.ask(question)
        parts = cached(setting.subject, question, scenario.chunks, "int")
        if whole is None or parts is None or not as_alone(setting, question, whole):
            return None
        move = setting.differ(whole, parts.logits, question.real & parts.given)
        if move is not None:
            step, _ = step_of(scenario.chunks, move.slot)
            cause, fix = cause_of(setting, scenario, question, parts, step)
            return finding_of(
                CHECK,
                Severity.WRONG,
                f"the cached logits of {token_in_words(question, move.row, move.slot)} differ by {move.size:.2g} from the "
                f"uncached ones, in {scenario.words}",
                scenario,
                question,
                {"logits": whole, "logits_cached": parts.logits},
                {"row": move.row, "slot": move.slot, "step": step},
                cause,
                fix,
            )
    return None


def as_alone(setting: Setting, question: Question, whole: Floats) -> bool:
    """Whether uncached rows with padding inside are what they are without."""
    for row, real in enumerate(question.real):
        alone = setting.ask(question.alone(row))
        if (
            alone is None
            or setting.differ(alone, whole[row : row + 1, real], np.ones((1, real.sum()), bool)) is not None
        ):
            return False
    return True


def step_of(chunks: tuple[int, ...], slot: int) -> tuple[int, int]:
    """The step that a slot belongs to, and where it starts."""
    ends = np.cumsum(chunks)
    step = int(np.searchsorted(ends, slot, side="right"))
    return step, int(ends[step] - chunks[step])


def same(setting: Setting, scenario: Scenario) -> bool:
    """Whether another chunking of the same rows is right."""
    question = setting.build(scenario)
    whole = setting.ask(question)
    parts = cached(setting.subject, question, scenario.chunks, scenario.mask)
    if whole is None or parts is None:
        return False
    return setting.differ(whole, parts.logits, question.real & parts.given) is None


def cause_of(
    setting: Setting, scenario: Scenario, question: Question, parts: Cached, step: int
) -> tuple[str | None, str]:
    """What the chunkings that are right say about the one that is not."""
    chunks, window = scenario.chunks, setting.claims.window
    if np.isnan(parts.logits[question.real & parts.given]).any():
        return (
            "NaN from slots of the cache that nobody may see",
            "Mask such slots before the softmax, and keep them finite.",
        )
    if scenario.padded and same(
        setting, scenario.but(lengths=(scenario.width,) * len(scenario.lengths), side=None, extra=0, tail=0)
    ):
        if shows_padding(setting, scenario, question, parts):
            return "cached steps that do not hide the padded slots of the cache", (
                "Pass the whole mask, cached slots too, to every step."
            )
        return "positions of cached steps that count the padded slots" if step else None, (
            "In a cached step, position = number of real tokens so far, by each row's own mask."
        )
    if step == 0:
        return (
            "a first step that is masked or positioned unlike an uncached call",
            "Mask a first step as an uncached call.",
        )
    long_ones, singles = max(chunks[1:]) > 1, chunks[:1] + (1,) * (sum(chunks) - chunks[0])
    if window is not None and sum(chunks) > window and right_when_short(setting, scenario, window):
        return "a cache of the window that loses, or keeps, a token too many", (
            "Before a chunk of n tokens, keep the last `window` tokens; evict only what no token of the chunk may see."
        )
    if long_ones and len(singles) <= 80 and same(setting, scenario.but(chunks=singles)):
        return chunk_cause(setting, question, chunks, step, parts), (
            "Token i of a chunk stands at cached + i: it sees all cached tokens, and those of the chunk up to its own."
        )
    cached_tokens = sum(chunks[:step])
    if cached_tokens > SHORT:
        return f"a cache that loses, or mixes, tokens once it holds {cached_tokens}", (
            "Look at what happens to the cache where a block, or its capacity, is full."
        )
    return "cached steps whose positions, or visible slots, do not follow what is cached", (
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
    """Whether a chunk's early tokens see its later ones, or too little of what is cached."""
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
        return "a chunk behind a cache whose tokens see the chunk's later ones"
    return "causal aligned to the start in a chunk behind a cache"
