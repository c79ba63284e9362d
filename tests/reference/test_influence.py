"""Removing a key, for real, moves the output by what influence() says."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.problems import Case
from tests.tolerance import error_bound

RNG = np.random.default_rng(4)
QUERY, KEY, VALUE = (RNG.standard_normal((2, h, n, 6)) for h, n in ((4, 3), (2, 9), (2, 9)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": at.Causal()},
        {"sinks": np.array([0.0, 1.0, 9.0, -9.0])},
        {"scale": 40.0},
        {"softcap": 1.0},
    ],
)
def test_the_change_is_what_hiding_the_key_does(options: dict[str, Any]) -> None:
    seen = at.observation.influence(QUERY, KEY, VALUE, **options)
    np.testing.assert_array_equal(seen.weight, at.reference.weights(QUERY, KEY, **options))
    output = at.reference.attention(QUERY, KEY, VALUE, **options)
    mask = options.get("mask", at.KeyLengths(9))
    bound = error_bound(Case(QUERY, KEY, VALUE, options), arithmetic=np.float64, output=np.float64)
    wrong_by = (
        4 * np.sqrt(VALUE.shape[-1]) * bound.output.max()
    )  # two outputs, each divided by a half at the least
    for key in range(9):
        hidden = np.ones(9, bool)
        hidden[key] = False
        without = at.reference.attention(QUERY, KEY, VALUE, **options | {"mask": mask & at.Dense(hidden)})
        moved = np.linalg.norm(output - without, axis=-1)
        np.testing.assert_allclose(seen.change[..., key], moved, rtol=0, atol=wrong_by)


def test_the_heaviest_key_may_change_nothing_and_the_lightest_much() -> None:
    value = np.array([[5.0, 0.0], [5.0, 0.0], [5.0, 900.0]])
    seen = at.observation.influence(np.array([[1.0]]), np.array([[2.0], [2.0], [-3.0]]), value)
    assert seen.weight[0].argmin() == 2
    assert seen.change[0].argmax() == 2
    alike = at.observation.influence(np.array([[1.0]]), np.array([[3.0], [0.0]]), np.array([[7.0], [7.0]]))
    assert alike.weight[0, 0] > 0.9
    assert alike.change.max() < 1e-14


def test_the_only_visible_key_leaves_nothing() -> None:
    seen = at.observation.influence(np.array([[1.0]]), np.array([[1.0]]), np.array([[3.0, 4.0]]))
    assert seen.change.item() == 5.0


def test_hidden_keys_have_no_influence_and_a_table_names_the_heaviest() -> None:
    seen = at.observation.influence(QUERY[0, 0], KEY[0, 0], VALUE[0, 0], mask=at.KeyLengths(4))
    assert not seen.change[:, 4:].any()
    assert not seen.weight[:, 4:].any()
    assert f"{seen.weight[0].argmax():>5}" in repr(seen).splitlines()[1]
