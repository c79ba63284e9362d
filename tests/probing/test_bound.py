"""The audit's proof beside the tests' own: one derivation, worked out twice."""

from typing import Any

import numpy as np
from hypothesis import given

from attnscope.probing import Arithmetic, Bound, bound_of
from attnscope.reference import masked_scores, mix, quietly, read, softmax
from tests.problems import Case, problems
from tests.tolerance import error_bound

# Scores may be stored before the largest one is subtracted: 4 |score|, beside (key_dim + 8) * mass
MORE_OF_A_SCORE = 1 + 4 / (1 + 8)
SECOND_ORDER = 0.05  # errors of scores are exponents
NOISE = 2.0**-28  # the bounds are differences of float64 numbers near 1, and 8 * 2^-24 or more


@quietly
def bound_of_audit(case: Case) -> Bound:
    inputs = read(*case.arrays, **case.options)[2]
    scores = masked_scores(inputs)
    weights, logsumexp = softmax(scores, inputs.visible, inputs.sinks)
    output = mix(weights, inputs.visible, inputs.value)
    return bound_of(inputs, scores, (weights, output, logsumexp), Arithmetic("float32"))


@given(problems(formats=("float32",)))
def test_the_audit_allows_for_stored_scores_what_the_tests_do_not_and_nothing_else(case: Case) -> None:
    products_alone: dict[str, Any] = {"alibi_slopes": None, "bias": None, "softcap": None}
    case = case.but(**products_alone)
    of_tests = error_bound(case, arithmetic=np.float32, output=np.float32)
    of_audit = bound_of_audit(case)
    for name in ("output", "logsumexp"):
        stricter, wider = getattr(of_tests, name), getattr(of_audit, name)
        seen = np.isfinite(stricter)
        assert np.array_equal(seen, np.isfinite(wider))
        assert (wider >= stricter * (1 - NOISE))[seen].all()
        assert (wider <= stricter * (MORE_OF_A_SCORE + SECOND_ORDER))[seen].all()
