"""Wrong answers to exercise 1."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import lookup_gradient, softmax


@planted(1, "softmax", "exponentials overflow or vanish")
def no_shift(scores):
    e = np.exp(scores)
    return e / np.sum(e, axis=-1, keepdims=True)


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


@planted(1, "softmax", "scores are clipped")
def clipped(scores):
    e = np.exp(np.clip(scores, -500, 500))
    return e / e.sum(-1, keepdims=True)


@planted(1, "soft_lookup", "beta is left out")
def without_beta(query, keys, values, beta):
    return softmax(keys @ query) @ values


@planted(1, "soft_lookup", "multiplied by it")
def divided_by_beta(query, keys, values, beta):
    return softmax(keys @ query / (beta or 1)) @ values


@planted(1, "soft_lookup", "a dictionary")
def the_best_key(query, keys, values, beta):
    return values[np.argmax(keys @ query)]


@planted(1, "soft_lookup", "plain average")
def averaged(query, keys, values, beta):
    return values.mean(0)


@planted(1, "soft_lookup", "softmax is missing")
def by_scores(query, keys, values, beta):
    return (beta * keys @ query) @ values


@planted(1, "soft_lookup", "before the softmax")
def beta_on_the_weights(query, keys, values, beta):
    return (beta * softmax(keys @ query)) @ values


@planted(1, "soft_lookup", "dot products")
def by_distance(query, keys, values, beta):
    return softmax(-beta * np.sqrt(((keys - query) ** 2).sum(-1))) @ values


@planted(1, "soft_lookup", "cosines")
def by_angle(query, keys, values, beta):
    cosine = keys @ query / np.linalg.norm(query) / np.linalg.norm(keys, axis=1)
    return softmax(beta * cosine) @ values


@planted(1, "soft_lookup", "outside the values")
def not_shares(query, keys, values, beta):
    return 3 * softmax(beta * keys @ query) @ values


@planted(1, "lookup_gradient", "through the sum, all keys matter", stretch=True)
def of_its_own_key(query, keys, values, beta):
    return beta * np.einsum("j,jc,jd->cd", softmax(beta * keys @ query), values, keys)


@planted(1, "lookup_gradient", "transposed", stretch=True)
def transposed(query, keys, values, beta):
    return lookup_gradient(query, keys, values, beta).T
