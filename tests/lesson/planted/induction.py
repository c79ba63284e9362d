"""Wrong answers to exercise 10."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import needed_gap


def places(tokens, pick):
    for row, token in enumerate(tokens):
        earlier = [j for j in range(row) if tokens[j] == token]
        if earlier:
            yield row, pick(earlier)


def mean_weight(weights, pairs, count=None):
    pairs = list(pairs)
    if not pairs:
        return np.zeros(len(weights))
    return sum(weights[:, i, j] for i, j in pairs) / (count or len(pairs))


@planted(10, "induction_score", "the one after it")
def on_the_word_itself(weights, tokens):
    return mean_weight(weights, places(tokens, max))


@planted(10, "induction_score", "the last one before the row")
def after_the_first(weights, tokens):
    return mean_weight(weights, ((i, j + 1) for i, j in places(tokens, min)))


@planted(10, "induction_score", "rows and columns")
def columns(weights, tokens):
    return mean_weight(weights, ((j + 1, i) for i, j in places(tokens, max)))


@planted(10, "induction_score", "divided by all rows")
def over_all_rows(weights, tokens):
    return mean_weight(weights, ((i, j + 1) for i, j in places(tokens, max)), count=len(tokens))


@planted(10, "induction_score", "expected their mean")
def added_up(weights, tokens):
    return mean_weight(weights, ((i, j + 1) for i, j in places(tokens, max)), count=1)


@planted(10, "induction_score", "previous word")
def previous(weights, tokens):
    return np.array([np.diagonal(each, -1).mean() for each in weights])


@planted(10, "induction_score", "one per head")
def of_all_heads(weights, tokens):
    pairs = ((i, j + 1) for i, j in places(tokens, max))
    return np.repeat(mean_weight(weights, pairs).mean(), len(weights))


@planted(10, "induction_score", "its scores are 0")
def divides_by_nothing(weights, tokens):
    found = [weights[:, i, j + 1] for i, j in places(tokens, max)]
    return np.array(found).sum(axis=0) / len(found) if found else np.zeros(len(weights)) / np.zeros(1)


@planted(10, "needed_gap", "one half")
def of_the_count(others, share):
    return np.log(others)


@planted(10, "needed_gap", "counted once")
def of_one_other(others, share):
    return np.log(share) - np.log(1 - share)


@planted(10, "needed_gap", "turned round")
def turned_round(others, share):
    return np.log(others / share - others)


@planted(10, "needed_gap", "base 2")
def in_bits(others, share):
    return np.log2(others * share / (1 - share))


@planted(10, "needed_gap", "take the logarithm")
def without_the_logarithm(others, share):
    return others * share / (1 - share)


@planted(10, "needed_gap", "sign is wrong")
def negative(others, share):
    return -needed_gap(others, share)


@planted(10, "copied_words", "their weights add up", stretch=True)
def overwritten(weights, tokens, words):
    chances = np.zeros(words)
    for weight, token in zip(weights, tokens, strict=True):
        chances[token] = weight
    return chances
