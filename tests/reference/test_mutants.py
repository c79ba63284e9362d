"""Each step of the reference, done wrong, is caught by the rung below it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from attnscope.problem import Causal, KeyLengths
from attnscope.reference import definition, inputs, online
from tests.problems import Case
from tests.reference.test_definition import assert_matches_by_hand
from tests.reference.test_gradients import assert_slopes_agree
from tests.reference.test_online import assert_online_is_the_definition

gradients = import_module("attnscope.reference.gradients")  # the module; the package exports its function

RNG = np.random.default_rng(11)
QUERY, KEY, VALUE = (RNG.standard_normal(shape) for shape in ((2, 4, 5, 6), (2, 2, 9, 6), (2, 2, 9, 3)))
BIAS = RNG.standard_normal((5, 9))
POISONED = VALUE.copy()
POISONED[:, :, -1] = np.nan


def case_of(value: Any = VALUE, **options: Any) -> Case:
    return Case(QUERY, KEY, value, options)


def unscaled(given: inputs.Inputs) -> Any:
    return given.query @ given.key.swapaxes(-1, -2)


def bias_scaled(capped: Any, given: Any) -> Any:
    return capped + given.scale * given.bias


def capped_after_the_bias(capped: Any, given: Any) -> Any:
    return given.softcap * np.tanh((capped + given.bias) / given.softcap)


def distance_from_the_first_query(capped: Any, given: Any) -> Any:
    first = given.query_positions - given.query_positions[0]
    return capped - given.alibi_slopes[:, None, None] * np.abs(first[:, None] - given.key_positions)


def hides_the_visible(scores: Any, visible: Any) -> Any:
    return np.where(visible, -np.inf, scores)


def hides_nothing(scores: Any, visible: Any) -> Any:
    return scores


def sees_one_more(problem: Any, original: Any = inputs.visible_keys) -> Any:
    return original(problem) | np.eye(5, 9, 5, dtype=bool)


def aligned_at_the_first_key(problem: Any) -> Any:
    return np.broadcast_to(np.tri(5, 9, dtype=bool), (2, 4, 5, 9))


def heads_tiled(query_heads: int, heads: Any) -> Any:
    return np.tile(heads, (1, query_heads // heads.shape[1], 1, 1))


def without_the_sink(scores: Any, visible: Any, sinks: Any, original: Any = definition.softmax) -> Any:
    return original(scores, visible, None)


def base_two(scores: Any, visible: Any, sinks: Any, original: Any = definition.softmax) -> Any:
    weights, logsumexp = original(scores, visible, sinks)
    return weights, logsumexp / np.log(2)


def plain_product(weights: Any, visible: Any, value: Any) -> Any:
    return weights @ value


def itself(total: Any, *rest: Any) -> Any:
    return total


SINKS = [0.0, 1.0, -1.0, 0.5]
SLOPES = [0.5, 0.25, 0.125, 0.0625]

# where, which step, what instead, on which case
OF_THE_DEFINITION: list[tuple[Any, str, Callable[..., Any], Case]] = [
    (definition, "dot_products", unscaled, case_of()),
    (definition, "soft_capped", itself, case_of(softcap=1.0)),
    (definition, "biased", bias_scaled, case_of(bias=BIAS)),
    (definition, "biased", capped_after_the_bias, case_of(bias=BIAS, softcap=1.0)),
    (definition, "biased", distance_from_the_first_query, case_of(alibi_slopes=SLOPES)),
    (definition, "masked", hides_the_visible, case_of(mask=Causal())),
    (definition, "masked", hides_nothing, case_of(mask=Causal())),
    (inputs, "visible_keys", sees_one_more, case_of(mask=Causal())),
    (inputs, "visible_keys", aligned_at_the_first_key, case_of(mask=Causal())),
    (inputs, "one_for_each", heads_tiled, case_of()),
    (definition, "softmax", without_the_sink, case_of(sinks=SINKS)),
    (
        definition,
        "nonzero",
        itself,
        Case(np.ones((1, 1, 1, 1)), -np.inf * np.ones((1, 1, 2, 1)), np.ones((1, 1, 2, 1))),
    ),
    (definition, "mix", plain_product, case_of(POISONED, mask=KeyLengths(8))),
]


def named(mutant: Any) -> str:
    return mutant.__name__ if callable(mutant) else mutant if isinstance(mutant, str) else ""


@pytest.mark.parametrize(("room", "step", "mutant", "case"), OF_THE_DEFINITION, ids=named)
def test_by_hand_catches(
    room: Any, step: str, mutant: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_matches_by_hand(case)
    monkeypatch.setattr(room, step, mutant)
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="exceeds the derived bound"):
        assert_matches_by_hand(case)


def test_by_hand_catches_a_normalizer_in_base_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition, "softmax", base_two)
    with pytest.raises(AssertionError, match="logsumexp exceeds the derived bound"):
        assert_matches_by_hand(case_of())


def test_the_definition_catches_an_online_form_that_does_not_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "shrinkage", lambda old, new: np.where(np.isneginf(old), 0.0, 1.0))
    with pytest.raises(AssertionError, match="output exceeds the derived bound"):
        assert_online_is_the_definition(case_of(), block=2)


GRADIENT_MUTANTS: list[tuple[str, Callable[..., Any], dict[str, Any], str]] = [
    ("soft_cap_slope", lambda given: 1.0, {"softcap": 1.0}, "query"),
    ("of_shared_heads", lambda kv_heads, grad: grad[:, ::2], {}, "key"),
    ("summed_to", lambda shape, grad: grad.mean(axis=(0, 1)), {"bias": BIAS}, "bias"),
    (
        "grad_of_sinks",
        lambda sinks, log, mean: (np.exp(sinks[:, None] - log) * mean).sum((0, -1)),
        {"sinks": SINKS},
        "sinks",
    ),
]


@pytest.mark.parametrize(("step", "mutant", "options", "wrong"), GRADIENT_MUTANTS, ids=named)
def test_central_differences_catch(
    step: str, mutant: Any, options: dict[str, Any], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_slopes_agree(case_of(**options), np.random.default_rng(1))
    monkeypatch.setattr(gradients, step, mutant)
    with pytest.raises(AssertionError, match=f"the gradient of {wrong} is off"):
        assert_slopes_agree(case_of(**options), np.random.default_rng(1))
