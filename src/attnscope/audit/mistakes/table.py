"""All known mistakes, and which of them explain an answer."""

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.expectation import Expectation
from attnscope.audit.interpretation import Floats
from attnscope.audit.mistakes.arrays_of_masks import MASK_ARRAYS
from attnscope.audit.mistakes.mixing import MIXING
from attnscope.audit.mistakes.positions import CAUSAL, NEAR
from attnscope.audit.mistakes.scoring import SCORING
from attnscope.audit.suspect import Answer
from attnscope.probing import KnownMistake

# If two mistakes explain the same answer, the first is named: those of one option come before those of all.
MISTAKES: tuple[KnownMistake, ...] = (*NEAR, *MASK_ARRAYS, *SCORING, *MIXING, *CAUSAL)


def explaining(
    expected: Expectation,
    answer: Answer,
    beside: KnownMistake | None = None,
    among: tuple[KnownMistake, ...] = MISTAKES,
    rows: NDArray[np.bool_] | None = None,
) -> tuple[KnownMistake, ...]:
    """The known mistakes that an answer agrees with, alone or beside another one, in all or some rows."""
    asked = expected.asked if beside is None else beside.wrong(expected.asked)
    if asked is None:
        return ()
    found = []
    for mistake in among:
        other = mistake.wrong(asked)
        if other is not None and expected.agrees(answer, other, rows=rows):
            found.append(mistake)
    return tuple(found)


def explains_masked_rows(mistake: KnownMistake, expected: Expectation, answer: Answer) -> bool:
    """Whether a mistake gives what an answer has in the fully masked rows."""
    other = mistake.wrong(expected.asked)
    if other is None:
        return False
    output, logs = other.answer()
    bound = expected.bound_of_other(other)
    pairs = [(answer.output, output, bound.output)]
    if answer.logsumexp is not None:
        pairs.append((answer.logsumexp, logs, bound.logsumexp))
    return all(near(actual, right, allowed)[expected.fully_masked].all() for actual, right, allowed in pairs)


def near(actual: Floats, right: Floats, allowed: Floats) -> NDArray[np.bool_]:
    """Whether two arrays are equal, both NaN, or within a bound, entry by entry."""
    with np.errstate(invalid="ignore"):
        same: NDArray[np.bool_] = (actual == right) | (np.isnan(actual) & np.isnan(right))
        return same | (np.abs(actual - right) <= allowed)
