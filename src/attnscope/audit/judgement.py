"""The verdict on one call: right, a leak, a mistake, or only rounding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Deviation, Expectation
from attnscope.audit.interpretation import Row
from attnscope.audit.options import BY_NAME
from attnscope.audit.suspect import Answer, Suspect
from attnscope.probing import Arithmetic, Counterexample, listed, same_precision_baseline

ROWS_ISOLATED = 4
SHORTER = {"float64": "float32", "float32": "bfloat16"}
Side = Literal["key", "batch item", "head", "query"]
MOST_KEYS_ONE_BY_ONE = 12


@dataclass(frozen=True)
class Reach:
    """A part of a call that a row depends on although it must not.

    Parameters
    ----------
    side : {"key", "batch item", "head", "query"}
        "key": a hidden key of the row itself; the others: another batch item, head or query.
    key : int, optional
        The key, if one alone moves the row.
    """

    side: Side
    key: int | None = None

    @property
    def leaks(self) -> bool:
        """Whether the dependence is a leak of hidden content; else heads or queries are mixed up."""
        return self.side in ("key", "batch item")


@dataclass(frozen=True, eq=False)
class Isolation:
    """Changes parts of a call and compares one row."""

    suspect: Suspect
    case: Case
    call: Call
    answer: Answer
    expected: Expectation
    row: Row

    def reach(self) -> Reach | None:
        """The part of the call that the row depends on although it must not, or None."""
        hidden = np.flatnonzero(~self.expected.inputs.visible[self.row])
        if len(hidden) and self.moves(keys=hidden, large=True):
            return Reach("key", self.one_of(hidden))
        for side in ("batch item", "head", "query"):
            if self.others(side) and self.moves(side=side):
                return Reach(side)
        return None

    def others(self, side: Side) -> bool:
        """Whether there is another batch item, kv head or query to change."""
        batch, _, query_len, _ = self.expected.asked.shape
        counts = {"batch item": batch, "head": int(self.call.key.shape[1]), "query": query_len}
        return counts.get(side, 0) > 1

    def one_of(self, hidden: np.ndarray) -> int | None:
        """A single hidden key that moves the row, preferably a late one."""
        while len(hidden) > MOST_KEYS_ONE_BY_ONE:
            half = hidden[len(hidden) // 2 :]
            hidden = half if self.moves(keys=half, large=True) else hidden[: len(hidden) // 2]
        return next((int(key) for key in hidden if self.moves(keys=np.array([key]), large=True)), None)

    def moves(self, *, keys: np.ndarray | None = None, side: Side | None = None, large: bool = False) -> bool:
        """Whether the row moves by more than rounding when these keys, or another side, change."""
        changed = self.call.copy()
        batch, head, query = self.row
        own = head // self.expected.asked.group
        if keys is not None:  # in all heads: hidden content must not arrive through another head either
            self.redraw(changed.key, (batch, slice(None), keys))
            self.redraw(changed.value, (batch, slice(None), keys))
            if large:
                changed.value[batch, :, keys] = large_value(self.case.number_format)
        elif side == "batch item":
            for array in changed.arrays:
                self.redraw(array, (np.arange(len(array)) != batch,))
        elif side == "head":
            for array in changed.arrays[1:]:
                self.redraw(array, (slice(None), np.arange(array.shape[1]) != own))
        elif side == "query":
            self.redraw(changed.query, (slice(None), slice(None), np.arange(changed.query.shape[2]) != query))
        moved = self.suspect.ask(self.case, changed, noted=False)
        return moved is not None and moved_beyond_rounding(self.answer, moved, self.expected, self.row)

    def follows_hidden_values(self) -> bool:
        """Whether the row moves with the values of hidden keys while their scores stay the same."""
        batch, _, _ = self.row
        hidden = np.flatnonzero(~self.expected.inputs.visible[self.row])
        changed = self.call.copy()
        changed.value[batch, :, hidden] = large_value(self.case.number_format)
        moved = self.suspect.ask(self.case, changed, noted=False)
        return moved is not None and moved_beyond_rounding(self.answer, moved, self.expected, self.row)

    def redraw(self, array: np.ndarray, where: tuple[Any, ...]) -> None:
        """Draw other numbers of the same size; the dimension that carries an offset stays."""
        chosen = array[where].astype(np.float64)
        rng = np.random.default_rng(self.case.seed + 1)
        drawn = -chosen + 1.5 * max(self.case.spread, 1e-3) * rng.standard_normal(chosen.shape)
        if self.case.offset and chosen.shape[-1] == self.case.sizes.key_dim:
            drawn[..., 0] = chosen[..., 0]
        array[where] = drawn.astype(array.dtype)


def large_value(number_format: str) -> float:
    """A value of a hidden key that shows even if its weight is tiny."""
    return 3e4 if number_format == "float16" else 1e15


def moved_beyond_rounding(before: Answer, after: Answer, expected: Expectation, row: Row) -> bool:
    """Whether a row of two answers that should be equal differs by more than rounding."""
    pairs = [(before.output[row], after.output[row], expected.bound.output[row])]
    if before.logsumexp is not None and after.logsumexp is not None:
        bound = expected.bound.logsumexp[row]
        pairs.append((before.logsumexp[row], after.logsumexp[row], bound))
    for was, is_now, bound in pairs:
        same = (was == is_now) | (np.isnan(was) & np.isnan(is_now))
        with np.errstate(invalid="ignore"):
            near = np.abs(was - is_now) <= 2 * bound
        if not (same | near).all():
            return True
    return False


@dataclass(frozen=True, eq=False)
class Failure:
    """A call whose answer differs from the right one by more than rounding."""

    case: Case
    call: Call
    answer: Answer
    expected: Expectation
    deviation: Deviation

    def rows(self) -> Iterator[Row]:
        """The rows to examine: the worst ones, and the worst that have hidden keys."""
        rows = self.deviation.rows
        visible = self.expected.inputs.visible
        hiding = [row for row in rows if not visible[row].all()]
        yield from list(dict.fromkeys([*hiding[:ROWS_ISOLATED], *rows[:2]]))

    def reach(self, suspect: Suspect) -> tuple[Row, Reach | None]:
        """The first of these rows that leaks, else that depends on another part, else the worst one."""
        mixed_up: tuple[Row, Reach | None] = (self.deviation.rows[0], None)
        if self.case.layout == "broadcast":  # arrays with a change would have other strides
            return mixed_up
        for row in self.rows():
            found = Isolation(suspect, self.case, self.call, self.answer, self.expected, row).reach()
            if found is not None and found.leaks:
                return row, found
            if found is not None and mixed_up[1] is None:
                mixed_up = (row, found)
        return mixed_up

    def worst_entry(self, row: Row) -> tuple[float, float]:
        """(actual, expected) where the row's error is largest."""
        if self.deviation.what == "logsumexp":
            assert self.answer.logsumexp is not None
            return float(self.answer.logsumexp[row]), float(self.expected.logsumexp[row])
        actual, expected = self.answer.output[row], self.expected.output[row]
        distance = np.where(np.isfinite(actual), np.abs(np.nan_to_num(actual) - expected), np.inf)
        worst = int(distance.argmax())
        return float(actual[worst]), float(expected[worst])

    def counterexample(self, row: Row, reach: Reach | None) -> Counterexample:
        """The call as a counterexample."""
        indices = {"batch": row.batch, "head": row.head, "query": row.query}
        if reach is not None and reach.key is not None:
            indices["key"] = reach.key
        return counterexample(self.case, self.call, self.answer, self.expected, indices)


def counterexample(
    case: Case, call: Call, answer: Answer | None, expected: Expectation | None, indices: dict[str, int]
) -> Counterexample:
    """A case with its arrays: arguments, results, and the right results."""
    arguments: dict[str, Any] = dict(call.named_arrays)
    arguments |= {name: np.asarray(call.options[name]) for name in BY_NAME if name in call.options}
    came, right = {}, {}
    if answer is not None:
        came["output"] = answer.output
        if answer.logsumexp is not None:
            came["logsumexp"] = answer.logsumexp
    if expected is not None:
        right = {"output": expected.output, "logsumexp": expected.logsumexp}
    return Counterexample(str(case), arguments, came, right, indices, case.seed)


def judge(suspect: Suspect, case: Case, *, noted: bool = True) -> Failure | None:
    """Ask one call; None if the answer is right, or if there is none."""
    call = case.build(suspect.contract)
    answer = suspect.ask(case, call, noted=noted)
    if answer is None:
        return None
    expected = Expectation.of(call, suspect.contract)
    deviation = expected.deviation(answer)
    return None if deviation is None else Failure(case, call, answer, expected, deviation)


def only_rounding(failures: list[Failure]) -> bool:
    """Whether careful arithmetic in a shorter format has errors as large.

    The errors are within its bound, and at most twice its own. They are compared by their root mean square
    over all failures, as a single one may be an outlier.
    """
    errors, peers = 0.0, 0.0
    for failure in failures:
        case, answer, expected = failure.case, failure.answer, failure.expected
        shorter = SHORTER.get(case.number_format)
        if shorter is None or case.layout != "contiguous" or case.extreme:
            return False
        if expected.deviation(answer, expected.bound_in(Arithmetic(shorter))) is not None:
            return False
        seen = ~expected.fully_masked
        output, logs = same_precision_baseline(expected.inputs, shorter)
        pairs = [(answer.output, expected.output, output)]
        if answer.logsumexp is not None:
            pairs.append((answer.logsumexp, expected.logsumexp, logs))
        errors += sum(float(((actual - exact)[seen] ** 2).sum()) for actual, exact, _ in pairs)
        peers += sum(float(((peer - exact)[seen] ** 2).sum()) for _, exact, peer in pairs)
    return bool(errors <= 4 * peers)  # of squares


def of_reach(reach: Reach, row: Row, case: Case, expected: Expectation) -> str:
    """A sentence about a row that depends on what it must not."""
    if reach.side == "key" and reach.key is not None:
        why = expected.asked.why_hidden(row, reach.key)
        hiding = listed(list(why.values()))
        return f"{row.words(case)} reads key {reach.key}, which {hiding}{case.condition(tuple(why))}"
    if reach.side == "key":
        return f"{row.words(case)} reads hidden keys{case.condition()}"
    return f"{row.words(case)} depends on another {reach.side}{case.condition()}"


def of_error(row: Row, case: Case, what: str, actual: float, right: float) -> str:
    """A sentence about a row whose numbers are wrong."""
    return f"{row.words(case)} has {what} {actual:.6g}, expected {right:.6g}{case.condition()}"
