"""The front door of the backward pass: what it returns, and what it refuses."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import attnscope as at
from tests.mutants import BIAS, case_of
from tests.problems import Case

GRAD = np.random.default_rng(12).standard_normal((2, 4, 5, 3)).astype(np.float32)


def run(case: Case, grad_output: Any = GRAD, **options: Any) -> at.Gradients:
    return at.attention_gradients(*case.arrays, grad_output, **(case.options | options))


def in_format(case: Case, dtype: Any) -> Case:
    query, key, value = (array.astype(dtype) for array in case.arrays)
    return Case(query, key, value, case.options)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16, np.float64])
def test_gradients_are_in_the_formats_and_shapes_of_the_inputs(dtype: Any) -> None:
    case = in_format(case_of(bias=BIAS.astype(dtype), sinks=[0.0] * 4), dtype)
    found = run(case, GRAD.astype(dtype))
    sums = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    for gradient, given in zip((found.query, found.key, found.value), case.arrays, strict=True):
        assert (gradient.dtype, gradient.shape) == (given.dtype, given.shape)
    assert found.bias is not None
    assert found.sinks is not None
    assert (found.bias.dtype, found.bias.shape) == (sums, BIAS.shape)
    assert (found.sinks.dtype, found.sinks.shape) == (sums, (4,))


def test_float64_runs_in_the_reference_and_the_kernel_refuses_it() -> None:
    case = in_format(case_of(), np.float64)
    expected = at.reference.gradients(*case.arrays, GRAD.astype(np.float64))
    assert run(case, GRAD.astype(np.float64)).key.tobytes() == expected.key.tobytes()
    with pytest.raises(at.UnsupportedProblemError, match="it computes in float32"):
        run(case, GRAD.astype(np.float64), implementation="kernel")


def test_the_reference_may_be_asked_for_by_name() -> None:
    case = case_of(bias=BIAS)
    found = run(case, implementation="reference", bias_gradient=False)
    assert found.query.dtype == np.float32
    assert found.bias is None


def test_gradients_have_the_rank_of_the_inputs() -> None:
    query, key, value = (array[0, 0] for array in case_of().arrays)
    found = at.attention_gradients(query, key, value, GRAD[0, 0], implementation="kernel")
    assert (found.query.shape, found.key.shape, found.value.shape) == ((5, 6), (9, 6), (9, 3))


@pytest.mark.parametrize(("query_len", "key_len"), [(0, 9), (5, 0), (0, 0)])
def test_no_queries_or_no_keys(query_len: int, key_len: int) -> None:
    query, key, value = case_of().arrays
    cut = query[:, :, :query_len], key[:, :, :key_len], value[:, :, :key_len], GRAD[:, :, :query_len]
    found = at.attention_gradients(*cut, implementation="kernel")
    assert not found.query.any()
    assert not found.key.any()
    assert not found.value.any()


def part() -> Any:
    return at.partial_attention(*case_of().arrays)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"grad_output": GRAD[0]},
            at.AttentionShapeError,
            r"grad_output has shape \[4, 5, 3\], expected \[2, 4, 5, 3\].*respect to attention\(\)'s output",
        ),
        (
            {"grad_output": GRAD.astype(np.float16)},
            at.AttentionFormatError,
            "grad_output is float16, expected float32",
        ),
        (
            {"grad_output": GRAD.astype(int)},
            at.AttentionFormatError,
            "grad_output is int64, expected float32",
        ),
        (
            {"grad_output": GRAD.tolist()},
            at.AttentionFormatError,
            "grad_output is a list, expected a NumPy array",
        ),
        (
            {"grad_output": np.broadcast_to(np.float32(1), GRAD.shape)},
            at.AttentionFormatError,
            r"grad_output has a last axis that is not contiguous.*ascontiguousarray\(grad_output\)",
        ),
        (
            {"output": GRAD},
            at.AttentionError,
            r"output comes without logsumexp, expected both.*partial_attention\(\) returns both",
        ),
        ({"logsumexp": part().logsumexp}, at.AttentionError, "logsumexp comes without output, expected both"),
        (
            {"output": GRAD[:, :, :4], "logsumexp": part().logsumexp},
            at.AttentionShapeError,
            r"output has shape \[2, 4, 4, 3\], expected \[2, 4, 5, 3\]",
        ),
        (
            {"output": GRAD.astype(np.float64), "logsumexp": part().logsumexp},
            at.AttentionFormatError,
            "output is float64, expected float32",
        ),
        (
            {"output": GRAD, "logsumexp": part().logsumexp[0]},
            at.AttentionShapeError,
            r"logsumexp has shape \[4, 5\], expected \[2, 4, 5\]",
        ),
        (
            {"output": GRAD, "logsumexp": part().logsumexp.astype(np.float16)},
            at.AttentionFormatError,
            "logsumexp is float16, expected float32",
        ),
        ({"mask": at.KeyLengths([1, 2, 3])}, at.AttentionMaskError, "3"),
        ({"sinks": [0.0]}, at.AttentionShapeError, "sinks has shape"),
        ({"threads": 0}, at.AttentionError, "threads=0"),
        ({"implementation": "fast"}, at.AttentionError, "implementation='fast'"),
        ({"sinc": [0.0]}, TypeError, "sinc"),
    ],
)
def test_what_is_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(case_of(), **given)


def test_read_only_arrays_are_read() -> None:
    case = case_of()
    for array in case.arrays:
        array.setflags(write=False)
    assert np.isfinite(run(case).query).all()


def test_gradients_share_no_memory_with_the_inputs() -> None:
    """Nor do inputs that share memory with each other matter: self-attention over one array."""
    tokens = np.random.default_rng(1).standard_normal((1, 1, 70, 8)).astype(np.float32)
    found = at.attention_gradients(tokens, tokens, tokens, tokens, implementation="kernel")
    apart = at.attention_gradients(*(tokens.copy() for _ in range(4)), implementation="kernel")
    assert found.query.tobytes() == apart.query.tobytes()
    assert not any(np.shares_memory(each, tokens) for each in (found.query, found.key, found.value))
