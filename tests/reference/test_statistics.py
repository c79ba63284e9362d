"""Plain Python judges the reference's statistics, row by row."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from attnscope import reference
from attnscope.problem import describe, read_questions
from attnscope.result import Statistics
from tests import by_hand
from tests.problems import Case, problems

SMALL: dict[str, Any] = {"max_tokens": 9, "max_dim": 5, "formats": ("float64",)}


def close(found: Any, expected: float) -> bool:
    return math.isclose(float(found), expected, rel_tol=1e-9, abs_tol=1e-11)


def assert_row(seen: Statistics, index: tuple[int, ...], weights: list[float], labels: list[int]) -> None:
    keys = range(len(weights))
    position = index[2] + len(weights) - seen.entropy.shape[2]
    assert close(seen.entropy[index], -math.fsum(w * math.log(w) for w in weights if w > 0))
    assert close(seen.max_weight[index], max(weights, default=0.0))
    assert close(seen.first_mass[index], math.fsum(weights[:2]))
    distance = math.fsum(w * abs(position - j) for j, w in enumerate(weights))
    assert close(seen.mean_distance[index], distance)
    for segment in range(3):
        mass = math.fsum(weights[j] for j in keys if labels[j] == segment)
        assert seen.segment_mass is not None
        assert close(seen.segment_mass[index][segment], mass)


@given(problems(**SMALL, empty=False))
def test_the_reference_is_what_one_gets_by_hand(case: Case) -> None:
    alone = case.but(sinks=None)
    weights = by_hand.attention(*alone.arrays, **alone.options).weights  # each row sums to 1
    with_sinks = by_hand.attention(*case.arrays, **case.options).weights
    shape = describe(*case.arrays, **case.options)[0].shape
    labels = [0, *(int(i) % 3 for i in range(1, shape.key_len - 1)), 2][: shape.key_len]
    labels[-1] = 2  # so that there are three segments, whatever the number of keys
    block_map_size = min(3, shape.key_len)
    asked = read_questions(
        shape, segments=labels, first_keys=2, received=True, block_map_size=block_map_size, top_keys=1
    )
    _, seen = reference.statistics(*case.arrays, questions=asked, **case.options)
    for index in np.ndindex(*weights.shape[:3]):
        assert_row(seen, index, weights[index].tolist(), labels)
        sees_some = math.fsum(weights[index].tolist()) > 0
        if sees_some or case.options.get("sinks") is None:
            rest = 1 - math.fsum(with_sinks[index].tolist()) if sees_some else 0.0
            assert close(seen.sink_mass[index], rest)
    assert seen.received is not None
    assert seen.block_map is not None
    for b, h, j in np.ndindex(*weights.shape[:2], shape.key_len):
        assert close(seen.received[b, h, j], math.fsum(weights[b, h, :, j].tolist()))
    rows = seen.block_map.shape[2]
    for b, h, row, column in np.ndindex(*seen.block_map.shape):
        queries = [i for i in range(shape.query_len) if i * rows // shape.query_len == row]
        keys = [j for j in range(shape.key_len) if j * block_map_size // shape.key_len == column]
        mass = math.fsum(float(weights[b, h, i, j]) for i in queries for j in keys)
        assert close(seen.block_map[b, h, row, column], mass / len(queries))


def test_three_keys_are_worked_out_on_paper() -> None:
    log2 = np.log(2.0)  # scores 0, log 2, log 2: weights 1/5, 2/5, 2/5
    keys = np.array([[0.0], [log2], [log2]])
    _, seen = reference.statistics(np.array([[1.0]]), keys, keys)
    assert seen.entropy.item() == pytest.approx(np.log(5) - 0.8 * log2, rel=1e-14)
    assert seen.mean_distance.item() == pytest.approx(
        0.2 * 2 + 0.4 * 1, rel=1e-14
    )  # the query stands at key 2
    assert (seen.max_key.item(), seen.visible_keys.item()) == (1, 3)


def test_one_key_beside_a_sink_is_one_effective_key() -> None:
    one = np.array([[1.0]])
    output, seen = reference.statistics(0 * one, one, one, sinks=[0.0])
    assert (seen.entropy.item(), seen.max_weight.item()) == (0.0, 1.0)
    assert (seen.sink_mass.item(), output.item()) == (0.5, 0.5)
    assert seen.logsumexp.item() == pytest.approx(np.log(2), rel=1e-15)


def test_a_row_that_sees_only_its_sink_gives_it_everything() -> None:
    one = np.array([[1.0]])
    _, seen = reference.statistics(one, one, one, sinks=[3.0], mask=np.array([[False]]))
    assert (seen.sink_mass.item(), seen.entropy.item(), seen.max_key.item()) == (1.0, 0.0, -1)
