"""All known mistakes, and which of them explains an answer."""

from attnscope.audit.answer import Answer
from attnscope.audit.expectation import Expectation
from attnscope.audit.mistakes.arrays_of_masks import MASK_ARRAYS
from attnscope.audit.mistakes.causal import CAUSAL
from attnscope.audit.mistakes.mistake import Mistake
from attnscope.audit.mistakes.mixing import MIXING
from attnscope.audit.mistakes.near import NEAR
from attnscope.audit.mistakes.scoring import SCORING

MISTAKES: tuple[Mistake, ...] = (*CAUSAL, *MASK_ARRAYS, *NEAR, *SCORING, *MIXING)


def explaining(
    expected: Expectation, answer: Answer, beside: Mistake | None = None, among: tuple[Mistake, ...] = MISTAKES
) -> tuple[Mistake, ...]:
    """The known mistakes that an answer agrees with; `beside` is one that was found already."""
    reading = expected.reading if beside is None else beside.reread(expected.reading)
    if reading is None:
        return ()
    found = []
    for mistake in among:
        other = mistake.reread(reading)
        if other is not None and expected.agrees(answer, other):
            found.append(mistake)
    return tuple(found)
