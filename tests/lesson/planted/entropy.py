"""Wrong answers to exercise 4."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import entropy


def plogp(weights, log=np.log):
    return weights * log(np.where(weights > 0, weights, 1))


@planted(4, "entropy", "0 log 0 becomes NaN")
def log_of_zero(weights):
    return -np.sum(weights * np.log(weights), axis=-1)


@planted(4, "entropy", "in bits, from a logarithm to base 2")
def bits(weights):
    return -plogp(weights, np.log2).sum(-1)


@planted(4, "entropy", "to base 10")
def base_ten(weights):
    return -plogp(weights, np.log10).sum(-1)


@planted(4, "entropy", "the sign is missing")
def negative(weights):
    return plogp(weights).sum(-1)


@planted(4, "entropy", "sum over all rows")
def over_all(weights):
    return -plogp(weights).sum()


@planted(4, "entropy", "mean over all rows")
def averaged(weights):
    return np.mean(-plogp(weights).sum(-1))


@planted(4, "entropy", "along the first axis")
def first_axis(weights):
    return -plogp(weights).sum(0)


@planted(4, "entropy", "mean over the keys")
def mean_over_keys(weights):
    return -plogp(weights).mean(-1)


@planted(4, "entropy", "normalized entropy")
def normalized(weights):
    return -plogp(weights).sum(-1) / np.log(weights.shape[-1])


@planted(4, "entropy", "not weighted")
def unweighted(weights):
    return -np.log(np.where(weights > 0, weights, 1)).sum(-1)


@planted(4, "entropy", "so large that it shows")
def large_epsilon(weights):
    return -(weights * np.log(weights + 1e-3)).sum(-1)


@planted(4, "entropy", "another measure of concentration")
def gini(weights):
    return 1 - np.square(weights).sum(-1)


@planted(4, "entropy", "the summed axis is kept")
def keepdims(weights):
    return -plogp(weights).sum(-1, keepdims=True)


@planted(4, "effective_keys", "expected exp(entropy)")
def entropy_itself(weights):
    return entropy(weights)


@planted(4, "effective_keys", "same base")
def two_to_the_nats(weights):
    return 2 ** entropy(weights)


@planted(4, "effective_keys", "1 / sum of w^2")
def participation(weights):
    return 1 / (weights**2).sum(-1)


@planted(4, "effective_keys", "keys with any weight are counted")
def counted(weights):
    return np.count_nonzero(weights, axis=-1)


@planted(4, "effective_keys", "sign of the entropy")
def inverse(weights):
    return np.exp(-entropy(weights))


@planted(4, "effective_keys", "1 / the largest weight")
def by_the_largest(weights):
    return 1 / weights.max(axis=-1)


@planted(4, "temperature_for", "not multiplied", stretch=True)
def inverse_temperature(scores, target):
    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = np.sqrt(low * high)
        e = np.exp(scores * middle - np.max(scores * middle))
        low, high = (middle, high) if entropy(e / e.sum()) > target else (low, middle)
    return middle


@planted(4, "temperature_for", "go on halving", stretch=True)
def a_few_steps(scores, target):
    low, high = 1e-3, 1e3
    for _ in range(16):
        middle = np.sqrt(low * high)
        e = np.exp(scores / middle - np.max(scores / middle))
        low, high = (middle, high) if entropy(e / e.sum()) < target else (low, middle)
    return middle
