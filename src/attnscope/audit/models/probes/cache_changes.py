"""Generations that are reordered and truncated, with padding and many rows, hold exactly the right tokens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from attnscope.audit.models.question import Question, Scenario, Tokens, Where, drawn
from attnscope.audit.models.setting import Setting, finding_of, token_in_words
from attnscope.audit.models.subject import Floats, Move, NotOffered, Session
from attnscope.probing import Finding, NoAnswer, Severity, listed, shrink

CACHE, REORDER, TRUNCATE, STALE = "cache", "reorder", "truncate", "stale state"
FIXES = {
    CACHE: "Append the keys and values of a step to those of its own row, and mask them by its own padding.",
    REORDER: "Index keys and values of every layer, and lengths and positions of rows, with the same index.",
    TRUNCATE: "Truncate keys and values of every layer, and reset all counts of tokens and what is derived.",
    STALE: "Keep all state of a generation in the generation, and start each one empty.",
}
SECONDS_OF_SHRINKING = 3.0
CROSSED = 4  # histories of random steps


@dataclass(frozen=True)
class Append:
    """So many further tokens in each row."""

    tokens: int


@dataclass(frozen=True)
class Reorder:
    """Row i continues as row index[i]."""

    index: tuple[int, ...]


@dataclass(frozen=True)
class Truncate:
    """The first slots are kept."""

    slots: int


Step = Append | Reorder | Truncate
CHECKS = {Append: CACHE, Reorder: REORDER, Truncate: TRUNCATE}


@dataclass(frozen=True)
class History:
    """A generation: real tokens per row in the first step, padded on the left, and its further steps."""

    lengths: tuple[int, ...]
    steps: tuple[Step, ...]
    seed: int = 0

    @property
    def width(self) -> int:
        """Slots of the first step."""
        return max(self.lengths)

    @property
    def longest(self) -> int:
        """An upper bound on the slots of a row."""
        return self.width + sum(each.tokens for each in self.steps if isinstance(each, Append))

    @property
    def reorders(self) -> bool:
        """Whether a step reorders rows."""
        return any(isinstance(each, Reorder) for each in self.steps)

    @property
    def check(self) -> str:
        """The promise that it tests: that of its last change."""
        changes = [CHECKS[type(each)] for each in self.steps if not isinstance(each, Append)]
        return changes[-1] if changes else CACHE

    def simpler(self) -> Iterator["History"]:
        """Simpler histories, the largest steps first."""
        for number in range(len(self.steps)):
            yield replace(self, steps=self.steps[:number] + self.steps[number + 1 :])
        if len(set(self.lengths)) > 1:
            yield replace(self, lengths=(self.width,) * len(self.lengths))
        if len(self.lengths) > 1 and not self.reorders:
            yield replace(self, lengths=self.lengths[:1])
            yield replace(self, lengths=self.lengths[-1:])


@dataclass(eq=False)
class Trail:
    """A generation whose every step is compared with an uncached call; `done` lists its steps in words."""

    setting: Setting
    check: str
    session: Session
    done: list[str]
    seed: int = 0
    found: Finding | None = None

    def step(self, token_ids: Tokens, real: Where | None = None) -> None:
        """Run the next step, and compare its logits."""
        if self.found is not None:
            return
        answer = self.session.step(token_ids, real)
        question = self.session.question
        whole = self.setting.ask(with_documents(self.setting, question))
        padded = " of padded rows" if real is not None and not real.all() else ""
        self.done.append(f"a step of {token_ids.shape[1]}{padded}")
        if whole is None:
            return
        tail = whole[:, -token_ids.shape[1] :]
        where = question.real[:, -token_ids.shape[1] :] & answer.given
        move = self.setting.differ(tail, answer.logits, where)
        if move is not None:
            self.found = self.finding(question, answer.logits, tail, move)

    def take(self, step: Step) -> None:
        """Take a step of a history; a truncation that keeps everything is left out."""
        if isinstance(step, Append):
            rows, slots = self.session.token_ids.shape
            self.step(tokens(self.setting, self.seed + slots, rows, step.tokens))
        elif isinstance(step, Reorder):
            self.session.reorder(np.array(step.index, np.int64))
            self.done.append(f"reorder({list(step.index)})")
        elif step.slots < self.session.token_ids.shape[1]:
            self.session.truncate(step.slots)
            self.done.append(f"truncate({step.slots})")

    def finding(self, question: Question, logits: Floats, tail: Floats, move: Move) -> Finding:
        rows, slots = question.token_ids.shape
        slot = slots - logits.shape[1] + move.slot
        return finding_of(
            self.check,
            Severity.WRONG,
            f"the cached logits of {token_in_words(question, move.row, slot)} differ by {move.size:.2g} "
            f"from the uncached ones after {listed(self.done)}, with {rows} row{'s' if rows > 1 else ''}",
            Scenario((slots,) * rows, seed=self.seed),
            question,
            {"logits_uncached": tail, "logits_cached": logits},
            {"row": move.row, "slot": slot},
            None,
            FIXES[self.check],
        )


def with_documents(setting: Setting, question: Question) -> Question:
    """The question with one document, for models that take documents."""
    if not setting.claims.documents:
        return question
    zeros = np.zeros_like(question.token_ids)
    return Question(question.token_ids, question.real, question.attention_mask, zeros)


def tokens(setting: Setting, seed: int, rows: int, length: int) -> Tokens:
    return np.stack([drawn(setting.claims, seed + 1000, row, length) for row in range(rows)])


def prefill(setting: Setting) -> int:
    """The number of tokens of a first step: at least the whole prefix."""
    return max(5, (setting.claims.prefix or 0) + 2)


def walked(setting: Setting, check: str, walk: Callable[[Trail], None], seed: int = 0) -> Finding | None:
    """The finding of a walk; a refusal by an error is reported as not covered."""
    path = Trail(setting, check, Session(setting.subject), [], seed)
    try:
        walk(path)
    except NotOffered as refusal:
        setting.not_covered.append(f"{check}: {refusal}")
    except NoAnswer as no_answer:
        began = path.session.token_ids.shape[1] > 0
        question = path.session.question if began else setting.build(Scenario((prefill(setting),)))
        setting.subject.note(question, no_answer, f", after {', '.join(path.done) or 'decode()'}")
    return path.found


def look(setting: Setting, history: History) -> Finding | None:
    """The finding of a history."""

    def walk(path: Trail) -> None:
        width, rows = history.width, len(history.lengths)
        real = np.arange(width) >= width - np.array(history.lengths)[:, None]
        ids = tokens(setting, history.seed, rows, width)
        path.step(np.where(real, ids, setting.claims.fill), real)
        for step in history.steps:
            if path.found is None:
                path.take(step)

    return walked(setting, history.check, walk, history.seed)


def first_found(setting: Setting, histories: list[History]) -> Finding | None:
    """The finding of the first history that has one, shrunk."""
    padded = setting.claims.padding == "left" and "padded" not in setting.broken
    for history in histories:
        ragged = len(set(history.lengths)) > 1
        if (ragged and not padded) or history.longest > setting.longest:
            continue
        if setting.subject.given_up:
            return None
        if look(setting, history) is not None:
            refusals, troubles = len(setting.not_covered), len(setting.subject.troubles)
            smallest = shrink(
                history, History.simpler, lambda each: shows(setting, each), seconds=SECONDS_OF_SHRINKING
            )
            del setting.not_covered[refusals:], setting.subject.troubles[troubles:]
            return look(setting, smallest)
    return None


def shows(setting: Setting, history: History) -> bool:
    """Whether a history has a finding; one that became impossible as it was shrunk has none."""
    rows = len(history.lengths)
    for step in history.steps:
        if isinstance(step, Reorder):
            if max(step.index) >= rows:
                return False
            rows = len(step.index)
    return history.check != CACHE and look(setting, history) is not None


def in_short(*given: int | tuple[int, ...] | Truncate) -> tuple[Step, ...]:
    """Steps in short: numbers are appended, tuples reorder."""
    made: list[Step] = []
    for each in given:
        if isinstance(each, int):
            made.append(Append(each))
        else:
            made.append(Reorder(each) if isinstance(each, tuple) else each)
    return tuple(made)


def reorders(setting: Setting) -> list[History]:
    """Few and many rows, padded or not, short, past the window and past a block; then once more."""
    n = prefill(setting)
    beyond = n + (setting.claims.window or 0) + 2
    found = [
        History((n,) * len(index), in_short(index, 1, 2, index[::-1], 1))
        for index in ((1, 0), (0, 0), (1, 2, 0))
    ]
    return [
        *found,
        History((beyond,) * 3, in_short((2, 0, 1), 1, 2, (1, 0, 2), 1)),
        History((n, n - 1, n - 2), in_short((2, 0, 0), 1, 2, (0, 1, 2), 1)),
        History((n + 4, 2, n, 3, n + 1, 4), in_short((5, 3, 0, 0, 1, 4), 1, (4, 4, 2, 1, 0, 3), 2)),
        History((17,) * 2, in_short((1, 0), 1)),
        History((34, 20), in_short(1, (1, 0), 1, 1)),
    ]


def truncations(setting: Setting) -> list[History]:
    """To the last token, to a few, to none; in a row, one by one, with padding, and past a block."""
    least = setting.claims.prefix or 1
    n = max(8, prefill(setting) + 1)
    last = tuple(Truncate(max(each, least)) for each in (n - 1, n - 4, 2, n - 3))
    return [
        History((n,), in_short(last[0], 1, 2, 1)),
        History((n,), in_short(last[2], 1, 2, 1)),
        History((n,), in_short(last[3], 1, 2, Truncate(max(n - 2, least)), 2, Truncate(max(3, least)), 1)),
        History((max(least, 1),), in_short(*(1,) * 6, Truncate(max(4, least)), 1, 2)),
        History((n, n), in_short(last[0], 1, Truncate(max(3, least)), 2)),
        History((n,), in_short(2, Truncate(0), n, 1)),
        History((n, n - 3), in_short(Truncate(n - 1), 1, 2)),
        History((n + 2, 5, n, 4, n - 1), in_short(2, Truncate(n), 1, 1)),
        History((20,), in_short(1, Truncate(19), 1, Truncate(17), 2)),
        History((37, 30), in_short(2, Truncate(33), 1, 1)),
        History((n,) * 3, in_short((2, 0, 1), 1, Truncate(n - 2), 2)),
    ]


def crossed(setting: Setting) -> list[History]:
    """Random steps with rows, padding, lengths, reordering and truncation crossed."""
    rng = np.random.default_rng(setting.seed + 77)
    return [random_history(rng, setting, number) for number in range(CROSSED)]


def random_history(rng: np.random.Generator, setting: Setting, number: int) -> History:
    """Rows around a block's edge, and six steps of which every second one appends."""
    least = max(prefill(setting), setting.claims.prefix or 1)
    width = max(least, int(rng.choice([6, 9, 16, 17, 33])))
    rows = int(rng.integers(1, 7))
    lengths = tuple(
        width if row == 0 or rng.random() < 0.5 else int(rng.integers(2, width)) for row in range(rows)
    )
    made: list[Step] = []
    slots = width
    for _ in range(3):
        if rng.random() < 0.5:
            made.append(Reorder(tuple(int(each) for each in rng.integers(0, rows, rows))))
        else:
            slots = int(rng.integers(max(least, width - 2), slots + 1))
            made.append(Truncate(slots))
        appended = int(rng.integers(1, 4))
        slots += appended
        made.append(Append(appended))
    return History(lengths, tuple(made), seed=number)


def reorder(setting: Setting) -> Finding | None:
    return first_found(setting, reorders(setting))


def truncate(setting: Setting) -> Finding | None:
    histories = [*truncations(setting), *crossed(setting)]
    reordered = "reordered" in setting.broken
    return first_found(setting, [each for each in histories if not (reordered and each.reorders)])
