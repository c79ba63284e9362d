"""Wrong answers to exercise 1."""

import math

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import softmax


@planted(1, "softmax", "exponentials overflow")
def no_shift(scores):
    e = np.exp(scores)
    return e / np.sum(e, axis=-1, keepdims=True)


@planted(1, "softmax", "exponentials overflow or vanish")
def no_shift_but_empty_rows(scores):
    e = np.exp(scores)
    s = e.sum(-1, keepdims=True)
    s[np.isneginf(scores).all(-1)] = 1
    return e / s


@planted(1, "softmax", "over the whole array")
def over_everything(scores):
    e = np.exp(scores - scores.max())
    return e / e.sum()


@planted(1, "softmax", "first axis")
def down_the_columns(scores):
    top = scores.max(axis=0)
    top = np.where(np.isinf(top), 0, top)
    e = np.exp(scores - top)
    return e / e.sum(axis=0)


@planted(1, "softmax", "a row of only -inf becomes NaN")
def stable_but_empty_rows_are_nan(scores):
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


@planted(1, "softmax", "equal weights")
def empty_rows_are_uniform(scores):
    scores = np.where(np.isneginf(scores), -1e30, scores)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@planted(1, "softmax", "largest score of the whole array")
def one_shift_for_all(scores):
    e = np.exp(scores - np.max(scores))
    s = e.sum(axis=-1, keepdims=True)
    return np.divide(e, s, out=np.zeros_like(e), where=s > 0)


@planted(1, "softmax", "not divided by their sum")
def not_normalized(scores):
    return np.exp(scores)


@planted(1, "softmax", "powers of 2")
def base_two(scores):
    top = scores.max(-1, keepdims=True)
    e = np.exp2(scores - np.where(np.isinf(top), 0, top))
    s = e.sum(-1, keepdims=True)
    return e / np.where(s == 0, 1, s)


@planted(1, "softmax", "sign in the exponent")
def turned_around(scores):
    return softmax(-scores)


@planted(1, "softmax", "sigmoid")
def a_sigmoid_each(scores):
    return 1.0 / (1.0 + np.exp(-scores))


@planted(1, "softmax", "logarithms of the weights")
def log_softmax(scores):
    return (
        scores
        - np.log(np.exp(scores - scores.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - scores.max(-1, keepdims=True)
    )


@planted(1, "softmax", "exponential is missing")
def shares_of_scores(scores):
    return scores / np.sum(scores, axis=-1, keepdims=True)


@planted(1, "softmax", "has shape")
def keeps_one_row(scores):
    return softmax(scores)[0]


@planted(1, "softmax", "do not sum to 1")
def a_little_off(scores):
    return softmax(scores) * 0.9


@planted(1, "attention", "not scaled")
def unscaled(query, key, value):
    weights = softmax(query @ key.T)
    return weights @ value, weights


@planted(1, "attention", "not by its square root")
def divided_by_dim(query, key, value):
    weights = softmax(query @ key.T / query.shape[-1])
    return weights @ value, weights


@planted(1, "attention", "multiplied by the square root")
def multiplied(query, key, value):
    weights = softmax(query @ key.T * math.sqrt(query.shape[-1]))
    return weights @ value, weights


@planted(1, "attention", "square root of the number of keys")
def by_the_number_of_keys(query, key, value):
    weights = softmax(query @ key.T / np.sqrt(key.shape[0]))
    return weights @ value, weights


@planted(1, "attention", "runs over the queries")
def over_queries(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    e = np.exp(scores - scores.max(axis=0))
    weights = e / e.sum(axis=0)
    return weights @ value, weights


@planted(1, "attention", "weights and the output are swapped")
def swapped(query, key, value):
    weights = softmax(query @ key.T / np.sqrt(query.shape[-1]))
    return weights, weights @ value


@planted(1, "attention", "expected 2: (output, weights)")
def output_alone(query, key, value):
    return softmax(query @ key.T / np.sqrt(query.shape[-1])) @ value


@planted(1, "attention", "second result is the scores")
def scores_for_weights(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(scores) @ value, scores


@planted(1, "attention", "scale comes after the softmax")
def scaled_late(query, key, value):
    weights = softmax(query @ key.T) / np.sqrt(query.shape[-1])
    return weights @ value, weights


@planted(1, "attention", "raises ValueError")
def not_transposed(query, key, value):
    weights = softmax(query @ key / np.sqrt(query.shape[-1]))
    return weights @ value, weights


@planted(1, "attention", "exponentials overflow")
def naive_softmax(query, key, value):
    e = np.exp(query @ key.T / np.sqrt(query.shape[-1]))
    weights = e / e.sum(axis=1, keepdims=True)
    return weights @ value, weights


@planted(1, "attention", "softmax is missing")
def linear(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return scores @ value, scores


@planted(1, "softmax_backward", "depend on its own score alone", stretch=True)
def diagonal(weights, upstream):
    return upstream * weights * (1 - weights)


@planted(1, "softmax_backward", "through the sum is missing", stretch=True)
def no_sum(weights, upstream):
    return weights * upstream
