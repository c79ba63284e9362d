"""The judge of gradients judged: what is right passes, each mutant fails, and the bound is not idle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope.problem import Causal, KeyLengths
from tests.gradient_tolerance import GradientBaseline, assert_gradients_match, gradient_bounds
from tests.mutants import BIAS, MUTANTS, case_of
from tests.problems import Case, problems

GRAD = np.random.default_rng(12).standard_normal((2, 4, 5, 3)).astype(np.float32)


class WithoutTheMean(GradientBaseline):
    """The softmax's normalisation is forgotten: ds = w dw."""

    def mean(self, grad: Any, output: Any) -> Any:
        return super().mean(grad, output) * 0


class MeanOverTheHeads(GradientBaseline):
    def mean(self, grad: Any, output: Any) -> Any:
        return super().mean(grad, output).mean(axis=1, keepdims=True)


class UnscaledGradients(GradientBaseline):
    def grad_scale(self, options: dict[str, Any], key_dim: int) -> float:
        return 1.0


class WithoutTheSlopeOfTheCap(GradientBaseline):
    def through_the_cap(self, grad_scores: Any, query: Any, key: Any, options: dict[str, Any]) -> Any:
        return grad_scores


class FirstHeadOfTheGroup(GradientBaseline):
    def of_group(self, grad: Any, kv_heads: int) -> Any:
        return grad[:, :: grad.shape[1] // kv_heads]


class HeadsTiledOnTheWayBack(GradientBaseline):
    def of_group(self, grad: Any, kv_heads: int) -> Any:
        batch, heads, *rest = grad.shape
        return grad.reshape(batch, heads // kv_heads, kv_heads, *rest).sum(axis=1)


class SinkWithTheWrongSign(GradientBaseline):
    def of_sinks(self, sinks: Any, logsumexp: Any, mean: Any) -> Any:
        return -super().of_sinks(sinks, logsumexp, mean)


class SinkOutsideTheLogsumexp(GradientBaseline):
    """Weights of the visible keys alone: the sink's share is forgotten."""

    def softmax(self, scores: Any, visible: Any, sinks: Any) -> tuple[Any, Any]:
        return super().softmax(scores, visible, None)


class HiddenKeysInTheGradient(GradientBaseline):
    """A hidden key's weight is 0, but its mean is not taken out of a row that it shares."""

    def hide(self, grad_scores: Any, visible: Any) -> Any:
        return np.where(visible, grad_scores, self.dtype(1e-3))


class HalfPrecisionScores(GradientBaseline):
    def hide(self, grad_scores: Any, visible: Any) -> Any:
        return super().hide(grad_scores, visible).astype(np.float16).astype(self.dtype)


GRADIENT_MUTANTS: dict[Any, Case] = {
    WithoutTheMean: case_of(),
    MeanOverTheHeads: case_of(),
    UnscaledGradients: case_of(),
    WithoutTheSlopeOfTheCap: case_of(softcap=2.0),
    FirstHeadOfTheGroup: case_of(),
    HeadsTiledOnTheWayBack: case_of(),
    SinkWithTheWrongSign: case_of(sinks=[0.0, 1.0, -1.0, 0.5]),
    SinkOutsideTheLogsumexp: case_of(sinks=[0.0, 1.0, -1.0, 0.5]),
    HiddenKeysInTheGradient: case_of(mask=Causal()),
    HalfPrecisionScores: case_of(),
}
FORWARD_MUTANTS = ("FlippedMask", "TopLeftCausal", "LengthsOfTheFirstBatchRow", "MissingScale", "NoSoftcap")


def named(mutant: Any) -> str:
    name: str = mutant.__name__
    return name


@given(problems(), st.integers(0, 2**32))
def test_the_baseline_is_within_the_bound(case: Case, seed: int) -> None:
    shape = (*case.query.shape[:-1], case.value.shape[-1])
    grad_output = np.random.default_rng(seed).standard_normal(shape).astype(case.query.dtype)
    dtype = np.float64 if case.query.dtype == np.float64 else np.float32
    assert_gradients_match(GradientBaseline(dtype).gradients(case, grad_output), case, grad_output)


@pytest.mark.parametrize("mutant", GRADIENT_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_oracle_catches(mutant: Any) -> None:
    case = GRADIENT_MUTANTS[mutant]
    assert_gradients_match(GradientBaseline().gradients(case, GRAD), case, GRAD)
    with pytest.raises(AssertionError, match="exceeds the derived bound"):
        assert_gradients_match(mutant().gradients(case, GRAD), case, GRAD)


@pytest.mark.parametrize("name", FORWARD_MUTANTS)
def test_the_oracle_catches_a_wrong_forward_pass(name: str) -> None:
    mutants: dict[Any, Case] = {**MUTANTS}
    mutant, case = next((each, case) for each, case in mutants.items() if named(each) == name)
    wrong: Any = type(name, (mutant, GradientBaseline), {})
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="exceeds the derived bound"):
        assert_gradients_match(wrong().gradients(case, GRAD), case, GRAD)


def test_the_oracle_catches_a_bias_that_is_summed_over_the_wrong_axes() -> None:
    case = case_of(bias=BIAS, mask=KeyLengths(8))
    right = GradientBaseline().gradients(case, GRAD)
    assert_gradients_match(right, case, GRAD)
    assert right.bias is not None
    wrong = type(right)(right.query, right.key, right.value, right.bias / 2, None)
    with pytest.raises(AssertionError, match="the gradient of bias exceeds the derived bound"):
        assert_gradients_match(wrong, case, GRAD)


def test_the_bound_is_within_some_thousand_times_the_baseline_s_error() -> None:
    """It is a proof, so no error reaches it; were it much wider, it would judge nothing."""
    rng = np.random.default_rng(2)
    case = Case(*rng.standard_normal((3, 1, 4, 128, 64)).astype(np.float32))
    grad_output = rng.standard_normal((1, 4, 128, 64)).astype(np.float32)
    bounds = gradient_bounds(case, grad_output, arithmetic=np.float32, output=np.float32)
    exact, found = (
        GradientBaseline(dtype).gradients(case, grad_output) for dtype in (np.float64, np.float32)
    )
    for name in ("query", "key", "value"):
        error = np.abs(getattr(found, name) - getattr(exact, name))
        assert 2e-4 < (error / bounds[name]).max() < 1, name


def test_the_baseline_catches_what_the_proof_lets_pass() -> None:
    rng = np.random.default_rng(2)
    case = Case(*rng.standard_normal((3, 1, 4, 128, 64)).astype(np.float32))
    grad_output = rng.standard_normal((1, 4, 128, 64)).astype(np.float32)

    class Coarse(GradientBaseline):
        def hide(self, grad_scores: Any, visible: Any) -> Any:
            return (grad_scores.astype(np.float64) * (1 + 2.0**-20)).astype(self.dtype)

    with pytest.raises(AssertionError, match=r"is off by .*; the baseline by"):
        assert_gradients_match(Coarse().gradients(case, grad_output), case, grad_output)
