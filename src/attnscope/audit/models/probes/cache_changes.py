"""Caches that are reordered, truncated, abandoned, or used in turn hold exactly the right tokens."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attnscope.audit.models.question import Question, Tokens, Where, drawn
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.session import NotOffered, Session
from attnscope.audit.models.setting import Setting, finding_of, token_in_words
from attnscope.audit.models.subject import Floats, Move
from attnscope.probing import Finding, NoAnswer, Severity

REORDER_FIX = (
    "Index keys and values of every layer, and lengths and positions of each row, with the same index."
)
TRUNCATE_FIX = (
    "Truncate keys and values of every layer, and reset every count of tokens and everything derived from it."
)
STALE_FIX = "Keep all state of a generation in the generation, and start each one empty."


@dataclass(eq=False)
class Trail:
    """A generation whose every step is compared with an uncached call; `done` lists its steps in words."""

    setting: Setting
    scenario: Scenario
    check: str
    fix: str
    session: Session
    done: list[str]
    found: Finding | None = None

    def step(self, token_ids: Tokens, real: Where | None = None) -> None:
        """Run the next step, and compare its logits."""
        if self.found is not None:
            return
        answer = self.session.step(token_ids, real)
        question = self.session.question
        whole = self.setting.ask(with_documents(self.setting, question))
        self.done.append(f"a step of {token_ids.shape[1]}")
        if whole is None:
            return
        tail = whole[:, -token_ids.shape[1] :]
        where = question.real[:, -token_ids.shape[1] :] & answer.given
        move = self.setting.differ(tail, answer.logits, where)
        if move is not None:
            self.found = self.finding(question, answer.logits, tail, move)

    def finding(self, question: Question, logits: Floats, tail: Floats, move: Move) -> Finding:
        rows, slots = question.token_ids.shape
        slot = slots - logits.shape[1] + move.slot
        return finding_of(
            self.check,
            Severity.WRONG,
            f"the cached logits of {token_in_words(question, move.row, slot)} differ by {move.size:.2g} "
            f"from the uncached ones after {', '.join(self.done)}, with {rows} row{'s' if rows > 1 else ''}",
            self.scenario,
            question,
            {"logits_uncached": tail, "logits_cached": logits},
            {"row": move.row, "slot": slot},
            None,
            self.fix,
        )

    def reorder(self, index: list[int]) -> None:
        if self.found is None:
            self.session.reorder(np.array(index, np.int64))
            self.done.append(f"reorder({index})")

    def truncate(self, tokens: int) -> None:
        if self.found is None:
            self.session.truncate(tokens)
            self.done.append(f"truncate({tokens})")


def with_documents(setting: Setting, question: Question) -> Question:
    """The question with one document, for models that take documents."""
    if not setting.claims.documents:
        return question
    zeros = np.zeros_like(question.token_ids)
    return Question(question.token_ids, question.real, question.attention_mask, zeros)


def trail(setting: Setting, scenario: Scenario, check: str, fix: str) -> Trail:
    return Trail(setting, scenario, check, fix, Session(setting.subject), [])


def tokens(setting: Setting, seed: int, rows: int, length: int) -> Tokens:
    return np.stack([drawn(setting.claims, seed + 1000, row, length) for row in range(rows)])


Walk = Callable[[Setting, Trail], None]


def walked(setting: Setting, walk: Walk, check: str, fix: str, scenario: Scenario) -> Finding | None:
    """The finding of a walk; a refusal by an error is reported as not covered."""
    path = trail(setting, scenario, check, fix)
    try:
        walk(setting, path)
    except NotOffered as refusal:
        setting.not_covered.append(f"{check}: {refusal}")
    except NoAnswer as no_answer:
        began = path.session.token_ids.shape[1] > 0
        question = path.session.question if began else setting.build(scenario)
        setting.subject.note(question, no_answer, f", after {', '.join(path.done) or 'decode()'}")
    return path.found


def prefill(setting: Setting) -> int:
    """The number of tokens of a first step: at least the whole prefix."""
    return max(5, (setting.claims.prefix or 0) + 2)


def reordering(index: list[int], *, padded: bool = False, long: bool = False) -> Walk:
    def walk(setting: Setting, path: Trail) -> None:
        rows, length = len(index), prefill(setting)
        if long and setting.claims.window is not None:
            length += setting.claims.window + 2
        real = np.ones((rows, length), bool)
        if padded:
            for row in range(1, rows):
                real[row, : min(row, length - 2)] = False
        ids = np.where(real, tokens(setting, 0, rows, length), setting.claims.fill)
        path.step(ids, real)
        path.reorder(index)
        path.step(tokens(setting, 1, rows, 1))
        path.step(tokens(setting, 2, rows, 2))
        path.reorder(index[::-1])
        path.step(tokens(setting, 3, rows, 1))

    return walk


def truncating(kept: tuple[int, ...], *, one_by_one: bool = False, rows: int = 1) -> Walk:
    def walk(setting: Setting, path: Trail) -> None:
        length = max(8, prefill(setting) + 1)
        ids = tokens(setting, 0, rows, length)
        least = setting.claims.prefix or 1
        if one_by_one:
            path.step(ids[:, :least])
            for slot in range(least, length):
                path.step(ids[:, slot : slot + 1])
        else:
            path.step(ids)
        for number, each in enumerate(kept, start=1):
            path.truncate(max(each if each > 0 else length + each, least))
            path.step(tokens(setting, number, rows, 1))
            path.step(tokens(setting, number + 10, rows, 2))
            path.step(tokens(setting, number + 20, rows, 1))

    return walk


def after_a_longer_one(setting: Setting, path: Trail) -> None:
    """A new generation after one that held more tokens and more rows."""
    longer = Session(setting.subject)
    longer.step(tokens(setting, 5, 2, prefill(setting) + 6))
    longer.step(tokens(setting, 6, 2, 1))
    path.done.append("another, longer generation")
    path.step(tokens(setting, 0, 1, prefill(setting)))
    path.step(tokens(setting, 1, 1, 1))
    path.step(tokens(setting, 2, 1, 2))


def in_turn(setting: Setting, path: Trail) -> None:
    """Two generations, step by step in turn."""
    other = trail(setting, path.scenario, path.check, path.fix)
    length = prefill(setting)
    path.done.append("another generation in turn")
    other.done.append("another generation in turn")
    path.step(tokens(setting, 0, 2, length))
    other.step(tokens(setting, 5, 2, length + 2))
    path.step(tokens(setting, 1, 2, 1))
    other.step(tokens(setting, 6, 2, 1))
    path.step(tokens(setting, 2, 2, 2))
    other.step(tokens(setting, 7, 2, 1))
    path.found = path.found or other.found


def beside_uncached(setting: Setting, path: Trail) -> None:
    """An uncached call before, amid and after a generation."""
    question = setting.build(Scenario((prefill(setting) + 2,), mask="int"))
    before = setting.ask(question)
    session = Session(setting.subject)
    session.step(tokens(setting, 0, 1, prefill(setting)))
    answers = [setting.ask(question)]
    session.step(tokens(setting, 1, 1, 1))
    session.step(tokens(setting, 2, 1, 2))
    answers.append(setting.ask(question))
    for answer in answers:
        move = setting.moved(before, answer, question.real)
        if move is not None and before is not None and answer is not None:
            path.found = finding_of(
                "stale state",
                Severity.WRONG,
                f"the logits of {token_in_words(question, move.row, move.slot)} of an uncached call differ "
                f"by {move.size:.2g} after a cached generation was begun",
                path.scenario,
                question,
                {"logits_before": before, "logits_after": answer},
                {"token": move.slot},
                "positions or keys of a generation that are stored outside of it",
                STALE_FIX,
            )
            return


REORDERS = (
    reordering([1, 0]),
    reordering([0, 0]),
    reordering([2, 0, 0]),
    reordering([1, 2, 0]),
    reordering([2, 0, 1], long=True),
)
PADDED_REORDERS = (reordering([2, 0, 0], padded=True), reordering([1, 2, 0], padded=True))
TRUNCATIONS = (
    truncating((-1,)),
    truncating((-4,)),
    truncating((2,)),
    truncating((-3, -2, 3)),
    truncating((4,), one_by_one=True),
    truncating((-2, 3), rows=2),
)


def after_freed_ones(setting: Setting, path: Trail) -> None:
    """A new generation in memory that earlier ones have freed."""
    for rows in (2, 1):
        gone = Session(setting.subject)
        gone.step(tokens(setting, 8, rows, prefill(setting) + 4))
        gone.step(tokens(setting, 9, rows, 1))
        del gone
    path.done.append("two generations that have ended")
    path.step(tokens(setting, 0, 2, prefill(setting)))
    path.step(tokens(setting, 1, 2, 1))
    path.step(tokens(setting, 2, 2, 2))


STALE = (after_a_longer_one, after_freed_ones, in_turn, beside_uncached)


def reorder(setting: Setting) -> Finding | None:
    walks = REORDERS + (
        PADDED_REORDERS if setting.claims.padding == "left" and "padded" not in setting.broken else ()
    )
    return first_walk(setting, walks, "reorder", REORDER_FIX)


def truncate(setting: Setting) -> Finding | None:
    return first_walk(setting, TRUNCATIONS, "truncate", TRUNCATE_FIX)


def stale(setting: Setting) -> Finding | None:
    comparable = not {"cached", "unmasked"} & setting.broken
    return first_walk(setting, STALE if comparable else STALE[-1:], "stale state", STALE_FIX)


def first_walk(setting: Setting, walks: tuple[Walk, ...], check: str, fix: str) -> Finding | None:
    for number, walk in enumerate(walks):
        if setting.subject.given_up:
            return None
        found = walked(setting, walk, check, fix, Scenario((prefill(setting),), seed=number))
        if found is not None:
            return found
    return None
