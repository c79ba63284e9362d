"""Hidden slots with extreme content: NaN, Inf, and scores far from 0. No row that does not see them may move.

Poison: NaN or Inf in a hidden slot must not reach the output.

Extremes: is a finite number used for minus infinity? If all visible scores are far below 0, a hidden score
that was set to -1e4 is the largest. If a hidden score is far above 0, it is the largest even after -1e4 was
added. In both cases only the hidden value is changed. It has no weight, so a row that does not see it must
not move beyond rounding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from attnscope.audit.case import Call, Case, shrink_case
from attnscope.audit.expectation import Expectation
from attnscope.audit.interpretation import Row
from attnscope.audit.judgement import Isolation, counterexample, large_value
from attnscope.audit.mistakes import FILLS
from attnscope.audit.options import OPTIONS
from attnscope.audit.probes.probe import (
    Probe,
    Setting,
    hidden_keys,
    hides,
    hiding_cases,
    in_every_format,
)
from attnscope.audit.suspect import Answer
from attnscope.probing import Finding, Severity, listed

Part = Literal["value", "key"]
PARTS: tuple[Part, ...] = ("value", "key")
EVERY = 3  # each level is tried with every third case: one of three lengths
POISONS = {"NaN": np.nan, "Inf": np.inf}
WHY = {
    "value": "agrees with: 0 * NaN = NaN in the sum over the values",
    "key": "agrees with: a NaN score that is masked by addition or multiplication stays NaN",
}
FIX = {
    "value": "Leave hidden keys out of the sum over the values, or set hidden values to 0 first.",
    "key": "Choose hidden scores by where(visible, score, -inf), instead of adding -inf to them.",
}
AFTER_SOFTMAX = (
    "hidden keys that hold NaN, or score far above the visible ones: this function masks after its "
    "softmax and "
    "normalises again, which is equal until weights underflow"
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
        """A row that does not see this key, but becomes NaN or infinite when it is poisoned."""
        changed = self.call.copy()
        getattr(changed, part)[:, :, key] = number
        answer = self.setting.suspect.ask(self.case, changed, noted=False)
        if answer is None:
            return None
        visible = self.expected.inputs.visible[..., key] | self.expected.fully_masked
        rows = finite_rows(self.clean) & ~finite_rows(answer) & ~visible
        return (Row(*map(int, np.argwhere(rows)[0])), changed, answer) if rows.any() else None

    def depends(self, row: Row, key: int) -> bool:
        """Whether the row depends on this key without any poison: then another probe reports it."""
        isolation = Isolation(self.setting.suspect, self.case, self.call, self.clean, self.expected, row)
        return isolation.moves(keys=np.array([key]))

    def masks_after_softmax(self, row: Row, key: int) -> bool:
        """Whether a hidden key with a very large score changes the row, but its value does not."""
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
        changed_row = not np.allclose(first, self.clean.output[row], equal_nan=True)
        return changed_row and bool(np.array_equal(first, second, equal_nan=True))

    def finding(self, part: Part, name: str, key: int, row: Row, changed: Call, answer: Answer) -> Finding:
        """The finding of a poisoned row."""
        why = self.expected.asked.why_hidden(row, key)
        return Finding(
            "poison",
            Severity.LEAK,
            f"{row.words(self.case)} is not finite if the {part} of key {key}, which "
            f"{listed(list(why.values()))}, holds {name}{self.case.condition(tuple(why))}",
            counterexample(self.case, changed, answer, self.expected, {**row._asdict(), "key": key}),
            WHY[part],
            FIX[part],
        )


def finite_rows(answer: Answer) -> np.ndarray:
    """Rows with a finite output and a finite logsumexp; -inf is right for a fully masked row."""
    finite: Any = np.isfinite(answer.output).all(axis=-1)
    logs = answer.logsumexp
    both: np.ndarray = finite if logs is None else finite & ~np.isnan(logs) & ~np.isposinf(logs)
    return both


def run(setting: Setting) -> list[Finding]:
    """Poison one hidden key at a time: its value, then the key itself."""
    found = [first_of(setting, part) for part in PARTS]
    return [finding for finding in found if finding is not None]


def first_of(setting: Setting, part: Part) -> Finding | None:
    """The finding of the first case that shows a mistake, shrunk."""
    for case in in_every_format(setting, hiding_cases(setting)):
        if look(setting, case, part) is not None:
            smallest = shrink_case(case, setting.contract, shows(setting, part))
            return look(setting, smallest, part)
    return None


def shows(setting: Setting, part: Part) -> Callable[[Case], bool]:
    return lambda case: look(setting, case, part) is not None


def look(setting: Setting, case: Case, part: Part) -> Finding | None:
    """The finding of one case with poisoned slots, unless the row depends on them without poison."""
    call = case.build(setting.contract)
    clean = setting.suspect.ask(case, call)
    if clean is None:
        return None
    poisoning = Poisoning(setting, case, call, clean, Expectation.of(call, setting.contract))
    keys = hidden_keys(poisoning.expected.inputs.visible)
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


NOT_CAPPED = {row.name: None for row in OPTIONS if row.rescales == "caps"}
LEVELS = {"float16": (20.0, 300.0, 2e4), "bfloat16": (20.0, 300.0, 2e4, 2e9)}
USUAL_LEVELS = (20.0, 300.0, 2e4, 2e9)
FILLED = "agrees with: a finite number, such as -1e4 or -1e9, is used for minus infinity in the scores"
SMALL_WEIGHT = "hidden keys keep a small weight, as if the exponential had a smallest value"
FIX_OF_FILL = (
    "Set hidden scores to -inf, not to a large negative number, and guard the rows that see nothing."
)


def with_score(call: Call, score: float, hidden: int | None) -> Call:
    """The same call with one dimension that adds `score` to the scores of all keys, or of one key."""
    changed = call.copy()
    scale = changed.options.get("scale", call.query.shape[-1] ** -0.5)
    side = np.sqrt(abs(score) / scale)
    changed.query[..., 0] = side
    changed.key[..., 0] = 0 if hidden is not None else np.copysign(side, score)
    if hidden is not None:
        changed.key[:, :, hidden, 0] = side
    return changed


def moved(setting: Setting, case: Case, base: Call, key: int) -> tuple[Row, Call, Answer, Expectation] | None:
    """A row that depends on the value of a key that it does not see."""
    before = setting.suspect.ask(case, base, noted=False)
    other = base.copy()
    other.value[:, :, key] = large_value(case.number_format)
    after = setting.suspect.ask(case, other, noted=False)
    if before is None or after is None or before.bits == after.bits:
        return None
    expected = Expectation.of(base, setting.contract)
    same = (before.output == after.output) | (np.isnan(before.output) & np.isnan(after.output))
    with np.errstate(invalid="ignore"):
        near = same | (np.abs(before.output - after.output) <= 2 * expected.bound.output)
    rows = ~near.all(axis=-1) & ~expected.inputs.visible[..., key] & ~expected.fully_masked
    again = setting.suspect.ask(case, base, noted=False) if rows.any() else None
    if again is None or before.bits != again.bits:
        return None
    return Row(*map(int, np.argwhere(rows)[0])), other, after, expected


def run_extremes(setting: Setting) -> list[Finding]:
    """Try usual scores, then rising levels, so that the finding names the smallest level."""
    if any(mistake in FILLS for mistake in setting.known):
        return []
    for case, score in extreme_cases(setting):
        if shown_at(setting, case, score) is not None:
            smallest = shrink_case(case, setting.contract, shows_at(setting, score))
            found = shown_at(setting, smallest, score)
            return [found] if found else []
    return []


def extreme_cases(setting: Setting) -> Iterator[tuple[Case, float]]:
    """Cases with a score, in each format; each level meets every set of options at one of three lengths."""
    for number_format in setting.contract.dtypes:
        levels = LEVELS.get(number_format, USUAL_LEVELS)
        short = [case for case in hiding_cases(setting) if case.sizes.key_len < 64]
        cases = [case.but(number_format=number_format, **NOT_CAPPED) for case in short]
        for turn, score in enumerate([0.0, *(sign * level for level in levels for sign in (-1, 1))]):
            yield from ((case, score) for case in cases[turn % EVERY :: EVERY])


def shows_at(setting: Setting, score: float) -> Callable[[Case], bool]:
    return lambda case: shown_at(setting, case, score) is not None


def shown_at(setting: Setting, case: Case, score: float) -> Finding | None:
    """The finding of one case at one level, unless the row depends on the key anyway."""
    call = case.build(setting.contract)
    expected = Expectation.of(call, setting.contract)
    for key in hidden_keys(expected.inputs.visible)[:2]:
        base = with_score(call, score, None if score < 0 else key) if score else call
        found = moved(setting, case, base, key)
        usual = setting.suspect.ask(case, call) if found else None
        if found is None or usual is None:
            continue
        row, other, after, at_this_level = found
        isolation = Isolation(setting.suspect, case, call, usual, expected, row)
        if isolation.moves(keys=np.array([key])):  # without large numbers: the grid finds it
            continue
        why = expected.asked.why_hidden(row, key)
        return Finding(
            "dependence",
            Severity.LEAK,
            f"{row.words(case)} reads key {key}, which {listed(list(why.values()))}, "
            f"if {level_in_words(score)}{case.condition(tuple(why))}",
            counterexample(case, other, after, at_this_level, {**row._asdict(), "key": key}),
            FILLED if score else SMALL_WEIGHT,
            FIX_OF_FILL,
        )
    return None


def level_in_words(score: float) -> str:
    """The condition of a level, which follows "if"."""
    if score == 0:
        return "its value is large"
    return f"visible scores are around {score:g}" if score < 0 else f"its score is around {score:g}"


EXTREMES = Probe("extremes", lambda contract: ("dependence",), hides, run_extremes)
