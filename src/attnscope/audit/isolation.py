"""Whether a row of the output depends on what it must not: told by moving that, never by comparing with an oracle."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attnscope.audit.answer import Answer
from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Expectation
from attnscope.audit.suspect import Suspect
from attnscope.audit.visibility import Row

Side = Literal["key", "batch item", "head", "query"]
MOST_KEYS_ONE_BY_ONE = 12


@dataclass(frozen=True)
class Reach:
    """Something that a row must not depend on, and does.

    side    "key": a hidden key of its own; "batch item", "head" or "query": another one's
    key     which key, where it is one
    """

    side: Side
    key: int | None = None

    @property
    def leaks(self) -> bool:
        """Whether it is what must not be seen, and no mere mix-up."""
        return self.side in ("key", "batch item")


@dataclass(frozen=True, eq=False)
class Isolation:
    """Moves parts of a call and looks at one row."""

    suspect: Suspect
    case: Case
    call: Call
    answer: Answer
    expected: Expectation
    row: Row

    def reach(self) -> Reach | None:
        """What the row depends on although it must not."""
        hidden = np.flatnonzero(~self.expected.reading.inputs.visible[self.row])
        if len(hidden) and self.moves(keys=hidden):
            return Reach("key", self.one_of(hidden))
        for side in ("batch item", "head", "query"):
            if self.others(side) and self.moves(side=side):
                return Reach(side)
        return None

    def others(self, side: Side) -> bool:
        """Whether there is another batch item, kv head or query."""
        batch, _, query_len, _ = self.expected.reading.shape
        counts = {"batch item": batch, "head": int(self.call.key.shape[1]), "query": query_len}
        return counts.get(side, 0) > 1

    def one_of(self, hidden: np.ndarray) -> int | None:
        """A single hidden key that moves the row, the last first: nearest to the future."""
        while len(hidden) > MOST_KEYS_ONE_BY_ONE:
            half = hidden[len(hidden) // 2 :]
            hidden = half if self.moves(keys=half) else hidden[: len(hidden) // 2]
        return next((int(key) for key in hidden if self.moves(keys=np.array([key]))), None)

    def moves(self, *, keys: np.ndarray | None = None, side: Side | None = None) -> bool:
        """Whether the row moves by more than rounding."""
        changed = self.call.copy()
        batch, head, query = self.row
        own = head // self.expected.reading.group
        if keys is not None:  # in all heads: what is hidden must not come by way of another head either
            self.redraw(changed.key, (batch, slice(None), keys))
            self.redraw(changed.value, (batch, slice(None), keys))
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
        """Whether the row moves with the values of hidden keys, whose scores stay as they are."""
        batch, _, _ = self.row
        hidden = np.flatnonzero(~self.expected.reading.inputs.visible[self.row])
        changed = self.call.copy()
        self.redraw(changed.value, (batch, slice(None), hidden))
        moved = self.suspect.ask(self.case, changed, noted=False)
        return moved is not None and moved_beyond_rounding(self.answer, moved, self.expected, self.row)

    def redraw(self, array: np.ndarray, where: tuple[Any, ...]) -> None:
        """Other numbers of the same size; the dimension that carries an offset stays."""
        chosen = array[where].astype(np.float64)
        rng = np.random.default_rng(self.case.seed + 1)
        drawn = -chosen + 1.5 * max(self.case.spread, 1e-3) * rng.standard_normal(chosen.shape)
        if self.case.offset and chosen.shape[-1] == self.case.sizes.key_dim:
            drawn[..., 0] = chosen[..., 0]
        array[where] = drawn.astype(array.dtype)


def moved_beyond_rounding(before: Answer, after: Answer, expected: Expectation, row: Row) -> bool:
    """Whether two answers to what should be the same question differ in a row."""
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
