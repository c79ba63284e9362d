"""From arrays to a problem: what is legal passes as it is."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.problem import Scoring, describe


def ones(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ones(shape, dtype)


QUERY, KEY, VALUE = ones(2, 4, 5, 8), ones(2, 2, 7, 8), ones(2, 2, 7, 3)


@pytest.mark.parametrize("empty", ["batch", "queries", "keys"])
@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_empty_axes_are_legal(empty: str, implementation: Any) -> None:
    shape = {"batch": (0, 5, 7), "queries": (2, 0, 7), "keys": (2, 5, 0)}[empty]
    query, key, value = (
        ones(shape[0], 4, shape[1], 8),
        ones(shape[0], 2, shape[2], 8),
        ones(shape[0], 2, shape[2], 3),
    )
    part = at.partial_attention(query, key, value, mask=at.Causal(), implementation=implementation)
    assert part.output.shape == (shape[0], 4, shape[1], 3)
    assert (part.output == 0).all()
    assert np.isneginf(part.logsumexp).all()


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_fewer_axes_are_one_head_one_batch(rank: int) -> None:
    query, key, value = (np.ones((1, 1, 5, 4)[4 - rank :], np.float32) for _ in range(3))
    problem, operands = describe(query, key, value)
    assert (problem.shape.batch, problem.shape.query_heads) == (1, 1)
    assert operands.rank == rank
    assert operands.query.shape == (1, 1, 5, 4)
    assert at.attention(query, key, value).shape == query.shape


def test_a_repeated_call_gets_the_very_same_problem() -> None:
    first = describe(QUERY, KEY, VALUE, mask=at.Causal(), scale=0.5)[0]
    again = describe(QUERY.copy(), KEY, VALUE, mask=at.Causal(), scale=0.5)[0]
    assert first is again
    assert first != describe(QUERY, KEY, VALUE, mask=at.Causal(offset=0), scale=0.5)[0]
    assert {first: 1}[again] == 1


def test_the_operands_are_views_of_the_arrays() -> None:
    operands = describe(QUERY[0, 0], KEY[0, 0], VALUE[0, 0], bias=ones(5, 1))[1]
    assert np.shares_memory(operands.query, QUERY)
    assert operands.bias is not None
    assert operands.bias.shape == (1, 1, 5, 7)
    assert operands.bias.strides[3] == 0


def test_a_problem_prints_what_is_asked() -> None:
    text = repr(describe(QUERY, KEY, VALUE, mask=at.Causal(), softcap=30.0, sinks=[0.0] * 4)[0])
    for part in ("2 x 4 heads x 5 x 8", "2 x 2 heads x 7 x 3", "float32", "Causal()", "softcap 30, sinks"):
        assert part in text


def test_many_threads_describe_at_once() -> None:
    expected = describe(QUERY, KEY, VALUE, mask=at.Window(left=3))[0]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: describe(QUERY, KEY, VALUE, mask=at.Window(left=3))[0], range(200))
    assert all(problem == expected for problem in found)


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(
        at.AttentionError, match="implementation='fast': expected 'auto', 'kernel' or 'reference'"
    ):
        at.attention(QUERY, KEY, VALUE, implementation="fast")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x[:, :, ::-1],
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x.swapaxes(1, 2).copy().swapaxes(1, 2),
        lambda x: np.pad(x, ((0, 0), (0, 0), (0, 0), (3, 2)))[..., 3:-2],
        lambda x: read_only(x),
    ],
    ids=["backwards", "broadcast", "tokens before heads", "sliced", "read-only"],
)
def test_any_strides_are_read_where_they_lie(other: Any) -> None:
    query, key, value = other(QUERY), other(KEY), other(VALUE)
    operands = describe(query, key, value)[1]
    for view, array in zip(operands[:3], (query, key, value), strict=True):
        assert view is array
    assert np.array_equal(
        at.attention(query, key, value), at.attention(query.copy(), key.copy(), value.copy())
    )


def read_only(array: Any) -> Any:
    array = array.copy()
    array.setflags(write=False)
    return array


def test_a_last_axis_of_one_has_no_stride_to_speak_of() -> None:
    query = np.ones((5, 8), np.float32)[:, ::8]
    assert describe(query, query, query)[0].shape.key_dim == 1


@pytest.mark.parametrize(
    "subclass", [lambda x: x.view(np.matrix), lambda x: x.view(np.memmap)], ids=["matrix", "memmap"]
)
def test_a_subclass_that_adds_nothing_is_read_as_an_array(subclass: Any) -> None:
    array = subclass(np.ones((5, 4), np.float32))
    operands = describe(array, array, array, bias=subclass(np.ones((5, 5), np.float32)))[1]
    assert type(operands.query) is type(operands.bias) is np.ndarray
    assert np.shares_memory(operands.query, array)
    assert at.attention(array, array, array, mask=subclass(np.ones((5, 5), bool))).shape == (5, 4)


def test_slopes_and_sinks_are_read_in_the_format_of_the_sums() -> None:
    operands = describe(
        QUERY, KEY, VALUE, alibi_slopes=[1, 0.5, 0, 2], sinks=np.array([1, 2, 3, -np.inf], np.float16)
    )[1]
    assert operands.alibi_slopes is not None
    assert operands.sinks is not None
    assert operands.alibi_slopes.dtype == operands.sinks.dtype == np.float32
    assert operands.sinks.tolist() == [1, 2, 3, -np.inf]


@pytest.mark.parametrize(
    "number", [1, np.float16(1), np.int8(1), np.float64(1)], ids=lambda x: type(x).__name__
)
def test_any_number_may_be_a_scale(number: Any) -> None:
    assert describe(QUERY, KEY, VALUE, scale=number, softcap=number)[0].scoring == Scoring(1.0, 1.0)


def test_the_default_scale_is_the_root_of_key_dim() -> None:
    assert describe(ones(5, 64), ones(5, 64), ones(5, 2))[0].scoring.scale == 1 / 8
