"""How the reference reads a problem: masks slot by slot, arrays exactly, heads in groups."""

import inspect
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope import problem, reference
from attnscope.problem import lowering
from attnscope.problem.mask import And, Mask, Or
from attnscope.reference.inputs import read
from tests import by_hand
from tests.problems import Case, masks, matrix, problems, sizes


@given(st.data())
def test_a_mask_is_read_slot_by_slot(data: st.DataObject) -> None:
    of = data.draw(sizes(max_tokens=9, max_dim=1))
    mask = data.draw(masks(of))
    query, key = np.zeros((of.batch, of.query_heads, of.query_len, 1)), np.zeros((of.batch, 1, of.key_len, 1))
    visible = read(query, key, key, mask=mask)[2].visible
    for b, h, i, j in np.ndindex(matrix(of)):
        place = by_hand.Place(b, h, i, j, of.query_len, of.key_len)
        assert visible[b, h, i, j] == by_hand.sees(mask, place), (mask, place)


def kinds_of_mask() -> list[type[Mask]]:
    return [
        And,
        Or,
        *(kind for kind in vars(problem).values() if inspect.isclass(kind) and issubclass(kind, Mask)),
    ]


def refuse(*_: Any) -> Any:
    raise AssertionError("the reference asked for spans")


@given(problems(max_tokens=9, max_dim=2))
def test_the_reference_never_asks_for_the_spans_it_judges(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds_of_mask():
            patch.setattr(kind, "runs", refuse)
        patch.setattr(lowering, "_spans", refuse)
        patch.setattr(lowering, "_bitmap", refuse)
        reference.attention(*case.arrays, **case.options)
        reference.blockwise(*case.arrays, **case.options)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_format_is_widened_exactly(dtype: Any) -> None:
    key = np.array([[1 / 3], [1e-3]]).astype(dtype)
    inputs = read(key, key, key)[2]
    assert inputs.key.dtype == np.float64
    assert inputs.key.ravel().tolist() == [float(each) for each in key.ravel()]


def test_neighbouring_query_heads_share_a_kv_head() -> None:
    query, key = np.zeros((1, 6, 1, 1)), np.arange(3.0).reshape(1, 3, 1, 1)
    assert read(query, key, key)[2].key.ravel().tolist() == [0, 0, 1, 1, 2, 2]


def test_keys_keep_their_positions_when_only_some_are_asked() -> None:
    query, key = np.zeros((1, 1, 2, 1)), np.arange(5.0).reshape(1, 1, 5, 1)
    some = read(query, key, key)[2].of_keys(slice(3, 5))
    assert some.key.ravel().tolist() == [3, 4]
    assert some.key_positions.tolist() == [3, 4]
    assert some.query_positions.tolist() == [3, 4]
