"""NaN and Inf in slots that no query sees: the output must not hear of them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from attnscope.audit.answer import Answer
from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Expectation
from attnscope.audit.isolation import Isolation
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.hiding_cases import hidden_keys, hides, hiding_cases
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.shrink import shrink
from attnscope.audit.visibility import Row, why_hidden
from attnscope.audit.words import condition, listed, place
from attnscope.probing import Finding, Severity

Part = Literal["value", "key"]
PARTS: tuple[Part, ...] = ("value", "key")
POISONS = {"NaN": np.nan, "Inf": np.inf}
WHY = {
    "value": "agrees with: 0 * NaN = NaN in the sum over the values",
    "key": "agrees with: a NaN score that is masked by adding, or multiplying, stays NaN",
}
FIX = {
    "value": "Leave hidden keys out of the sum over the values, or set hidden values to 0 before it.",
    "key": "Choose hidden scores by where(visible, score, -inf), instead of adding -inf to them.",
}
AFTER_SOFTMAX = (
    "hidden keys that hold NaN, or score far above the visible ones: this function masks after its softmax and "
    "normalises again, which is the same until something underflows"
)


@dataclass(frozen=True, eq=False)
class Poisoning:
    """One case, unpoisoned."""

    setting: Setting
    case: Case
    call: Call
    clean: Answer
    expected: Expectation

    def reached(self, part: Part, key: int, number: float) -> tuple[Row, Call, Answer] | None:
        """A row that does not see this key, and is no number when it is poisoned."""
        changed = self.call.copy()
        getattr(changed, part)[:, :, key] = number
        answer = self.setting.suspect.ask(self.case, changed, noted=False)
        if answer is None:
            return None
        visible = self.expected.reading.inputs.visible[..., key] | self.expected.empty
        rows = finite_rows(self.clean) & ~finite_rows(answer) & ~visible
        return (Row(*map(int, np.argwhere(rows)[0])), changed, answer) if rows.any() else None

    def depends(self, row: Row, key: int) -> bool:
        """Whether the row follows this key without any poison: then that is the finding, and it is made elsewhere."""
        isolation = Isolation(self.setting.suspect, self.case, self.call, self.clean, self.expected, row)
        return isolation.moves(keys=np.array([key]))

    def masks_after_softmax(self, row: Row, key: int) -> bool:
        """Whether a hidden key that scores far above all others drowns the row, whatever its value is."""
        outputs = []
        for value in (1.0, 1e4):
            changed = self.call.copy()
            direction = self.call.query[row].astype(np.float64)
            changed.key[row.batch, :, key] = direction * 3_000 / max(1e-9, float(direction @ direction))
            changed.value[row.batch, :, key] = value
            answer = self.setting.suspect.ask(self.case, changed, noted=False)
            outputs.append(None if answer is None else answer.output[row])
        first, second = outputs
        if first is None or second is None:
            return False
        drowned = not np.allclose(first, self.clean.output[row], equal_nan=True)
        return drowned and bool(np.array_equal(first, second, equal_nan=True))

    def finding(self, part: Part, name: str, key: int, row: Row, changed: Call, answer: Answer) -> Finding:
        """What happened, in words."""
        why = why_hidden(self.call, self.expected.reading.masks, row, key)
        return Finding(
            "poison",
            Severity.LEAK,
            f"{place(row, self.case)} is no number when the {part} of key {key} holds {name}, which {listed(list(why.values()))}"
            + condition(self.case, tuple(why)),
            counterexample(self.case, changed, answer, self.expected, {**row._asdict(), "key": key}),
            WHY[part],
            FIX[part],
        )


def finite_rows(answer: Answer) -> np.ndarray:
    """Rows whose output, and logsumexp, are numbers (-inf is one, for a row that sees nothing)."""
    finite: Any = np.isfinite(answer.output).all(axis=-1)
    logs = answer.logsumexp
    both: np.ndarray = finite if logs is None else finite & ~np.isnan(logs) & ~np.isposinf(logs)
    return both


def run(setting: Setting) -> list[Finding]:
    """Poison one hidden key at a time, in the values and in the keys."""
    found = [first_of(setting, part) for part in PARTS]
    return [finding for finding in found if finding is not None]


def first_of(setting: Setting, part: Part) -> Finding | None:
    """The first case that shows something, shrunk."""
    for case in hiding_cases(setting):
        if look(setting, case, part) is not None:
            smallest = shrink(case, setting.contract, shows(setting, part))
            return look(setting, smallest, part)
    return None


def shows(setting: Setting, part: Part) -> Callable[[Case], bool]:
    return lambda case: look(setting, case, part) is not None


def look(setting: Setting, case: Case, part: Part) -> Finding | None:
    """What poisoned slots of one case show, unless the row depends on them anyway."""
    call = case.build(setting.contract)
    clean = setting.suspect.ask(case, call)
    if clean is None:
        return None
    poisoning = Poisoning(setting, case, call, clean, Expectation.of(call, setting.contract))
    keys = hidden_keys(poisoning.expected.reading.inputs.visible)
    for key, (name, number) in product(keys, POISONS.items()):
        reached = poisoning.reached(part, key, number)
        if reached is None or poisoning.depends(reached[0], key):
            continue
        if part == "key" and poisoning.masks_after_softmax(reached[0], key):
            if AFTER_SOFTMAX not in setting.not_covered:
                setting.not_covered.append(AFTER_SOFTMAX)
            return None
        return poisoning.finding(part, name, key, *reached)
    return None


POISON = Probe(
    "poison", lambda contract: ("poison",), lambda contract: contract.hidden_nan and hides(contract), run
)
