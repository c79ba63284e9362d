"""How far statistics of weights may be from the reference's: derived from how far each weight may be.

A weight w[j] may be wrong by b[j] (tests/tolerance.py). Sums of weights are then wrong by at most the sum
of b, a mean distance by the sum of b times distance over the mass, and an entropy by what its terms -w ln w
can change within [w - b, w + b]. Evaluating each in float32 adds the rounding of its own sum.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope import reference
from attnscope.problem import Questions
from attnscope.reference.inputs import read
from attnscope.reference.statistics import pooled, segment_mass
from attnscope.result import Statistics
from tests.problems import Case
from tests.tolerance import assert_within, error_bound, of_a_sum, unit

Floats = NDArray[np.float64]
U = unit(np.float32)


def assert_statistics(seen: Statistics, case: Case, asked: Questions) -> None:
    """The reference judges every statistic."""
    _, expected = reference.statistics(*case.arrays, questions=asked, **case.options)
    bound = error_bound(case, arithmetic=np.float32, output=np.float32)
    assert_within(seen.logsumexp, expected.logsumexp, bound.logsumexp, "logsumexp")
    assert_sink_mass(seen, expected, case, bound.logsumexp)
    keys_alone = case.but(sinks=None)  # statistics are over the visible keys, renormalised
    weights = reference.weights(case.query, case.key, **keys_alone.options)
    wrong_by = error_bound(keys_alone, arithmetic=np.float32, output=np.float32).weights
    assert_rows(seen, expected, case, weights, wrong_by, asked)
    assert_strongest(seen, expected, weights, wrong_by)
    assert_surveyed(seen, expected, weights, wrong_by, asked)


def assert_sink_mass(seen: Statistics, expected: Statistics, case: Case, logsumexp_wrong_by: Floats) -> None:
    """exp(sink - logsumexp): the error of the exponent, and a few roundings relative to the largest score."""
    sinks = case.options.get("sinks")
    if sinks is None:
        whole = ~np.isnan(expected.logsumexp)
        assert (np.asarray(seen.sink_mass)[whole] == 0).all()
        return
    mass = np.asarray(expected.sink_mass)
    exponent = np.abs(np.asarray(sinks, np.float64))[:, None] + np.abs(np.nan_to_num(expected.logsumexp)) + 8
    assert_within(seen.sink_mass, mass, mass * np.expm1(logsumexp_wrong_by + 8 * U * exponent), "sink_mass")


def assert_rows(
    seen: Statistics, expected: Statistics, case: Case, weights: Floats, wrong_by: Floats, asked: Questions
) -> None:
    inputs = read(*case.arrays, **case.options)[2]
    sums = of_a_sum(weights.shape[-1])
    np.testing.assert_array_equal(seen.visible_keys, expected.visible_keys)

    def close(name: str, by: Floats, size: Any) -> None:
        assert_within(
            getattr(seen, name),
            np.asarray(getattr(expected, name)),
            by + sums * (np.asarray(size) + by),
            name,
        )

    close("entropy", entropy_bound(weights, wrong_by), entropy_size(weights))
    close("max_weight", wrong_by.max(axis=-1, initial=0), expected.max_weight)
    close("first_mass", wrong_by[..., : asked.first_keys].sum(axis=-1), expected.first_mass)
    distance = np.abs(inputs.query_positions[:, None] - inputs.key_positions)
    mass = np.maximum(weights.sum(axis=-1), np.finfo(np.float64).tiny)
    share_wrong = np.minimum(wrong_by.sum(axis=-1) / mass, 1 - 1e-12)
    far = (wrong_by * distance).sum(axis=-1) / mass + expected.mean_distance * share_wrong
    close("mean_distance", far / (1 - share_wrong), expected.mean_distance)
    if asked.labels is not None:
        close("segment_mass", segment_mass(wrong_by, asked), expected.segment_mass)


def entropy_bound(weights: Floats, wrong_by: Floats) -> Floats:
    """-w ln w has its peak at w = 1/e: within an interval, its extremes are at the ends or at the peak."""
    low, high = np.clip(weights - wrong_by, 0, 1), np.clip(weights + wrong_by, 0, 1)
    here = surprise(weights)
    furthest = np.maximum(np.abs(surprise(low) - here), np.abs(surprise(high) - here))
    peak = (low < np.exp(-1)) & (high > np.exp(-1))
    total: Floats = np.where(peak, np.maximum(furthest, np.exp(-1) - here), furthest).sum(axis=-1)
    return total


def surprise(weights: Floats) -> Floats:
    terms: Floats = -weights * np.log(np.where(np.equal(weights, 0), 1, weights))
    return terms


def entropy_size(weights: Floats) -> Floats:
    """What is added up: ln(1 / largest), and how far below the largest each key is."""
    there = np.where(np.equal(weights, 0), 1, weights)
    top = np.maximum(weights.max(axis=-1, initial=0), np.finfo(np.float64).tiny)
    below: Floats = (weights * np.abs(np.log(there) - np.log(top)[..., None])).sum(axis=-1)
    size: Floats = below + np.abs(np.log(top)) * weights.sum(axis=-1) + 1
    return size


def assert_strongest(seen: Statistics, expected: Statistics, weights: Floats, wrong_by: Floats) -> None:
    """Keys may change places only where their weights may."""
    pairs = [(seen.max_key[..., None], seen.max_weight[..., None], expected.max_key[..., None])]
    if expected.top_keys is not None:
        assert seen.top_keys is not None
        pairs.append((seen.top_keys, np.asarray(seen.top_weights), expected.top_keys))
    largest = wrong_by.max(axis=-1, initial=0)[..., None]
    for keys, found, should in pairs:
        np.testing.assert_array_equal(keys < 0, should < 0)
        if weights.shape[-1] == 0:
            continue
        there = keys >= 0
        claimed, best, by = (
            np.where(there, np.take_along_axis(array, np.maximum(each, 0).astype(np.int64), axis=-1), 0.0)
            for array, each in ((weights, keys), (weights, should), (wrong_by, keys))
        )
        rounding = 8 * U * (best + largest)
        assert_within(found, claimed, np.where(there, by + rounding, 0), "weights of the strongest keys")
        assert_within(found, best, np.where(there, largest + rounding, 0), "weights of the strongest ranks")
        ordered = np.sort(np.where(there, keys, -1 - np.arange(keys.shape[-1])), axis=-1)
        assert (np.diff(ordered, axis=-1) != 0).all(), "a key is named twice"


def assert_surveyed(
    seen: Statistics, expected: Statistics, weights: Floats, wrong_by: Floats, asked: Questions
) -> None:
    rounding = of_a_sum(sum(weights.shape[-2:]))
    if asked.received:
        counted = (
            np.ones(()) if asked.counted is None else np.abs(asked.counted[..., None]).astype(np.float64)
        )
        given, by = (weights * counted).sum(axis=-2), (wrong_by * counted).sum(axis=-2)
        assert_within(seen.received, np.asarray(expected.received), by + rounding * (given + by), "received")
    if asked.block_map_size is not None:
        by = pooled(wrong_by, asked.block_map_size)
        assert_within(
            seen.block_map,
            np.asarray(expected.block_map),
            by + rounding * (np.asarray(expected.block_map) + by),
            "map",
        )
