"""Wrong answers to exercise 3."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import masked_softmax


def scores_of(query, key):
    return query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])


def plain_softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@planted(3, "masked_attention", "the mask came after the softmax, so the visible ones sum to less")
def masked_weights(query, key, value, visible):
    return (plain_softmax(scores_of(query, key)) * visible) @ value


@planted(3, "masked_attention", "the visible weights all vanish. Hide first")
def masked_and_divided(query, key, value, visible):
    weights = plain_softmax(scores_of(query, key)) * visible
    total = weights.sum(-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0) @ value


@planted(3, "masked_attention", "0 / 0 is left")
def masked_and_divided_by_zero(query, key, value, visible):
    weights = plain_softmax(scores_of(query, key)) * visible
    return weights / weights.sum(-1, keepdims=True) @ value


@planted(3, "masked_attention", "e^0 = 1")
def scores_times_mask(query, key, value, visible):
    return plain_softmax(scores_of(query, key) * visible) @ value


@planted(3, "masked_attention", "e^0 = 1")
def scores_where_zero(query, key, value, visible):
    return plain_softmax(np.where(visible, scores_of(query, key), 0)) @ value


@planted(3, "masked_attention", "visible makes no difference")
def no_mask(query, key, value, visible):
    return plain_softmax(scores_of(query, key)) @ value


@planted(3, "masked_attention", "inverted")
def inverted(query, key, value, visible):
    return masked_softmax(np.where(visible, -np.inf, scores_of(query, key))) @ value


@planted(3, "masked_attention", "a fully masked row is NaN")
def empty_rows_nan(query, key, value, visible):
    return plain_softmax(np.where(visible, scores_of(query, key), -np.inf)) @ value


@planted(3, "masked_attention", "averages the hidden values")
def finite_fill(query, key, value, visible):
    return plain_softmax(np.where(visible, scores_of(query, key), -1e9)) @ value


@planted(3, "masked_attention", "like -1e9 is added")
def finite_added(query, key, value, visible):
    return plain_softmax(scores_of(query, key) + (1 - visible) * -1e9) @ value


@planted(3, "masked_attention", "Only -inf is below every score")
def ten_thousand(query, key, value, visible):
    return plain_softmax(np.where(visible, scores_of(query, key), -10_000.0)) @ value


@planted(3, "masked_attention", "not scaled")
def unscaled(query, key, value, visible):
    return masked_softmax(np.where(visible, query @ key.swapaxes(-1, -2), -np.inf)) @ value


@planted(3, "masked_attention", "length of a value")
def scaled_by_value_dim(query, key, value, visible):
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(value.shape[-1])
    return masked_softmax(np.where(visible, scores, -np.inf)) @ value


@planted(3, "masked_attention", "runs over the queries")
def along_queries(query, key, value, visible):
    scores = np.where(visible, scores_of(query, key), -np.inf)
    return np.swapaxes(masked_softmax(np.swapaxes(scores, -1, -2)), -1, -2) @ value


@planted(3, "masked_attention", "raises ValueError")
def two_axes_only(query, key, value, visible):
    return masked_softmax(np.where(visible, query @ key.T / np.sqrt(query.shape[-1]), -np.inf)) @ value


@planted(3, "masked_attention", "the largest score that was subtracted is a hidden one")
def shifted_by_hidden(query, key, value, visible):
    scores = scores_of(query, key)
    e = np.exp(scores - scores.max(-1, keepdims=True)) * visible
    return e / e.sum(-1, keepdims=True) @ value


@planted(3, "masked_attention", "Each row has its own largest")
def one_shift_for_all(query, key, value, visible):
    scores = np.where(visible, scores_of(query, key), -np.inf)
    e = np.exp(scores - scores.max())
    empty = ~visible.any(-1, keepdims=True)
    return np.where(empty, 0, e / np.where(empty, 1, e.sum(-1, keepdims=True))) @ value


@planted(3, "masked_attention", "overflow or vanish")
def unshifted(query, key, value, visible):
    e = np.where(visible, np.exp(scores_of(query, key)), 0)
    total = e.sum(-1, keepdims=True)
    empty = ~visible.any(-1, keepdims=True)
    return np.where(empty, 0, e / np.where(empty, 1, total)) @ value


@planted(3, "masked_attention", "averages the hidden values")
def empty_rows_average(query, key, value, visible):
    scores = np.where(visible, scores_of(query, key), -np.inf)
    scores = np.where(visible.any(-1, keepdims=True), scores, 0)
    return masked_softmax(scores) @ value


@planted(3, "masked_attention", "which the mask hides")
def mask_of_short_rows_alone(query, key, value, visible):
    scores = scores_of(query, key)
    return masked_softmax(np.where(visible | (key.shape[-2] > 32), scores, -np.inf)) @ value


@planted(3, "clean_attention", "0 times NaN is NaN", stretch=True)
def poisoned(query, key, value, visible):
    return masked_softmax(np.where(visible, scores_of(query, key), -np.inf)) @ value
