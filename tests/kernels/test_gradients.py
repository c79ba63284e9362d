"""The reference judges the gradients of every level of the kernel, over problems that Hypothesis draws."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import attnscope as at
from tests.gradient_tolerance import assert_gradients_match
from tests.kernels.test_against_reference import NARROW, shared_level
from tests.problems import Case, problems, random_arrays


def run(case: Case, grad_output: NDArray[Any], **more: Any) -> at.Gradients:
    options = case.options | more
    return at.attention_gradients(*case.arrays, grad_output, **options, implementation="kernel")


def grad_of(case: Case, seed: int) -> NDArray[Any]:
    shape = (*case.query.shape[:-1], case.value.shape[-1])
    return random_arrays(seed, case.query.dtype)(shape, 1.0)


@given(case=problems(formats=NARROW), seed=st.integers(0, 2**32))
@shared_level
def test_gradients(level: str, case: Case, seed: int) -> None:
    grad_output = grad_of(case, seed)
    assert_gradients_match(run(case, grad_output), case, grad_output, by_baseline=False)


@given(
    case=problems(formats=("float32",), max_tokens=300, max_dim=140, empty=False), seed=st.integers(0, 2**32)
)
@settings(shared_level, max_examples=10)
def test_gradients_of_larger_problems(level: str, case: Case, seed: int) -> None:
    grad_output = grad_of(case, seed)
    assert_gradients_match(run(case, grad_output), case, grad_output, by_baseline=False)


@given(case=problems(formats=NARROW), seed=st.integers(0, 2**32))
@shared_level
def test_gradients_with_the_results_of_the_forward_pass(level: str, case: Case, seed: int) -> None:
    grad_output = grad_of(case, seed)
    part = at.partial_attention(*case.arrays, **case.options, implementation="kernel")
    for output in (part.output, part.output.astype(case.query.dtype)):
        found = run(case, grad_output, output=output, logsumexp=part.logsumexp)
        assert_gradients_match(found, case, grad_output, output.dtype, by_baseline=False)


@pytest.mark.parametrize(
    ("key_dim", "value_dim"), [(1, 1), (3, 70), (64, 80), (129, 64), (1024, 7), (40, 1024)]
)
def test_gradients_of_any_dims(level: str, key_dim: int, value_dim: int) -> None:
    random = random_arrays(key_dim, np.float32)
    case = Case(
        random((1, 2, 70, key_dim), 1.0),
        random((1, 1, 90, key_dim), 1.0),
        random((1, 1, 90, value_dim), 1.0),
        {"mask": at.Causal()},
    )
    grad_output = grad_of(case, 1)
    assert_gradients_match(run(case, grad_output), case, grad_output)


@pytest.mark.parametrize("query_len", [1, 1000])
def test_gradients_over_several_strips_of_keys(level: str, query_len: int) -> None:
    random = random_arrays(0, np.float32)
    mask = at.Window(left=100, right=0) | (at.Prefix(3) & at.Causal())
    for options in ({"mask": at.Causal()}, {"mask": mask, "sinks": [0.5] * 4}):
        arrays = [
            random((1, heads, tokens, 24), 1.0) for heads, tokens in ((4, query_len), (2, 1000), (2, 1000))
        ]
        case = Case(arrays[0], arrays[1], arrays[2], options)
        grad_output = grad_of(case, 1)
        assert_gradients_match(run(case, grad_output), case, grad_output)


def test_the_gradient_of_a_bias_is_left_out_if_it_is_not_asked_for(level: str) -> None:
    random = random_arrays(0, np.float32)
    query, key, value = (random((1, 2, 9, 4), 1.0) for _ in range(3))
    case = Case(query, key, value, {"bias": random((9, 9), 1.0)})
    asked, not_asked = (run(case, grad_of(case, 1), bias_gradient=each) for each in (True, False))
    assert asked.bias is not None
    assert not_asked.bias is None
    assert asked.query.tobytes() == not_asked.query.tobytes()


def test_16_bits_are_float32_sums_rounded_once(level: str) -> None:
    """The bits are those of float32 arrays, then rounded: sums between blocks and strips are float32."""
    for dtype in (ml_dtypes.bfloat16, np.float16):
        random = random_arrays(3, dtype)
        arrays = [random((1, heads, 600, 24), 1.0) for heads in (4, 2, 2, 4)]
        narrow = at.attention_gradients(*arrays, mask=at.Causal(), implementation="kernel")
        wide = at.attention_gradients(
            *(each.astype(np.float32) for each in arrays), mask=at.Causal(), implementation="kernel"
        )
        for name in ("query", "key", "value"):
            assert getattr(narrow, name).tobytes() == getattr(wide, name).astype(dtype).tobytes(), name
