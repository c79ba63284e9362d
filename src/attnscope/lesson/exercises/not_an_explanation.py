"""Exercise 6: a weight is not an explanation.

Removing a key rescales the other weights; so a key whose value is what the others mix anyway can go, whatever its weight.
"""

import numpy as np

from attnscope.lesson.attending import Array
from attnscope.lesson.question import Arguments, Arrays, Draw, Exercise, Task
from attnscope.lesson.rounding import attended, given
from attnscope.reference import attention as exact_attention
from attnscope.reference import weights as exact_weights

PLAINLY = 10.0  # times what rounding can do: a change that is none of it


def output_and_bound(query: Array, key: Array, value: Array) -> tuple[Array, float]:
    """The exact output, and how far float32 may be from it."""
    bound = attended(given(query), given(key), given(value)).output
    return exact_attention(query, key, value), float(bound.max())


def moved_without(index: int, query: Array, key: Array, value: Array) -> tuple[float, float]:
    """How far the output moves when a key is removed, and how far rounding alone could move it."""
    before, bound = output_and_bound(query, key, value)
    after, bound_after = output_and_bound(query, np.delete(key, index, 0), np.delete(value, index, 0))
    return float(np.abs(after - before).max()), bound + bound_after


def judged(_arguments: Arguments, came: Arrays) -> str | None:
    """Whether this is such a counterexample."""
    query, key, value = came
    trouble = shapes(query, key, value)
    if trouble is not None:
        return trouble
    weights = exact_weights(query, key)[0]
    bound = float(attended(given(query), given(key), given(value)).weights.max())
    order = np.argsort(weights)
    heaviest = int(order[-1])
    if weights[heaviest] - weights[order[-2]] <= 2 * bound:
        return (
            f"no key is the heaviest: the weights are {listed(weights)}, and keys {int(order[-2])} and {heaviest} have "
            "the same. One must have more than every other."
        )
    return removals(
        query, key, value, weights, heaviest, np.flatnonzero(weights <= weights[order[0]] + 2 * bound)
    )


def shapes(query: Array, key: Array, value: Array) -> str | None:
    """Whether these are the arrays of one query and several keys."""
    if query.ndim != 2 or len(query) != 1:
        return f"query has shape {query.shape}, expected (1, dim): one query."
    if key.ndim != 2 or key.shape[1] != query.shape[1]:
        return f"key has shape {key.shape}, expected (keys, {query.shape[1]}), as long as the query."
    if value.ndim != 2 or len(value) != len(key):
        return f"value has shape {value.shape}, expected ({len(key)}, value_dim): one for each key."
    if not all(np.isfinite(array).all() for array in (query, key, value)):
        return "expected finite numbers: NaN and inf explain nothing."
    return too_little(query, key, value)


def too_little(query: Array, key: Array, value: Array) -> str | None:
    """Whether there are too few keys or numbers, or too few different ones."""
    if len(key) < 3:
        return (
            f"{len(key)} key{'s' * (len(key) != 1)} cannot do it: with two, what is left when one goes is the other's value. "
            "Use at least three."
        )
    for name, array in (("query", query), ("value", value)):
        if not array.size:
            return f"{name} has shape {array.shape}: expected at least one number in each row."
    if np.ptp(value, axis=0).max() == 0:
        return "all values are the same, so the output is the same whatever is removed: the lightest key can go too."
    return None


def removals(
    query: Array, key: Array, value: Array, weights: Array, heaviest: int, lightest: Array
) -> str | None:
    """Whether the heaviest can go and none of the lightest."""
    moved, rounding = moved_without(heaviest, query, key, value)
    light = {int(index): moved_without(int(index), query, key, value) for index in lightest}
    if moved > rounding:
        if all(by <= most for by, most in light.values()):
            return (
                f"it is the other way round: the lightest key, {int(lightest[0])}, can be removed, but without the heaviest, "
                f"{heaviest}, the output moves by {moved:.3g}."
            )
        why = reason(value, weights, heaviest)
        return (
            f"without the heaviest key, {heaviest}, which has the weight {weights[heaviest]:.3g}, the output moves by "
            f"{moved:.3g}; float32 would round by {rounding:.1g} at the most.{why}"
        )
    for index, (by, most) in light.items():
        if by <= PLAINLY * most:
            return (
                f"the lightest key, {index}, can be removed too: the output moves by {by:.1g} only, and rounding may do "
                f"{most:.1g}. Its weight is {weights[index]:.2g}: with more of it, or another value, it would matter."
            )
    return None


def reason(value: Array, weights: Array, heaviest: int) -> str:
    """Why the output moves, where it is a known mistake."""
    others = np.delete(value, heaviest, 0)
    share = np.delete(weights, heaviest)
    if not value[heaviest].any():
        return " Its value is 0, but to mix in a 0 shrinks the output: without it, the other weights grow."
    mixed = share @ others / share.sum()
    if np.allclose(value[heaviest], others.mean(axis=0)) and not np.allclose(value[heaviest], mixed):
        return " Its value is the plain mean of the others, but the others are not mixed with equal weights."
    if np.allclose(value[heaviest], share @ others) and not np.allclose(value[heaviest], mixed):
        return " Its value is what the others add to the output; without it, their weights are larger: they sum to 1 again."
    return ""


def listed(weights: Array) -> str:
    """Weights in short."""
    shown = ", ".join(f"{weight:.3g}" for weight in weights[:8])
    return f"{shown}, ..." if len(weights) > 8 else shown


COUNTEREXAMPLE = Task(
    name="counterexample",
    takes=(),
    gives=("query", "key", "value"),
    draws=(Draw("", lambda rng, size: {}),),
    judged=judged,
)


def judged_twins(_arguments: Arguments, came: Arrays) -> str | None:
    """Whether two queries attend differently and get the same."""
    one, other, key, value = came
    trouble = shapes(one, key, value)
    if trouble is not None:
        return trouble.replace("query", "query_a")
    if other.shape != one.shape or not np.isfinite(other).all():
        return f"query_b has shape {other.shape}, expected finite numbers of shape {one.shape}, as query_a."
    apart = np.abs(exact_weights(one, key) - exact_weights(other, key)).sum() / 2
    if apart < 0.5:
        return f"the two queries give {apart:.2g} of their weight to different keys; expected half of it at least."
    (first, bound), (second, bound_of_second) = (
        output_and_bound(query, key, value) for query in (one, other)
    )
    moved = float(np.abs(first - second).max())
    if moved > bound + bound_of_second:
        return f"the two outputs differ by {moved:.3g}; float32 would round by {bound + bound_of_second:.1g} at the most."
    return None


TWINS = Task(
    name="twins",
    takes=(),
    gives=("query_a", "query_b", "key", "value"),
    draws=(Draw("", lambda rng, size: {}),),
    judged=judged_twins,
)

EXERCISE = Exercise(6, "a weight is not an explanation", (COUNTEREXAMPLE,), (TWINS,))
