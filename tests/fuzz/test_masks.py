"""Masks of anything, joined and used for any sizes: an answer, or an error of the library."""

from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.problem import describe
from tests.fuzz.hostile import check_error, limited

WHOLE = st.integers(-3, 9) | st.sampled_from([2**31, 2**40, 2**63, -(2**64), 10**30])
ANYTHING = st.one_of(
    WHOLE,
    st.lists(WHOLE, max_size=4),
    st.lists(st.lists(WHOLE, max_size=4), max_size=3),
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    st.builds(np.full, st.lists(st.integers(0, 4), max_size=5).map(tuple), WHOLE | st.booleans(), st.none()),
    st.builds(
        np.zeros,
        st.lists(st.integers(0, 4), max_size=5).map(tuple),
        st.sampled_from(["?", "i1", "u8", "f4", "f2", "O", "U2", "M8[s]", "c8", ml_dtypes.bfloat16, ">i4"]),
    ),
)
KINDS = st.sampled_from([
    at.Causal,
    at.Window,
    at.KeyLengths,
    at.KeyRanges,
    at.Documents,
    at.Prefix,
    at.Dense,
])
NAMES = st.sampled_from(["offset", "left", "right"])


@st.composite
def makings(draw: st.DrawFn) -> Any:
    """A kind of mask and what it is made of."""
    count = {at.KeyRanges: 2, at.Causal: 0, at.Window: 0}
    kind = draw(KINDS)
    positional = [draw(ANYTHING) for _ in range(count.get(kind, 1))]
    named = draw(st.dictionaries(NAMES, ANYTHING, max_size=2)) if kind in (at.Causal, at.Window) else {}
    return kind, positional, named


def made(making: Any) -> Any:
    kind, positional, named = making
    return kind(*positional, **named)


@given(
    first=makings(),
    second=makings(),
    join=st.sampled_from(["first", "and", "or"]),
    lens=st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(1, 3)),
)
def test_a_mask_of_anything_is_used_or_refused(first: Any, second: Any, join: str, lens: Any) -> None:
    query_len, key_len, batch = lens
    with limited():
        try:
            mask = made(first)
            if join != "first":
                mask = mask & made(second) if join == "and" else mask | made(second)
            assert mask.visible(query_len, key_len, batch=batch).dtype == np.bool_
            assert str(mask.explain(0, 0, query_len, key_len)) if query_len and key_len else repr(mask)
        except at.AttentionError as error:
            check_error(error)
        except TypeError as error:  # Python's own, for an argument that the kind does not have
            check_error(error, names="argument")


@given(making=makings(), lens=st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(1, 3)))
def test_attention_with_a_mask_of_anything_is_computed_or_refused(making: Any, lens: Any) -> None:
    query_len, key_len, batch = lens
    query = np.ones((batch, 2, query_len, 4), np.float32)
    key = np.ones((batch, 1, key_len, 4), np.float32)
    with limited():
        try:
            mask = made(making)
            describe(query, key, key, mask=mask)
            assert np.isfinite(at.attention(query, key, key, mask=mask)).all()
        except at.AttentionError as error:
            check_error(error)
        except TypeError as error:
            check_error(error, names="argument")
