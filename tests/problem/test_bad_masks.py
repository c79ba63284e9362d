"""A mask that makes no sense says so when it is made, and one that does not fit when it is used."""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import pytest

import attnscope as at

BAD_MASKS: list[tuple[Callable[[Any], Any], str]] = [
    # `a` is attnscope, untyped: what is wrong here is wrong for a type checker too
    (lambda a: a.Causal(offset="2"), r"Causal\(offset=\)='2': expected an integer, got str"),
    (lambda a: a.Causal(offset=1.5), r"offset=\)=1.5: expected an integer, got float"),
    (lambda a: a.Causal(offset=[[1], [2, 3]]), r"=\[1\]: expected an integer, got list"),
    (lambda a: a.Causal(offset=b"12"), "expected an integer, got bytes"),
    (lambda a: a.Causal(offset={1, 2}), "expected an integer, got set"),
    (
        lambda a: a.Causal(offset=np.array([1.0])),
        r"an array of float64 \[1\]: expected an integer, or \[batch\]",
    ),
    (lambda a: a.Causal(offset=np.ones((2, 2), int)), r"an array of int64 \[2, 2\]: expected an integer"),
    (lambda a: a.Causal(offset=np.ma.masked_array([1, 2], [False, True])), "expected an integer, or"),
    (lambda a: a.Window(left=-1), r"Window\(left=\)=-1: expected 0 or more"),
    (lambda a: a.Window(left=True), "expected an integer, got bool"),
    (lambda a: a.Window(left=2**60), r"expected less than 2\*\*40"),
    (lambda a: a.Window(left=10**10_000), r"expected less than 2\*\*40"),
    (lambda a: a.Window(right=-(10**10_000)), "expected 0 or more"),
    (lambda a: a.KeyLengths([3, -1]), r"KeyLengths\(lengths\)=-1: expected 0 or more"),
    (lambda a: a.KeyLengths(None), r"KeyLengths\(lengths\)=None: expected an integer"),
    (lambda a: a.KeyRanges(5, 3), "first=5 lies after end=3. Pass first == end if no key is real"),
    (lambda a: a.KeyRanges([0, 5], 3), "first=5 lies after end=3 in batch row 1"),
    (lambda a: a.KeyRanges([1, 2], [3, 4, 5]), "first has 2 entries and end has 3, expected one of each"),
    (lambda a: a.Documents([0.5, 1.0]), r"Documents\(ids\) is \[0.5, 1.0\], expected integers \[key_len\]"),
    (lambda a: a.Documents([[1, 2], [3]]), "expected integers.*rows of one length"),
    (lambda a: a.Documents("1122"), "Documents.ids. is '1122', expected integers"),
    (lambda a: a.Documents(np.zeros((1, 2, 3), int)), r"is an array of int64 \[1, 2, 3\], expected integers"),
    (
        lambda a: a.Documents(np.ma.masked_array([1, 2], [False, True])),
        "masked array, whose mask would be lost",
    ),
    (lambda a: a.Documents([10**30]), "expected integers"),
    (lambda a: a.Dense(np.ones((2, 2), np.float32)), "array of float32.*expected bool.*pass bias="),
    (lambda a: a.Dense(np.ones((2, 2), int)), r"array of int64.*expected bool.*mask.astype\(bool\)"),
    (
        lambda a: a.Dense([[True]]),
        r"mask is a list, \[\[True\]\], expected a mask such as Causal.*asarray\(mask\)",
    ),
    (lambda a: a.Dense(np.ones((1,) * 5, bool)), "expected 1 to 4 axes"),
    (lambda a: a.Dense(np.broadcast_to(np.True_, (2**20, 2**20))), r"expected less than 2\*\*40 entries"),
    (lambda a: a.Dense(np.ma.masked_array([True], [True])), r"masked array.*Pass mask.filled\(False\)"),
    (lambda a: a.Mask(), r"expected one of them: Causal\(\)"),
    (
        lambda a: a.Causal() & np.ones((2, 2), bool),
        r"combined with an array of bool \[2, 2\].*Pass Dense\(array\)",
    ),
    (
        lambda a: np.ones((2, 2), bool) | a.Causal(),
        r"combined with an array of bool \[2, 2\].*Pass Dense\(array\)",
    ),
    (lambda a: a.Causal() & a.Window, "combined with <class.*expected another mask"),
    (lambda a: a.Causal() and a.Window(left=2), "join masks by & and |"),
    (lambda a: reduce(or_, [a.KeyRanges(i, i + 1) for i in range(200)]), "combined 101 deep.*one Documents"),
    (lambda a: a.Causal().visible(-1, 3), "query_len=-1: expected 0 or more"),
    (lambda a: a.Causal().visible(2**20, 2**20), r"visible\(\) writes out every entry.*less than 2\*\*40"),
    (lambda a: a.Causal().visible(3, 3, batch=2.0), "batch=2.0: expected an integer"),
    (lambda a: a.KeyLengths(4).visible(3, 3), r"KeyLengths\(4\) asks for 4 keys, expected at most key_len=3"),
    (lambda a: a.Documents([[1], [2]]).visible(1, 1, batch=3), "has 2 rows, expected 1 or batch=3"),
]


@pytest.mark.parametrize(
    ("make", "text"), BAD_MASKS, ids=[f"{i} {text[:40]}" for i, (_, text) in enumerate(BAD_MASKS)]
)
def test_a_mask_that_makes_no_sense_says_so(make: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(at.AttentionMaskError, match=text) as caught:
        make(at)
    assert len(str(caught.value)) < 400


def test_a_hundred_masks_deep_is_fine() -> None:
    mask = reduce(or_, [at.KeyRanges(2 * i, 2 * i + 1) for i in range(100)])
    assert mask.visible(1, 200).sum() == 100
    assert hash(mask)
    assert mask.explain(query=0, key=7, key_len=200).startswith("hidden: KeyRanges, key 7 is padding")
    assert len(repr(mask).splitlines()) > 16
