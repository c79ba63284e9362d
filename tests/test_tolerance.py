"""The judges judged: what is right passes, each mutant fails, and the bound is not idle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from attnscope.result import PartialAttention
from tests.baseline import Baseline
from tests.mutants import MUTANTS, case_of
from tests.problems import Case, problems
from tests.tolerance import accumulation, assert_matches_oracle, error_bound


@given(problems())
def test_the_baseline_is_within_the_bound(case: Case) -> None:
    baseline = Baseline(accumulation(case))
    assert_matches_oracle(baseline.attention(case), case)
    assert_matches_oracle(baseline.partial(case), case)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_oracle_catches(mutant: Any) -> None:
    case = MUTANTS[mutant]
    assert_matches_oracle(Baseline().partial(case), case)
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="exceeds the derived bound"):
        assert_matches_oracle(mutant().partial(case), case)


def test_the_bound_is_within_a_thousand_times_the_baseline_s_error() -> None:
    """It is a proof, so no error reaches it; were it much wider, it would judge nothing."""
    rng = np.random.default_rng(2)
    case = Case(*rng.standard_normal((3, 1, 4, 128, 64)).astype(np.float32))
    bound = error_bound(case, arithmetic=np.float32, output=np.float32).output
    exact = Baseline(np.float64).partial(case).output
    error = np.abs(Baseline().partial(case).output - exact)
    assert 1e-3 < (error / bound).max() < 1


def test_the_baseline_catches_what_the_proof_lets_pass() -> None:
    """Scores that are rounded too coarsely stay below the bound, but not below twice the baseline."""
    rng = np.random.default_rng(2)
    case = Case(*rng.standard_normal((3, 1, 4, 128, 64)).astype(np.float32))

    class Coarse(Baseline):
        def cap(self, scores: Any, options: dict[str, Any]) -> Any:
            return (scores.astype(np.float64) * (1 + 2.0**-20)).astype(self.dtype)

    with pytest.raises(AssertionError, match=r"the error is .*; the baseline's is"):
        assert_matches_oracle(Coarse().attention(case), case)


def test_an_output_of_another_shape_is_no_match() -> None:
    case = case_of()
    output = Baseline().attention(case)
    with pytest.raises(AssertionError, match="logsumexp has shape"):
        assert_matches_oracle(PartialAttention(output, np.zeros((1,), np.float32)), case)
