"""What a mask says of an entry: true, and a sentence that a learner can use."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from tests.problem.slot_by_slot import sees
from tests.problems import masks, matrix, sizes


@given(st.data())
def test_an_explanation_agrees_with_what_is_visible(data: st.DataObject) -> None:
    of = data.draw(sizes(max_tokens=20, empty=False))
    mask = data.draw(masks(of))
    batch, head, query, key = (data.draw(st.integers(0, size - 1)) for size in matrix(of))
    said = mask.explain(
        query=query, key=key, query_len=of.query_len, key_len=of.key_len, batch=batch, head=head
    )
    # a mask for one batch row or head may be asked about any
    assert said.startswith("visible: " if sees(mask, matrix(of), (batch, head, query, key)) else "hidden: ")
    assert "\n" not in said


@given(st.data())
def test_without_sizes_the_matrix_is_square_and_as_large_as_the_mask_implies(data: st.DataObject) -> None:
    side = data.draw(st.integers(1, 12))
    of = at.AttentionShape(data.draw(st.integers(1, 2)), 2, 1, side, side, 4, 4)
    mask = data.draw(masks(of))
    batch, query, key = (data.draw(st.integers(0, size - 1)) for size in (of.batch, side, side))
    try:
        said = mask.explain(query=query, key=key, batch=batch)
    except at.AttentionMaskError:
        # a part that broadcasts over the queries or heads leaves open what it was made for
        said = mask.explain(query=query, key=key, batch=batch, query_len=side, key_len=side)
    assert said.startswith("visible: " if sees(mask, matrix(of), (batch, 0, query, key)) else "hidden: ")


def test_a_part_that_names_only_the_queries_makes_the_matrix_square() -> None:
    mask = at.Causal() | at.Dense(np.zeros((1, 1, 2, 1), bool))
    assert mask.explain(query=0, key=0).startswith("visible: Causal")


SENTENCES: list[tuple[at.Mask, dict[str, int], str]] = [
    (at.Causal(), {"query": 3, "key": 7}, "hidden: Causal, key 7 comes after query 3"),
    (at.Causal(), {"query": 3, "key": 1}, "visible: Causal, key 1 comes before query 3"),
    (at.Causal(), {"query": 3, "key": 3}, "visible: Causal, key 3 is at the position of query 3"),
    (
        at.Causal(),
        {"query": 0, "key": 7, "query_len": 2, "key_len": 8},
        "hidden: Causal, key 7 comes after query 0, which is at position 6",
    ),
    (at.Causal(offset=[0, 5]), {"query": 0, "key": 3}, "hidden: Causal, key 3 comes after query 0"),
    (
        at.Causal(offset=[0, 5]),
        {"query": 0, "key": 3, "batch": 1},
        "visible: Causal, key 3 comes before query 0, which is at position 5",
    ),
    (
        at.Window(left=2, right=0),
        {"query": 5, "key": 2},
        "hidden: Window, key 2 is 3 to the left of query 5, but the window reaches 2",
    ),
    (
        at.Window(left=2, right=0),
        {"query": 5, "key": 4},
        "visible: Window, key 4 is 1 to the left of query 5, and the window reaches 2",
    ),
    (
        at.Window(right=1),
        {"query": 5, "key": 0},
        "visible: Window, key 0 is 5 to the left of query 5, and the window is open on that side",
    ),
    (
        at.KeyLengths(3),
        {"query": 0, "key": 2},
        "visible: KeyLengths, key 2 is no padding: keys 0 to 2 are real",
    ),
    (at.KeyLengths(1), {"query": 0, "key": 2}, "hidden: KeyLengths, key 2 is padding: only key 0 is real"),
    (
        at.KeyRanges([2, 0], [4, 0]),
        {"query": 0, "key": 3, "batch": 1},
        "hidden: KeyRanges, key 3 is padding: no key is real in batch row 1",
    ),
    (at.Prefix(2), {"query": 0, "key": 1}, "visible: Prefix, key 1 belongs to the prefix, keys 0 to 1"),
    (
        at.Prefix(0),
        {"query": 0, "key": 1},
        "hidden: Prefix, key 1 does not belong to the prefix, which is empty",
    ),
    (
        at.Documents([7, 7, 9]),
        {"query": 2, "key": 1},
        "hidden: Documents, key 1 belongs to document 7, query 2 to document 9",
    ),
    (
        at.Documents([7, 7, 9]),
        {"query": 0, "key": 1, "query_len": 2, "key_len": 3},
        "visible: Documents, key 1 and query 0 (position 1) both belong to document 7",
    ),
    (
        at.Documents([7, 7, 9]),
        {"query": 0, "key": 2, "query_len": 5, "key_len": 3},
        "hidden: Documents, key 2 belongs to document 9, query 0 (position -2) to none: it is not among "
        "the keys",
    ),
    (
        at.Dense(np.array([[True, False], [True, True]])),
        {"query": 0, "key": 1},
        "hidden: Dense, the array holds False for query 0, key 1",
    ),
    (
        at.Causal() & at.KeyLengths([3, 5]),
        {"query": 4, "key": 4},
        "hidden: KeyLengths, key 4 is padding: keys 0 to 2 are real in batch row 0",
    ),
    (
        at.Causal() | at.Prefix(2),
        {"query": 2, "key": 4},
        "hidden: Causal, key 4 comes after query 2; and Prefix, key 4 does not belong to the prefix, keys "
        "0 to 1",
    ),
    (
        at.Causal() | at.Prefix(2),
        {"query": 0, "key": 1},
        "visible: Prefix, key 1 belongs to the prefix, keys 0 to 1",
    ),
]


@pytest.mark.parametrize(
    ("mask", "entry", "sentence"), SENTENCES, ids=[f"{i} {said}" for i, (*_, said) in enumerate(SENTENCES)]
)
def test_explanations_read_as_sentences(mask: at.Mask, entry: dict[str, int], sentence: str) -> None:
    assert mask.explain(**entry) == sentence


REFUSED: list[tuple[at.Mask, dict[str, Any], str]] = [
    (
        at.Causal(),
        {"query": 5, "key": 0, "query_len": 4},
        "query=5 lies outside query_len=4. Pass the sizes",
    ),
    (at.Causal(), {"query": 0, "key": 7, "query_len": 1}, "key=7 lies outside key_len=1. Pass the sizes"),
    (at.Causal(), {"query": 0, "key": 0, "key_len": 0}, "query=0 lies outside query_len=0"),
    (at.Causal(), {"query": -1, "key": 0}, "query=-1: expected 0 or more"),
    (at.Causal(), {"query": 0, "key": 1.0}, "key=1.0: expected an integer, got float"),
    (at.Causal(), {"query": 0, "key": 1, "key_len": "8"}, "key_len='8': expected an integer"),
    (
        at.KeyLengths([1, 2]),
        {"query": 0, "key": 0, "batch": 2},
        "batch=2: expected an index from 0 to 1, as the mask was made for 2",
    ),
    (at.Documents([1, 2]), {"query": 0, "key": 2}, "2 ids in a row, expected one for each of key_len=3 keys"),
]


@pytest.mark.parametrize(("mask", "entry", "text"), REFUSED, ids=[text for *_, text in REFUSED])
def test_an_entry_that_is_not_there_is_an_error(mask: at.Mask, entry: dict[str, Any], text: str) -> None:
    with pytest.raises(at.AttentionMaskError, match=re.escape(text)):
        mask.explain(**entry)


def test_reasons_are_the_explanation_as_data() -> None:
    mask = at.Causal() & at.KeyLengths([6])
    shown, reasons = mask.why(query=3, key=7, query_len=8, key_len=8)
    assert not shown
    assert [(each.visible, each.mask) for each in reasons] == [(False, "Causal"), (False, "KeyLengths")]
    text = mask.explain(query=3, key=7, query_len=8, key_len=8)
    assert text == "hidden: " + "; and ".join(f"{each.mask}, {each.text}" for each in reasons)
