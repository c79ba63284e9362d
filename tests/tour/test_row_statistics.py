"""Row statistics, compared with whole matrices of weights."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.models import HeadReading
from attnscope.tour.passage import BLOCK_ROWS, entropy, row_statistics
from tests.problems import Case
from tests.tolerance import assert_within, error_bound, of_a_sum

Floats = NDArray[np.float64]


def random_head(tokens: int) -> HeadReading:
    draw = np.random.default_rng(0)
    query, key, value = draw.standard_normal((3, tokens, 4), np.float32)
    return HeadReading("random", query, key, value, slope=0.1, sink=0.5)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1.0, 0.0], 0.0),
        ([0.5, 0.5], math.log(2)),
        ([0.25, 0.75], -0.25 * math.log(0.25) - 0.75 * math.log(0.75)),
        ([0.2, 0.2], math.log(2)),  # the rest is on a sink: the two keys are still equal
        ([0.0, 0.0], 0.0),
    ],
)
def test_entropy_by_hand(weights: list[float], expected: float) -> None:
    terms_below_one = of_a_sum(2, np.float64)
    assert entropy(np.array([weights]))[0] == pytest.approx(expected, abs=terms_below_one)


def entropy_bound(weights: Floats, apart: Floats) -> Floats:
    """How far entropies can be apart if each weight is `apart`.

    H = -sum_j p_j ln p_j with p = w / m, so dH = -sum_j dp_j ln p_j with |dp_j| <= apart_j / m + p_j
    sum(apart) / m. Twice that covers the second order. The sums of the entropy itself add their rounding,
    relative to the size of their terms.
    """
    mass = weights.sum(axis=-1, keepdims=True)
    shares = weights / mass
    logs = np.abs(np.log(shares, out=np.zeros_like(shares), where=shares > 0))
    moved = (apart + shares * apart.sum(axis=-1, keepdims=True)) / mass
    terms = (shares * (logs + np.abs(np.log(mass)))).sum(axis=-1) + np.abs(np.log(mass[:, 0])) + 1
    bound: Floats = 2 * (moved * logs).sum(axis=-1) + of_a_sum(weights.shape[-1], np.float64) * terms
    return bound


@pytest.mark.parametrize("first", [0, 5])
def test_statistics_by_blocks_equal_those_of_the_whole_matrix(first: int) -> None:
    tokens = 2 * BLOCK_ROWS + 7
    head = random_head(tokens)
    scoring: dict[str, Any] = {"scale": 1.0, "alibi_slopes": [head.slope], "sinks": [head.sink]}
    query, key, value = (each[None, None] for each in (head.query, head.key, head.value))
    case = Case(query, key, value, {"mask": at.Causal(), **scoring})
    weights: Floats = at.reference.weights(query, key, mask=at.Causal(), **scoring)[0, 0, first:]
    bound = error_bound(case, arithmetic=np.float64, output=np.float64).weights[0, 0, first:]
    apart = 2 * bound  # two computations, each within the bound
    statistics = row_statistics(head, first)
    np.testing.assert_array_equal(statistics.max_key, weights.argmax(axis=-1))
    assert_within(statistics.max_weight, weights.max(axis=-1), apart.max(axis=-1), "max_weight")
    mass = weights.sum(axis=-1)
    assert_within(statistics.mass, mass, apart.sum(axis=-1) + of_a_sum(tokens, np.float64) * mass, "mass")
    assert_within(statistics.entropy, entropy(weights), entropy_bound(weights, apart), "entropy")
