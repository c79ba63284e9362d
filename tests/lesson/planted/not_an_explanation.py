"""Wrong answers to exercise 4."""

import numpy as np

from tests.lesson.planted.registry import planted


def with_weights(weights, values):
    return (
        np.array([[1.0]]),
        np.log(np.array(weights, dtype=float))[:, None],
        np.array(values, dtype=float)[:, None],
    )


@planted(4, "counterexample", "no key is the heaviest")
def all_equal():
    return with_weights([1, 1, 1], [2, 1, 3])


@planted(4, "counterexample", "all values are the same")
def same_values():
    return with_weights([5, 3, 1], [2, 2, 2])


@planted(4, "counterexample", "the other weights grow")
def value_of_zero():
    return with_weights([6, 3, 1], [0, 1, 2])


@planted(4, "counterexample", "plain mean of the others")
def plain_mean():
    return with_weights([6, 3, 1], [3, 2, 4])


@planted(4, "counterexample", "the other way round")
def lightest_instead():
    return with_weights([6, 3, 1], [1, 4, 2])


@planted(4, "counterexample", "with two, removing one")
def two_keys():
    return with_weights([3, 1], [1, 2])


@planted(4, "counterexample", "expected (1, dim)")
def flat_query():
    query, key, value = with_weights([6, 3, 1], [3, 4, 0])
    return query[0], key, value


@planted(4, "counterexample", "can be removed too")
def weightless():
    return with_weights([6, 3, 1e-9], [4, 4, 0])


@planted(4, "counterexample", "finite numbers")
def infinite():
    return with_weights([6, 3, 0], [4, 4, 0])


@planted(4, "counterexample", "without the heaviest key")
def arbitrary():
    return with_weights([6, 3, 1], [7, 1, -2])


@planted(4, "counterexample", "expected 3: (query, key, value)")
def two_arrays():
    return with_weights([6, 3, 1], [3, 4, 0])[1:]


@planted(4, "counterexample", "their weights are larger")
def what_they_add():
    return with_weights([6, 3, 1], [1.2, 4, 0])


@planted(4, "counterexample", "one for each key")
def a_value_too_few():
    query, key, value = with_weights([6, 3, 1], [3, 4, 0])
    return query, key, value[:2]


@planted(4, "twins", "to different keys", stretch=True)
def the_same_twice():
    query, key, value = with_weights([6, 3, 1], [3, 4, 0])
    return query, query, key, value


@planted(4, "twins", "the two outputs differ", stretch=True)
def not_twins():
    query, key, value = with_weights([60, 3, 1], [3, 4, 0])
    return query, -query, key, value
