"""A mask prints in a line, and draws itself small whatever its size."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from tests.problems import masks, sizes

TALLEST = 1 + 16 + 2  # the text, the cells, what a cell is, and which batch row


@given(st.data())
def test_a_mask_draws_itself_small_and_prints_in_a_line(data: st.DataObject) -> None:
    mask = data.draw(masks(data.draw(sizes(max_tokens=40))))
    assert "\n" not in str(mask)
    drawn = repr(mask).splitlines()
    assert drawn[0] == str(mask)
    assert 2 <= len(drawn) <= TALLEST
    assert all(len(line) <= 80 for line in drawn[1:])


PICTURES = {
    at.Window(left=1, right=0): """
  ■ · · · · · · ·
  ■ ■ · · · · · ·
  · ■ ■ · · · · ·
  · · ■ ■ · · · ·
  · · · ■ ■ · · ·
  · · · · ■ ■ · ·
  · · · · · ■ ■ ·
  · · · · · · ■ ■""",
    at.Causal() | at.Prefix(3): """
  ■ ■ ■ · · · · ·
  ■ ■ ■ · · · · ·
  ■ ■ ■ · · · · ·
  ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ · · ·
  ■ ■ ■ ■ ■ ■ · ·
  ■ ■ ■ ■ ■ ■ ■ ·
  ■ ■ ■ ■ ■ ■ ■ ■""",
    at.Causal() & at.Documents([0, 0, 1, 1, 1]): """
  ■ · · · ·
  ■ ■ · · ·
  · · ■ · ·
  · · ■ ■ ·
  · · ■ ■ ■""",
    at.Dense(np.array([[True, False, True], [False, True, True]])): """
  ■ · ■
  · ■ ■""",
    at.KeyLengths([2, 3]): """
  ■ ■ · · ·
  ■ ■ · · ·
  ■ ■ · · ·
  ■ ■ · · ·
  ■ ■ · · ·
  (batch row 0 of 2)""",
    at.Documents(np.repeat([0, 1], [24, 8])): """
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ ■ · · · ·
  · · · · · · · · · · · · ■ ■ ■ ■
  · · · · · · · · · · · · ■ ■ ■ ■
  · · · · · · · · · · · · ■ ■ ■ ■
  · · · · · · · · · · · · ■ ■ ■ ■
  (a cell is 2 queries x 2 keys)""",
}


@pytest.mark.parametrize(("mask", "picture"), PICTURES.items(), ids=map(str, PICTURES))
def test_the_drawing_of_a_mask(mask: at.Mask, picture: str) -> None:
    assert repr(mask) == f"{mask}{picture}"


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (at.Documents(np.repeat(np.arange(64), 2048)), "a cell is 8192 queries x 8192 keys"),
        (at.Documents(np.arange(131_072) % 40), "too large to draw: 131072 queries x 131072 keys"),
        (at.KeyLengths(10**9), "too large to draw"),
        (at.Causal() & at.KeyLengths(10**9), "too large to draw"),
        (at.Window(left=10**9), "a cell is 256 queries x 256 keys"),
        (at.Documents([1, 2, 3]) & at.Documents([1, 2]), "its parts are made for different sizes"),
        (at.Documents([]), "no query or no key"),
    ],
    ids=str,
)
def test_a_long_or_an_odd_mask_is_drawn_in_little_memory(mask: at.Mask, text: str) -> None:
    tracemalloc.start()
    drawn = repr(mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text in drawn
    assert len(drawn) < 1000
    assert peak < 128 << 20


def test_long_arguments_are_cut_short() -> None:
    assert str(at.KeyLengths(list(range(100)))) == "KeyLengths([0, 1, 2, 3, 4, 5, 6, 7, ... 100 in all])"
    assert len(str(at.Documents(np.arange(10_000).reshape(100, 100)))) < 300
