"""Attention times its gradient, per key, against the whole matrix."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.observation import attention_times_gradient
from tests.gradient_tolerance import gradient_bounds
from tests.mutants import case_of
from tests.problem.exported import Exported
from tests.problems import Case, problems
from tests.tolerance import of_a_sum


def by_the_matrix(case: Case, grad_output: Any) -> Any:
    """sum_i w[i, j] (g[i] . value[j]), (batch, query_heads, key_len)."""
    weights = at.reference.weights(*case.arrays[:2], **case.options)
    value = np.repeat(case.value.astype(np.float64), case.query.shape[1] // case.key.shape[1], axis=1)
    visible = np.where(np.isfinite(value), value, 0.0)
    return (weights * (grad_output.astype(np.float64) @ visible.swapaxes(-1, -2))).sum(axis=-2)


@given(problems(formats=("float32", "float64"), empty=False), st.integers(0, 2**32))
def test_it_is_that_of_the_matrix(case: Case, seed: int) -> None:
    shape = (*case.query.shape[:-1], case.value.shape[-1])
    grad_output = np.random.default_rng(seed).standard_normal(shape).astype(case.query.dtype)
    group = case.query.shape[1] // case.key.shape[1]
    key, value = (np.repeat(each, group, axis=1) for each in case.arrays[1:])
    alone = Case(case.query, key, value, case.options)
    found = attention_times_gradient(*case.arrays, grad_output, **case.options)
    bound = gradient_bounds(alone, grad_output, arithmetic=case.query.dtype, output=case.query.dtype)["value"]
    size = np.abs(alone.value.astype(np.float64))
    gradient = np.abs(at.reference.gradients(*alone.arrays, grad_output, **alone.options).value)
    sums = of_a_sum(size.shape[-1], case.query.dtype)
    allowed = (bound * size).sum(axis=-1) + sums * ((gradient + bound) * size).sum(axis=-1)
    assert (np.abs(found - by_the_matrix(case, grad_output)) <= allowed + np.finfo(np.float32).tiny).all()


def test_a_hidden_nan_is_nothing() -> None:
    case = case_of(mask=at.KeyLengths(7))
    value = case.value.copy()
    value[:, :, 7:] = np.nan
    grad_output = np.ones((2, 4, 5, 3), np.float32)
    found = attention_times_gradient(case.query, case.key, value, grad_output, mask=at.KeyLengths(7))
    assert np.isfinite(found).all()
    assert not found[:, :, 7:].any()


@pytest.mark.parametrize("rank", [2, 3])
def test_it_lacks_the_axes_that_the_query_lacks(rank: int) -> None:
    query, key, value = (each[(0,) * (4 - rank)] for each in case_of().arrays)
    grad_output = np.ones((*query.shape[:-1], 3), np.float32)
    assert attention_times_gradient(query, key, value, grad_output).shape == (*query.shape[:-2], 9)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda query, key, value: (query, key[0, 0], value), "key"),
        (lambda query, key, value: (query.tolist(), key, value), "query is a list"),
        (lambda query, key, value: (query, np.repeat(key, 4, 1), np.repeat(value, 4, 1)), "kv_heads=8"),
    ],
    ids=["a key without heads", "a list", "more kv heads than query heads"],
)
def test_wrong_arguments_are_refused_as_those_of_attention_gradients(spoil: Any, words: str) -> None:
    query, key, value = spoil(*case_of().arrays)
    with pytest.raises(at.AttentionError, match=words):
        attention_times_gradient(query, key, value, np.ones((2, 4, 5, 3), np.float32))


def test_arrays_of_other_libraries_are_read_as_attention_reads_them() -> None:
    query, key, value = (each.astype(np.float64) for each in case_of().arrays)
    grad_output = np.ones((2, 4, 5, 3))
    exported: list[Any] = [Exported(each) for each in (query, key, value)]
    found = attention_times_gradient(exported[0], exported[1], exported[2], grad_output)
    assert found.dtype == np.float64
    assert found.tobytes() == attention_times_gradient(query, key, value, grad_output).tobytes()
