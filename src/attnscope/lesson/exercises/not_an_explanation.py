"""Exercise 4: reading weights, and why a weight is not an explanation.

Removing a key rescales the other weights. So if a key's value equals the mix of the others, the key can be
removed, whatever its weight.
"""

import numpy as np

from attnscope.lesson.attending import Array
from attnscope.lesson.exact import exact
from attnscope.lesson.exercises.entropy import EFFECTIVE, ENTROPY, TEMPERATURE
from attnscope.lesson.question import Arguments, Arrays, Draw, Exercise, Task

MOST_KEYS = 128  # more show nothing else, and each of them may have to be removed
MOST_DIMS = 128
CLEARLY = 10.0  # times what rounding can do: a change that is not rounding


def output_and_bound(query: Array, key: Array, value: Array) -> tuple[Array, float]:
    """The exact output, and how far float32 may be from it."""
    output = exact(query, key, value).output
    return output.value, float(np.max(output.bound))


def moved_without(index: int, query: Array, key: Array, value: Array) -> tuple[float, float]:
    """How far the output moves if a key is removed, and how far rounding alone could move it."""
    before, bound = output_and_bound(query, key, value)
    after, bound_after = output_and_bound(query, np.delete(key, index, 0), np.delete(value, index, 0))
    return float(np.abs(after - before).max()), bound + bound_after


def judged(_arguments: Arguments, came: Arrays) -> str | None:
    """What keeps the arrays from being such a counterexample."""
    query, key, value = came
    trouble = shapes(query, key, value)
    if trouble is not None:
        return trouble
    right = exact(query, key, value).weights
    weights, bound = right.value[0], float(np.max(right.bound))
    order = np.argsort(weights)
    second, heaviest = (int(index) for index in order[-2:])
    if weights[heaviest] - weights[second] <= 2 * bound:
        return (
            f"no key is the heaviest: the weights are {listed(weights)}, and keys {second} and {heaviest} "
            "have the same weight. One key must have more than every other."
        )
    lightest = np.flatnonzero(weights <= weights[order[0]] + 2 * bound)
    return removals(query, key, value, weights, heaviest, lightest)


def shapes(query: Array, key: Array, value: Array) -> str | None:
    """What keeps the arrays from being one query and several keys."""
    if query.ndim != 2 or len(query) != 1:
        return f"query has shape {query.shape}, expected (1, dim): one query."
    if key.ndim != 2 or key.shape[1] != query.shape[1]:
        return f"key has shape {key.shape}, expected (keys, {query.shape[1]}), as long as the query."
    if value.ndim != 2 or len(value) != len(key):
        return f"value has shape {value.shape}, expected ({len(key)}, value_dim): one for each key."
    if len(key) > MOST_KEYS or max(key.shape[1], value.shape[1]) > MOST_DIMS:
        return (
            f"key has shape {key.shape} and value {value.shape}: use at most {MOST_KEYS} keys of at most "
            f"{MOST_DIMS} numbers. Three keys are enough."
        )
    if not all(np.isfinite(array).all() for array in (query, key, value)):
        return "expected finite numbers: NaN and inf explain nothing."
    return too_little(query, key, value)


def too_little(query: Array, key: Array, value: Array) -> str | None:
    """Whether there are too few keys or numbers, or too few different ones."""
    if len(key) < 3:
        return (
            f"{len(key)} key{'s' * (len(key) != 1)} cannot do it: with two, removing one leaves only the "
            "other's value. Use at least three."
        )
    for name, array in (("query", query), ("value", value)):
        if not array.size:
            return f"{name} has shape {array.shape}: expected at least one number in each row."
    if np.ptp(value, axis=0).max() == 0:
        return (
            "all values are the same, so the output is the same whichever key is removed: the lightest "
            "key can be removed too."
        )
    return None


def removals(
    query: Array, key: Array, value: Array, weights: Array, heaviest: int, lightest: Array
) -> str | None:
    """Whether the heaviest key can be removed and none of the lightest."""
    moved, rounding = moved_without(heaviest, query, key, value)
    light = {int(index): moved_without(int(index), query, key, value) for index in lightest}
    if moved > rounding:
        if all(by <= most for by, most in light.values()):
            return (
                f"it is the other way round: the lightest key, {int(lightest[0])}, can be removed, but "
                f"without the heaviest, {heaviest}, the output moves by {moved:.3g}."
            )
        return (
            f"without the heaviest key, {heaviest}, whose weight is {weights[heaviest]:.3g}, the output "
            f"moves by {moved:.3g}; rounding to float32 can move it by {rounding:.1g} at most."
            f"{reason(value, weights, heaviest)}"
        )
    for index, (by, most) in light.items():
        if by <= CLEARLY * most:
            return (
                f"the lightest key, {index}, can be removed too: the output moves by {by:.1g} only, and "
                f"rounding can move it by {most:.1g}. Its weight is {weights[index]:.2g}: with more weight, "
                "or another value, it would matter."
            )
    return None


def reason(value: Array, weights: Array, heaviest: int) -> str:
    """Why the output moves, if it is a known mistake."""
    others = np.delete(value, heaviest, 0)
    share = np.delete(weights, heaviest)
    mixed = share @ others / share.sum()
    if not value[heaviest].any():
        return " Its value is 0, but mixing in a 0 shrinks the output: without it, the other weights grow."
    if np.allclose(value[heaviest], mixed):
        return ""
    if np.allclose(value[heaviest], others.mean(axis=0)):
        return " Its value is the plain mean of the others, but their weights are not equal."
    if np.allclose(value[heaviest], share @ others):
        return (
            " Its value is what the others add to the output; without it, their weights are larger: they "
            "sum to 1 again."
        )
    return ""


def listed(weights: Array) -> str:
    """The first weights in short."""
    shown = ", ".join(f"{weight:.3g}" for weight in weights[:8])
    return f"{shown}, ..." if len(weights) > 8 else shown


COUNTEREXAMPLE = Task(
    name="counterexample",
    parameters=(),
    results=("query", "key", "value"),
    draws=(Draw("", lambda rng, size: {}),),
    judged=judged,
)


def judged_twins(_arguments: Arguments, came: Arrays) -> str | None:
    """What keeps two queries from attending differently with the same output."""
    one, other, key, value = came
    trouble = shapes(one, key, value)
    if trouble is not None:
        return trouble.replace("query", "query_a")
    if other.shape != one.shape or not np.isfinite(other).all():
        return f"query_b has shape {other.shape}, expected finite numbers of shape {one.shape}, as query_a."
    of_one, of_other = (exact(query, key, value).weights.value for query in (one, other))
    apart = np.abs(of_one - of_other).sum() / 2
    if apart < 0.5:
        return (
            f"the queries give {apart:.2g} of their weight to different keys; expected at least half of it."
        )
    first, bound = output_and_bound(one, key, value)
    second, bound_of_second = output_and_bound(other, key, value)
    moved, rounding = float(np.abs(first - second).max()), bound + bound_of_second
    if moved > rounding:
        return f"the two outputs differ by {moved:.3g}; rounding to float32 allows {rounding:.1g} at most."
    return None


TWINS = Task(
    name="twins",
    parameters=(),
    results=("query_a", "query_b", "key", "value"),
    draws=(Draw("", lambda rng, size: {}),),
    judged=judged_twins,
)

EXERCISE = Exercise(
    4,
    "reading weights",
    (ENTROPY, EFFECTIVE, COUNTEREXAMPLE),
    (TEMPERATURE, TWINS),
    difficulty=2,
    minutes=35,
    after=(1,),
)
