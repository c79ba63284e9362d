"""Hidden keys beside extreme scores: whether a finite number stands where minus infinity should.

Two ways of scoring show it. All visible scores far below 0: a hidden score that was set to -1e4 is then the largest.
One hidden score far above 0: a hidden score to which -1e4 was added is then the largest. In both, the hidden value
alone is changed; it has no weight, so not a bit of a row that does not see it may move beyond rounding.
"""

from collections.abc import Callable
from itertools import product

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

LEVELS = {"float16": (20.0, 300.0, 2e4), "bfloat16": (20.0, 300.0, 2e4, 2e9)}
USUAL_LEVELS = (20.0, 300.0, 2e4, 2e9)
FIX = "Set hidden scores to -inf, not to a large negative number, and guard the rows that see nothing."


def scored(call: Call, score: float, hidden: int | None) -> Call:
    """The same call with one dimension that adds `score` to all keys' scores, or to one key's."""
    changed = call.copy()
    scale = changed.options.get("scale", call.query.shape[-1] ** -0.5)
    side = np.sqrt(abs(score) / scale)
    changed.query[..., 0] = side
    changed.key[..., 0] = 0 if hidden is not None else np.copysign(side, score)
    if hidden is not None:
        changed.key[:, :, hidden, 0] = side
    return changed


def moved(setting: Setting, case: Case, base: Call, key: int) -> tuple[Row, Call, Answer, Expectation] | None:
    """A row that follows the value of a key that it does not see."""
    before = setting.suspect.ask(case, base, noted=False)
    again = setting.suspect.ask(case, base, noted=False)
    other = base.copy()
    other.value[:, :, key] = -3 * other.value[:, :, key] - 100
    after = setting.suspect.ask(case, other, noted=False)
    if before is None or again is None or after is None or before.bits != again.bits:
        return None
    expected = Expectation.of(base, setting.contract)
    same = (before.output == after.output) | (np.isnan(before.output) & np.isnan(after.output))
    with np.errstate(invalid="ignore"):
        near = same | (np.abs(before.output - after.output) <= 2 * expected.bound.output)
    rows = ~near.all(axis=-1) & ~expected.reading.inputs.visible[..., key] & ~expected.empty
    return (Row(*map(int, np.argwhere(rows)[0])), other, after, expected) if rows.any() else None


def run(setting: Setting) -> list[Finding]:
    """Rising levels, so that the finding names the smallest that shows it."""
    if any("minus infinity" in mistake.name for mistake in setting.known):
        return []
    levels = LEVELS.get(setting.contract.main_format, USUAL_LEVELS)
    cases = [case.but(softcap=None) for case in hiding_cases(setting) if case.sizes.key_len < 64]
    scores = [sign * level for level in levels for sign in (-1, 1)]
    for score, case in product(scores, cases):
        if look(setting, case, score) is not None:
            smallest = shrink(case, setting.contract, shows_at(setting, score))
            found = look(setting, smallest, score)
            return [found] if found else []
    return []


def shows_at(setting: Setting, score: float) -> Callable[[Case], bool]:
    return lambda case: look(setting, case, score) is not None


def look(setting: Setting, case: Case, score: float) -> Finding | None:
    """What one case shows at one level, unless the row depends on the key at any level."""
    call = case.build(setting.contract)
    expected = Expectation.of(call, setting.contract)
    usual = setting.suspect.ask(case, call)
    if usual is None:
        return None
    for key in hidden_keys(expected.reading.inputs.visible)[:2]:
        found = moved(setting, case, scored(call, score, None if score < 0 else key), key)
        if found is None:
            continue
        row, other, after, at_this_level = found
        if Isolation(setting.suspect, case, call, usual, expected, row).moves(keys=np.array([key])):
            continue
        why = why_hidden(call, expected.reading.masks, row, key)
        where = f"visible scores lie around {score:g}" if score < 0 else f"its score is around {score:g}"
        return Finding(
            "dependence",
            Severity.LEAK,
            f"{place(row, case)} reads key {key}, which {listed(list(why.values()))}, where {where}"
            + condition(case, tuple(why)),
            counterexample(case, other, after, at_this_level, {**row._asdict(), "key": key}),
            "agrees with: a finite number, such as -1e4 or -1e9, stands for minus infinity in the scores",
            FIX,
        )
    return None


EXTREMES = Probe("extremes", lambda contract: ("dependence",), hides, run)
