"""MultiHeadAttention is attention() between matrix products, and its trace says so."""

import textwrap
from dataclasses import FrozenInstanceError
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from attnscope.attention import attention
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.multi_head import MultiHeadAttention, Trace
from attnscope.problem import Causal, Mask
from tests.problems import Case
from tests.tolerance import assert_within, error_bound, of_a_sum, unit

RNG = np.random.default_rng(4)
MODEL, HEADS, KV_HEADS, KEY_DIM, VALUE_DIM, OUT = 6, 4, 2, 3, 5, 7
SHAPES = {
    "w_q": (MODEL, HEADS * KEY_DIM),
    "w_k": (MODEL, KV_HEADS * KEY_DIM),
    "w_v": (MODEL, KV_HEADS * VALUE_DIM),
    "w_o": (HEADS * VALUE_DIM, OUT),
}
# Whole numbers, so that projections are exact and queries, keys and values do not depend on the order of sums
WEIGHTS = {name: RNG.integers(-3, 4, shape).astype(np.float64) for name, shape in SHAPES.items()}
X = RNG.integers(-2, 3, (2, 8, MODEL)).astype(np.float64)


def module(dtype: Any = np.float64, **others: Any) -> MultiHeadAttention:
    weights = {name: matrix.astype(dtype) for name, matrix in WEIGHTS.items()}
    return MultiHeadAttention(**(weights | {"heads": HEADS, "kv_heads": KV_HEADS} | others))


def head_by_head(x: Any, **options: Any) -> Any:
    """The definition: each head on its own, with its own columns; their outputs side by side."""
    outputs = []
    for h in range(HEADS):
        g = h // (HEADS // KV_HEADS)
        query = x @ WEIGHTS["w_q"][:, h * KEY_DIM : (h + 1) * KEY_DIM]
        key = x @ WEIGHTS["w_k"][:, g * KEY_DIM : (g + 1) * KEY_DIM]
        value = x @ WEIGHTS["w_v"][:, g * VALUE_DIM : (g + 1) * VALUE_DIM]
        outputs.append(attention(query, key, value, **options))
    return np.concatenate(outputs, axis=-1) @ WEIGHTS["w_o"]


def largest_errors(trace: Trace, mask: Mask) -> tuple[Any, Any]:
    """How far `mixed` and `output` can be from their exact values, in float64; the projections are exact."""
    case = Case(trace.query, trace.key, trace.value, {"mask": mask})
    mixed = error_bound(case, arithmetic=np.float64, output=np.float64).output.reshape(trace.mixed.shape)
    joined = mixed.swapaxes(-3, -2).reshape(trace.joined.shape)
    size = np.abs(WEIGHTS["w_o"])
    return mixed, joined @ size + of_a_sum(HEADS * VALUE_DIM, np.float64) * (np.abs(trace.joined) @ size)


def test_heads_read_their_own_columns_and_stand_side_by_side() -> None:
    for row in X:
        _, bound = largest_errors(module().trace(row, mask=Causal()), Causal())
        output, expected = module()(row, mask=Causal()), head_by_head(row, mask=Causal())
        assert_within(output, expected, 2 * bound, "output")  # each of the two within the bound


def test_a_batch_is_its_rows() -> None:
    whole = module()(X, mask=Causal())
    assert whole.shape == (2, 8, OUT)
    for row, output in zip(X, whole, strict=True):
        _, bound = largest_errors(module().trace(row, mask=Causal()), Causal())
        assert_within(module()(row, mask=Causal()), output, 2 * bound, "output")


def test_kv_heads_are_as_many_as_heads_unless_given() -> None:
    eye = np.eye(4)
    assert MultiHeadAttention(eye, eye, eye, eye, heads=2).kv_heads == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_the_output_has_x_s_format(dtype: Any) -> None:
    x = X.astype(dtype)
    output = module(dtype)(x, mask=Causal())
    assert output.dtype == dtype
    wide = MultiHeadAttention(
        **{n: w.astype(dtype).astype(np.float64) for n, w in WEIGHTS.items()}, heads=4, kv_heads=2
    )
    exact = wide(x.astype(np.float64), mask=Causal())
    # five roundings to the format on the way, each of a value as large as the widest matrix product makes it
    allowed = 8 * unit(dtype) * np.abs(WEIGHTS["w_o"]).sum(0).max() * np.abs(X @ WEIGHTS["w_v"]).max()
    np.testing.assert_allclose(output.astype(np.float64), exact, rtol=0, atol=allowed)


def test_options_go_on_to_attention() -> None:
    plain = module()(X)
    for options in (
        {"softcap": 0.1},
        {"scale": 3.0},
        {"sinks": [1.0] * HEADS},
        {"alibi_slopes": [1.0] * HEADS},
    ):
        assert not np.allclose(module()(X, **options), plain)
    assert np.array_equal(module()(X, threads=1, implementation="reference"), plain)


def test_no_tokens_give_no_output() -> None:
    assert module()(X[:, :0]).shape == (2, 0, OUT)


def test_a_trace_prints_every_shape_in_order() -> None:
    expected = """\
        step     shape      made by
        x        [8, 6]     the argument
        queries  [8, 12]    x @ w_q
        keys     [8, 6]     x @ w_k
        values   [8, 10]    x @ w_v
        query    [4, 8, 3]  queries, split into heads
        key      [2, 8, 3]  keys, split into kv heads
        value    [2, 8, 5]  values, split into kv heads
        scores   [4, 8, 8]  scale * query . key, mask and bias
        weights  [4, 8, 8]  softmax of scores
        mixed    [4, 8, 5]  weights @ value
        joined   [8, 20]    mixed, heads side by side
        output   [8, 7]     joined @ w_o"""
    assert str(module().trace(X[0])) == textwrap.dedent(expected)


def test_a_trace_holds_what_the_call_computed() -> None:
    trace = module().trace(X, mask=Causal())
    np.testing.assert_array_equal(trace.output, module()(X, mask=Causal()))
    np.testing.assert_array_equal(trace.queries, X @ WEIGHTS["w_q"])
    np.testing.assert_allclose(trace.weights.sum(-1), 1.0, rtol=of_a_sum(X.shape[1], np.float64))
    assert not np.triu(trace.weights, 1).any()
    value = np.repeat(trace.value, HEADS // KV_HEADS, axis=1)
    bound, _ = largest_errors(trace, Causal())
    assert_within(trace.weights @ value, trace.mixed, 2 * bound, "mixed")


def test_a_trace_takes_scoring_options() -> None:
    trace = module().trace(X, mask=Causal(), softcap=2.0)
    np.testing.assert_array_equal(trace.output, module()(X, mask=Causal(), softcap=2.0))
    assert np.abs(trace.scores[..., 0]).max() <= 2.0


def test_a_trace_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        module().trace(X).output = X  # type: ignore[misc]


ONE_MORE_COLUMN = np.zeros((MODEL, HEADS * KEY_DIM + 1))


@pytest.mark.parametrize(
    ("others", "error", "text"),
    [
        (
            {"kv_heads": 3},
            AttentionShapeError,
            r"heads=4 cannot share kv_heads=3.*Use kv_heads in \[1, 2, 4\]",
        ),
        ({"heads": 0}, AttentionShapeError, "heads=0: expected an integer of at least 1"),
        ({"heads": True}, AttentionShapeError, "heads=True: expected an integer of at least 1"),
        ({"w_q": ONE_MORE_COLUMN}, AttentionShapeError, "w_q has 13 columns, expected a multiple of heads=4"),
        ({"w_k": ONE_MORE_COLUMN}, AttentionShapeError, r"w_k has shape \(6, 13\), expected \(6, 6\)"),
        ({"w_v": np.zeros((5, 10))}, AttentionShapeError, r"w_v has shape \(5, 10\), expected \(6, 10\)"),
        (
            {"w_o": WEIGHTS["w_o"].T},
            AttentionShapeError,
            r"w_o has shape \(7, 20\), expected \(20, 20\).*\(in, out\)",
        ),
        (
            {"w_o": WEIGHTS["w_o"][0]},
            AttentionShapeError,
            r"w_o is shape \(7,\), expected a NumPy array of 2 axes",
        ),
        ({"w_q": WEIGHTS["w_q"].tolist()}, AttentionShapeError, "w_q is list, expected a NumPy array"),
        (
            {"w_k": WEIGHTS["w_k"].astype("f4")},
            AttentionFormatError,
            "w_k is float32, expected float64 as w_q",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(others: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        module(**others)


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (X[..., :5], AttentionShapeError, r"x is shape \(2, 8, 5\), expected a NumPy array \(tokens, 6\)"),
        (X[0, 0], AttentionShapeError, r"x is shape \(6,\), expected"),
        (X[0].tolist(), AttentionShapeError, "x is list, expected a NumPy array"),
        (
            X.astype("f4"),
            AttentionFormatError,
            r"x is float32, expected float64 as the weights. Use x.astype\('float64'\)",
        ),
    ],
)
def test_an_x_that_does_not_fit_is_refused(x: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        module()(x)
