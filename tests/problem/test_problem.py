"""Sizes, scoring and problems without arrays; scoring options; calls whose keys lie in pages."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.problem import (
    AttentionProblem,
    Pages,
    Scoring,
    ScoringOptions,
    describe,
    describe_pages,
)
from attnscope.problem.scoring import ARRAYS, FACTORS, ScoringArrays
from tests.problem.test_bad_input import KEY, QUERY, VALUE

SIZES = {
    "batch": 1,
    "query_heads": 8,
    "kv_heads": 2,
    "query_len": 3,
    "key_len": 3,
    "key_dim": 4,
    "value_dim": 4,
}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kv_heads": 6}, r"query_heads=8 cannot share kv_heads=6.*Use kv_heads in \[1, 2, 4, 8\]"),
        ({"batch": -1}, "batch=-1: expected 0 or more"),
        ({"key_dim": 64.0}, "key_dim=64.0: expected an integer, got float"),
        ({"value_dim": 0}, "value_dim=0: expected 1 to 1024"),
        ({"query_len": 2**31}, r"query_len=2147483648: expected less than 2\*\*31"),
        ({"batch": 2**30, "key_len": 2**30}, "overflows 64 bits. Split the batch or the queries"),
    ],
)
def test_a_shape_without_arrays_is_checked_too(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(at.AttentionShapeError, match=text):
        at.AttentionShape(**SIZES | wrong)


def test_a_problem_without_arrays_is_checked_too() -> None:
    shape = at.AttentionShape(**SIZES)
    with pytest.raises(at.AttentionFormatError, match="number_format='int8': expected float32, bfloat16"):
        AttentionProblem(shape, "int8", None, Scoring(1.0))
    with pytest.raises(at.AttentionMaskError, match=r"asks for 9 keys, expected at most key_len=3"):
        AttentionProblem(shape, "float32", at.KeyLengths(9), Scoring(1.0))
    with pytest.raises(at.AttentionScoringError, match="softcap=-1: expected a positive finite number"):
        Scoring(1.0, softcap=-1)


def test_float64_takes_what_float32_cannot_hold() -> None:
    double = (QUERY.astype(float), KEY.astype(float), VALUE.astype(float))
    assert describe(*double, scale=1e300)[0].scoring.scale == 1e300
    assert describe(*double, alibi_slopes=[1e300] * 4)[1].alibi_slopes is not None


def test_an_option_is_the_same_name_in_the_type_the_problem_and_the_table() -> None:
    names = list(ScoringOptions.__annotations__)
    assert names == [field.name for field in fields(Scoring)] == [*FACTORS, *ARRAYS]
    assert list(ScoringArrays._fields) == list(ARRAYS)


@pytest.mark.parametrize(
    "call",
    [at.attention, at.partial_attention, at.observe, at.reference.attention, at.reference.gradients],
    ids=lambda call: f"{call.__module__}.{call.__name__}",
)
def test_a_misspelled_option_is_named_with_the_options_there_are(call: Callable[..., Any]) -> None:
    arrays = (QUERY, KEY, VALUE, VALUE) if call is at.reference.gradients else (QUERY, KEY, VALUE)
    with pytest.raises(TypeError, match=r"'sofcap'\. Did you mean 'softcap'\? The scoring options are"):
        call(*arrays, sofcap=1.0)
    with pytest.raises(TypeError, match=r"'temperature'\. The scoring options are scale, softcap"):
        call(*arrays, temperature=1.0)


def test_keys_in_pages_are_the_same_problem() -> None:
    options: dict[str, Any] = {"mask": at.Causal(), "softcap": 3, "sinks": [0.0, 1.0, 2.0, 3.0]}
    problem, operands = describe(QUERY, KEY, VALUE, **options)
    table, lengths = np.array([[0], [1]], np.int32), np.array([7, 7])
    paged, of_pages = describe_pages(QUERY, Pages(KEY, VALUE, None, None, table, lengths), **options)
    assert paged == problem
    assert of_pages.bias is of_pages.alibi_slopes is None
    np.testing.assert_array_equal(of_pages.sinks, operands.sinks)
