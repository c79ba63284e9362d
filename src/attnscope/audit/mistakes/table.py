"""All known mistakes, and which of them explains an answer."""

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

# Where two mistakes explain the same, the first is named: those about one option before those about all.
MISTAKES: tuple[KnownMistake, ...] = (*NEAR, *MASK_ARRAYS, *SCORING, *MIXING, *CAUSAL)


def explaining(
    expected: Expectation,
    answer: Answer,
    beside: KnownMistake | None = None,
    among: tuple[KnownMistake, ...] = MISTAKES,
    where: NDArray[np.bool_] | None = None,
) -> tuple[KnownMistake, ...]:
    """The known mistakes that an answer agrees with; `beside` is one that was found already, `where` some rows."""
    asked = expected.asked if beside is None else beside.wrong(expected.asked)
    if asked is None:
        return ()
    found = []
    for mistake in among:
        other = mistake.wrong(asked)
        if other is not None and expected.agrees(answer, other, where=where):
            found.append(mistake)
    return tuple(found)


def explains_masked_rows(mistake: KnownMistake, expected: Expectation, answer: Answer) -> bool:
    """Whether a mistake leads to what an answer has in the rows that should see no key."""
    other = mistake.wrong(expected.asked)
    if other is None:
        return False
    output, logs = other.answer()
    bound = expected.bound_of_other(other)
    pairs = [(answer.output, output, bound.output)]
    if answer.logsumexp is not None:
        pairs.append((answer.logsumexp, logs, bound.logsumexp))
    return all(near(actual, right, allowed)[expected.empty].all() for actual, right, allowed in pairs)


def near(actual: Floats, right: Floats, allowed: Floats) -> NDArray[np.bool_]:
    """Equal, both no number, or within a bound."""
    with np.errstate(invalid="ignore"):
        same: NDArray[np.bool_] = (actual == right) | (np.isnan(actual) & np.isnan(right))
        return same | (np.abs(actual - right) <= allowed)
