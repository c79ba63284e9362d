"""Wrong answers to exercise 2."""

import math

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import softmax


@planted(2, "attention", "not scaled")
def unscaled(query, key, value):
    weights = softmax(query @ key.T)
    return weights @ value, weights


@planted(2, "attention", "not by its square root")
def divided_by_dim(query, key, value):
    weights = softmax(query @ key.T / query.shape[-1])
    return weights @ value, weights


@planted(2, "attention", "multiplied by the square root")
def multiplied(query, key, value):
    weights = softmax(query @ key.T * math.sqrt(query.shape[-1]))
    return weights @ value, weights


@planted(2, "attention", "square root of the number of keys")
def by_the_number_of_keys(query, key, value):
    weights = softmax(query @ key.T / np.sqrt(key.shape[0]))
    return weights @ value, weights


@planted(2, "attention", "runs over the queries")
def over_queries(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    e = np.exp(scores - scores.max(axis=0))
    weights = e / e.sum(axis=0)
    return weights @ value, weights


@planted(2, "attention", "weights and the output are swapped")
def swapped(query, key, value):
    weights = softmax(query @ key.T / np.sqrt(query.shape[-1]))
    return weights, weights @ value


@planted(2, "attention", "expected 2: (output, weights)")
def output_alone(query, key, value):
    return softmax(query @ key.T / np.sqrt(query.shape[-1])) @ value


@planted(2, "attention", "second result is the scores")
def scores_for_weights(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(scores) @ value, scores


@planted(2, "attention", "scale comes after the softmax")
def scaled_late(query, key, value):
    weights = softmax(query @ key.T) / np.sqrt(query.shape[-1])
    return weights @ value, weights


@planted(2, "attention", "raises ValueError")
def not_transposed(query, key, value):
    weights = softmax(query @ key / np.sqrt(query.shape[-1]))
    return weights @ value, weights


@planted(2, "attention", "exponentials overflow")
def naive_softmax(query, key, value):
    e = np.exp(query @ key.T / np.sqrt(query.shape[-1]))
    weights = e / e.sum(axis=1, keepdims=True)
    return weights @ value, weights


@planted(2, "attention", "softmax is missing")
def linear(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return scores @ value, scores


@planted(2, "softmax_backward", "depend on its own score alone", stretch=True)
def diagonal(weights, upstream):
    return upstream * weights * (1 - weights)


@planted(2, "softmax_backward", "through the sum is missing", stretch=True)
def no_sum(weights, upstream):
    return weights * upstream
