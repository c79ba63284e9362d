"""The bounds of right results: what is within them, and that they are not much wider than needed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope.lesson.comparing import Rounded, exact, wrong_entries
from attnscope.reference import attention

RNG = np.random.default_rng(11)


def operands(*leading: int) -> list[NDArray[np.float64]]:
    return [RNG.standard_normal((*leading, *shape)) for shape in ((4, 8), (6, 8), (6, 3))]


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (2, 1, 3)])
def test_the_results_are_the_reference_s_in_the_shape_of_the_arguments(leading: tuple[int, ...]) -> None:
    query, key, value = operands(*leading)
    right = exact(query, key, value)
    assert right.output.value.shape == (*leading, 4, 3)
    assert right.weights.value.shape == (*leading, 4, 6)
    assert right.logsumexp.value.shape == (*leading, 4)
    first = (0,) * len(leading)
    np.testing.assert_array_equal(
        right.output.value[first], attention(query[first], key[first], value[first])
    )


def test_inputs_that_are_off_by_their_errors_stay_within_the_bound() -> None:
    """The bound must follow errors far beyond rounding, as after projections."""
    exact_inputs = operands(2)
    errors = [1e-3 * np.abs(RNG.standard_normal(each.shape)) for each in exact_inputs]
    right = exact(*(Rounded(*pair) for pair in zip(exact_inputs, errors, strict=True)))
    largest = 0.0
    for _ in range(200):
        signs = [RNG.choice([-1.0, 1.0], each.shape) for each in exact_inputs]
        moved = [each + sign * by for each, sign, by in zip(exact_inputs, signs, errors, strict=True)]
        output = exact(*moved).output.value
        assert not wrong_entries(output, right.output).any()
        largest = max(largest, float(np.max(np.abs(output - right.output.value) / right.output.bound)))
    assert largest > 0.02, "the bound is far wider than the errors that it follows"
    unfollowed = exact(*exact_inputs)
    assert wrong_entries(output, unfollowed.output).any(), "without the errors, the bound must be exceeded"
