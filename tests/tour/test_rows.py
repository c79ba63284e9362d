"""Row statistics against matrices small enough to write down."""

import math
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.models import HeadReading
from attnscope.tour.rows import BLOCK_ROWS, entropy, row_statistics


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
        ([0.2, 0.2], math.log(2)),  # the rest lies on a sink: two keys all the same
        ([0.0, 0.0], 0.0),
    ],
)
def test_entropy_by_hand(weights: list[float], expected: float) -> None:
    assert entropy(np.array([weights]))[0] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("first", [0, 5])
def test_statistics_by_blocks_equal_those_of_the_whole_matrix(first: int) -> None:
    tokens = 2 * BLOCK_ROWS + 7
    head = random_head(tokens)
    scoring: dict[str, Any] = {"scale": 1.0, "alibi_slopes": [head.slope], "sinks": [head.sink]}
    weights = at.reference.weights(head.query, head.key, mask=at.Causal(), **scoring)
    statistics = row_statistics(head, first)
    np.testing.assert_array_equal(statistics.max_key, weights[first:].argmax(axis=-1))
    np.testing.assert_allclose(statistics.max_weight, weights[first:].max(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(statistics.mass, weights[first:].sum(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(statistics.entropy, entropy(weights)[first:], rtol=1e-10)
