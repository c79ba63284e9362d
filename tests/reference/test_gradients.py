"""Central differences judge the gradients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from attnscope import reference
from attnscope.errors import AttentionShapeError
from attnscope.problem import Causal, KeyLengths
from tests.problems import Case, problems
from tests.reference.test_definition import small_case
from tests.tolerance import error_bound

STEP = 2.0**-13  # truncation goes with its square, rounding with its inverse


def inputs_of(case: Case) -> dict[str, NDArray[np.float64]]:
    """What the loss is differentiated in, by the names of Gradients."""
    given = dict(zip(("query", "key", "value"), case.arrays, strict=True))
    given |= {name: np.asarray(case.options[name]) for name in ("bias", "sinks") if name in case.options}
    return {name: array.astype(np.float64) for name, array in given.items()}


def loss(case: Case, inputs: dict[str, Any], grad_output: NDArray[np.float64]) -> float:
    return float((reference.attention(**(case.options | inputs)) * grad_output).sum())


def slope_along(
    case: Case, name: str, direction: NDArray[np.float64], grad_output: NDArray[np.float64]
) -> tuple[float, float]:
    """The loss's slope in one input along a direction, by central differences, and how wrong that may be.

    The error of a difference over a step h is c h^2 + ..., so those over 2h and h differ by 3 c h^2 + ...:
    their difference bounds it. The loss itself is known as well as its outputs are.
    """
    inputs = inputs_of(case)

    def difference(step: float) -> float:
        ahead, behind = (inputs | {name: inputs[name] + side * step * direction} for side in (1, -1))
        return (loss(case, ahead, grad_output) - loss(case, behind, grad_output)) / (2 * step)

    near, far = difference(STEP), difference(2 * STEP)
    bound = error_bound(case, arithmetic=np.float64, output=np.float64)
    rounding = 2 * float((bound.output * np.abs(grad_output)).sum()) / STEP
    return near, abs(far - near) + rounding


def assert_slopes_agree(case: Case, rng: np.random.Generator) -> None:
    """The gradient, along a random direction of each input, is the slope of the loss."""
    grad_output = rng.standard_normal((*case.query.shape[:-1], case.value.shape[-1]))
    inputs = inputs_of(case)
    gradients = reference.gradients(grad_output=grad_output, **(case.options | inputs))
    for name, array in inputs.items():
        gradient = getattr(gradients, name)
        assert gradient.shape == array.shape
        direction = rng.standard_normal(array.shape)
        direction[~np.isfinite(array)] = 0.0
        slope, uncertainty = slope_along(case, name, direction, grad_output)
        assert abs((gradient * direction).sum() - slope) <= uncertainty, f"the gradient of {name} is off"


@given(problems(formats=("float64",), max_tokens=7, max_dim=4), st.integers(0, 2**32))
def test_gradients_are_the_slopes_of_the_loss(case: Case, seed: int) -> None:
    assert_slopes_agree(case, np.random.default_rng(seed))


def test_every_entry_of_every_gradient_is_the_slope_there() -> None:
    case = small_case(mask=Causal(), softcap=1.0, bias=np.full((2, 1, 6), 0.3), sinks=np.array([0.1, -0.2]))
    grad_output = np.random.default_rng(3).standard_normal((1, 2, 4, 2))
    gradients = reference.gradients(*case.arrays, grad_output, **case.options)
    for name, array in inputs_of(case).items():
        for index in np.ndindex(array.shape):
            direction = np.zeros_like(array)
            direction[index] = 1.0
            slope, uncertainty = slope_along(case, name, direction, grad_output)
            assert abs(getattr(gradients, name)[index] - slope) <= uncertainty, (name, index)


def test_the_comparison_is_sharp() -> None:
    case = small_case(softcap=1.0)
    grad_output = np.ones((1, 2, 4, 2))
    slope, uncertainty = slope_along(case, "key", np.ones_like(case.key), grad_output)
    assert uncertainty < 1e-6 * abs(slope)


def test_hidden_nans_reach_no_gradient() -> None:
    case = small_case(mask=KeyLengths(4), sinks=np.array([0.1, -0.2]))
    poisoned = Case(case.query, case.key.copy(), case.value.copy(), case.options)
    poisoned.key[:, :, 4:] = np.nan
    poisoned.value[:, :, 5:] = np.inf
    grad_output = np.ones((1, 2, 4, 2))
    clean, dirty = (
        reference.gradients(*each.arrays, grad_output, **case.options) for each in (case, poisoned)
    )
    for name in ("query", "key", "value", "sinks"):
        np.testing.assert_array_equal(getattr(dirty, name), getattr(clean, name))
    assert not dirty.key[:, :, 4:].any()


def test_a_nan_in_a_query_spares_the_keys_it_does_not_see() -> None:
    case = small_case(mask=Causal())  # query 2 sees keys 0 to 4
    poisoned = case.query.copy()
    poisoned[:, :, 2] = np.nan
    gradients = reference.gradients(poisoned, case.key, case.value, np.ones((1, 2, 4, 2)), **case.options)
    for gradient in (gradients.key, gradients.value):
        assert np.isnan(gradient[:, :, :5]).all()
        assert np.isfinite(gradient[:, :, 5:]).all()


def test_gradients_have_the_rank_of_the_inputs() -> None:
    query, key, value = (array[0, 0] for array in small_case().arrays)
    gradients = reference.gradients(query, key, value, np.ones((4, 2)), bias=np.zeros(6))
    assert (gradients.query.shape, gradients.key.shape, gradients.value.shape) == ((4, 3), (6, 3), (6, 2))
    assert gradients.bias is not None
    assert gradients.bias.shape == (6,)
    assert gradients.sinks is None


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(AttentionShapeError, match=r"grad_output has shape \[4, 2\], expected \[1, 2, 4, 2\]"):
        reference.gradients(*small_case().arrays, np.ones((4, 2)))


def test_what_is_hidden_or_absent_leaves_no_nan_in_bias_and_sinks() -> None:
    case = small_case(mask=Causal(offset=-1), bias=np.zeros((4, 6)), sinks=np.array([0.1, -np.inf]))
    poisoned = Case(case.query, case.key.copy(), case.value.copy(), case.options)
    poisoned.key[:, :, 3:], poisoned.value[:, :, 3:] = np.nan, np.nan
    gradients = reference.gradients(*poisoned.arrays, np.ones((1, 2, 4, 2)), **case.options)
    assert gradients.bias is not None
    assert gradients.sinks is not None
    assert np.isfinite(gradients.bias).all()
    assert np.isfinite(gradients.sinks).all()
    assert not gradients.bias[0].any()
    assert gradients.sinks[1] == 0


@pytest.mark.parametrize("options", [{}, {"mask": Causal(), "sinks": [0.1, -0.2], "softcap": 1.0}])
def test_the_results_of_the_forward_pass_give_the_same_gradients(options: dict[str, Any]) -> None:
    case = small_case(**options)
    grad_output = np.random.default_rng(3).standard_normal((1, 2, 4, 2))
    part = reference.partial_attention(*case.arrays, **case.options)
    expected = reference.gradients(*case.arrays, grad_output, **case.options)
    actual = reference.gradients(
        *case.arrays, grad_output, output=part.output, logsumexp=part.logsumexp, **case.options
    )
    for name in ("query", "key", "value"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=0, atol=1e-14)
