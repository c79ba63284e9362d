"""The definition judges its online form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope import reference
from attnscope.errors import AttentionShapeError
from tests.problems import Case, problems
from tests.reference.test_definition import small_case
from tests.tolerance import assert_within, error_bound


def assert_online_is_the_definition(case: Case, block: int) -> None:
    whole = reference.partial_attention(*case.arrays, **case.options)
    online = reference.blockwise(*case.arrays, block=block, **case.options)
    bound = error_bound(case, arithmetic=np.float64, output=np.float64)
    assert_within(online.output, whole.output, bound.output, "output")
    assert_within(online.logsumexp, whole.logsumexp, bound.logsumexp, "logsumexp")


@given(problems(max_tokens=20, max_dim=5), st.integers(1, 25))
def test_any_block_gives_the_definition(case: Case, block: int) -> None:
    assert_online_is_the_definition(case, block)


def test_a_maximum_found_late_shrinks_what_came_before() -> None:
    case = small_case(bias=np.arange(6.0)[None] * 5)
    for block in (1, 2, 6):
        assert_online_is_the_definition(case, block)


def test_a_hidden_nan_reaches_nobody_whatever_the_block() -> None:
    case = small_case(mask=np.array([True, True, False, True, False, False]))
    poisoned = Case(case.query, case.key.copy(), case.value.copy(), case.options)
    poisoned.key[:, :, [2, 4]] = np.nan
    poisoned.value[:, :, [2, 5]] = np.inf
    for block in (1, 2, 3, 64):
        clean = reference.blockwise(*case.arrays, block=block, **case.options)
        dirty = reference.blockwise(*poisoned.arrays, block=block, **case.options)
        np.testing.assert_array_equal(dirty.output, clean.output)
        np.testing.assert_array_equal(dirty.logsumexp, clean.logsumexp)


def test_a_block_of_no_keys_is_refused() -> None:
    with pytest.raises(AttentionShapeError, match="block=0: expected at least 1 key"):
        reference.blockwise(*small_case().arrays, block=0)
