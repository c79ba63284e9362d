"""What conftest.py keeps between audits is what the library would compute again."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import attnscope as at
from attnscope.audit import Contract, attention
from tests.audit.conftest import Kept

if TYPE_CHECKING:
    from attnscope.audit.case import Call
    from attnscope.audit.expectation import Expectation

CONTRACT = Contract(causal=True)


def right(query: Any, key: Any, value: Any, *, causal: bool = False) -> Any:
    return at.attention(query, key, value, mask=at.Causal() if causal else None)


def writes(query: Any, key: Any, value: Any, **options: Any) -> Any:
    """Right, and it leaves other numbers in its arguments."""
    output = right(query, key, value, **options)
    for array in (query, key, value):
        array[...] = 7.0
    return output


def same(kept: Any, computed: Any) -> bool:
    """Whether two arrays have the same bits, or two options are equal."""
    if not isinstance(computed, np.ndarray):
        return bool(kept == computed)
    return (kept.dtype, kept.shape, kept.tobytes()) == (computed.dtype, computed.shape, computed.tobytes())


def assert_kept_is_computed(kept: Kept) -> None:
    assert len(kept.calls) > 100
    assert any(answer is not None for _, answer in kept.by_id.values())
    for case, call in kept.calls.items():
        computed: Call = kept.build(case, CONTRACT)
        for name in ("query", "key", "value"):
            assert same(getattr(call, name), getattr(computed, name)), (case, name)
        assert call.options.keys() == computed.options.keys()
        assert all(same(call.options[name], computed.options[name]) for name in computed.options), case
        answer = kept.by_id[id(call)][1]
        if answer is not None:
            again: Expectation = kept.answer(computed, CONTRACT)
            for name in ("scores", "weights", "output", "logsumexp"):
                assert same(getattr(answer, name), getattr(again, name)), (case, name)


def test_what_is_kept_is_what_is_computed_also_after_an_audit_of_a_function_that_writes(
    kept_answers: Kept,
) -> None:
    kept_answers.contract = None
    attention(right, CONTRACT)
    assert_kept_is_computed(kept_answers)
    assert not attention(writes, CONTRACT).ok
    assert_kept_is_computed(kept_answers)


def test_an_array_that_is_kept_cannot_be_written(kept_answers: Kept) -> None:
    attention(right, CONTRACT)
    call = next(iter(kept_answers.calls.values()))
    with pytest.raises(ValueError, match="read-only"):
        call.query[...] = 0
