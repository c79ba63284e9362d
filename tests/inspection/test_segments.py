"""Ranges of tokens and numbers of layers, as they are written on the command line."""

import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.segments import MOST_SEGMENTS, check_count, read_layers, read_ranges


def test_ranges_may_come_in_any_order_and_a_name_twice() -> None:
    labels, names = read_ranges(["b:3-4", "a:0-3", "b:4-"], 6, None)
    assert (labels.tolist(), names) == ([1, 1, 1, 0, 0, 0], ("b", "a"))


def test_a_name_may_hold_a_colon() -> None:
    assert read_ranges(["doc:1:0-"], 2, None)[1] == ("doc:1",)


def test_the_rest_is_named_only_where_one_asks() -> None:
    labels, names = read_ranges(["a:1-2"], 4, "rest")
    assert (labels.tolist(), names) == ([1, 0, 1, 1], ("a", "rest"))
    assert read_ranges(["a:0-4"], 4, "rest")[1] == ("a",)  # nothing is left
    assert read_ranges(["a:0-1", "b:1-2"], 4, "a")[0].tolist() == [0, 1, 0, 0]
    with pytest.raises(
        InspectionError, match=r"leave out 3 of 4 tokens, the first is token 0. Name the rest: --rest NAME"
    ):
        read_ranges(["a:1-2"], 4, None)


def test_an_overlap_is_named() -> None:
    with pytest.raises(
        InspectionError, match=r"segments 'a' and 'b' overlap at token 2, expected each token in one"
    ):
        read_ranges(["a:0-3", "b:2-5"], 5, None)


@pytest.mark.parametrize("given", ["a", "a:", ":0-3", "a:x-3", "a:3", "a:-3", ""])
def test_another_form_is_refused_with_the_right_one(given: str) -> None:
    with pytest.raises(InspectionError, match=r"expected NAME:START-END in tokens, such as system:0-40"):
        read_ranges([given], 5, None)


@pytest.mark.parametrize("given", ["a:0-6", "a:3-3", "a:4-2", "a:5-"])
def test_a_range_beyond_the_text_or_without_tokens_is_refused(given: str) -> None:
    with pytest.raises(InspectionError, match=r"expected START < END <= 5, the number of tokens"):
        read_ranges([given], 5, None)


def test_more_segments_than_can_be_observed_are_refused() -> None:
    check_count(["x"] * MOST_SEGMENTS)
    with pytest.raises(InspectionError, match=r"there are 65 segments, expected at most 64"):
        check_count(["x"] * (MOST_SEGMENTS + 1))


@pytest.mark.parametrize(
    ("given", "layers"), [(None, [0, 1, 2, 3]), ("2", [2]), ("0-1, 3", [0, 1, 3]), ("3,1-2", [1, 2, 3])]
)
def test_layers_are_numbers_and_ranges(given: str | None, layers: list[int]) -> None:
    assert read_layers(given, 4) == layers


@pytest.mark.parametrize(
    ("given", "said"),
    [("x", "expected numbers and ranges, such as 0-3,7"), ("1-", "expected numbers"), ("", "expected numbers"),
     ("4", "expected layers from 0 to 3, as the model has 4"), ("2-1", "expected layers"), ("2-9", "expected layers")],
)  # fmt: skip
def test_layers_that_are_not_there_are_refused(given: str, said: str) -> None:
    with pytest.raises(InspectionError, match=said):
        read_layers(given, 4)
