"""The segment of each token: from marks on characters, or from ranges of tokens."""

import numpy as np
import pytest

from attnscope.inspection import InspectionError, Request, Tokens
from attnscope.inspection.reader import Mark, MarkedText
from attnscope.inspection.segments import MOST_SEGMENTS, TEMPLATE, by_marks, by_ranges, segment

TEXT = MarkedText("t", "<u>cats sleep</u>", (Mark("user", 3, 13),))


def labelled(marked: MarkedText, *tokens: str) -> list[str]:
    """The segment of each of these tokens, which make the text; "" is one that a tokenizer adds."""
    ends = np.cumsum([len(token) for token in tokens])
    labels, names = by_marks(marked, ends - [len(token) for token in tokens], ends)
    return [names[label] for label in labels]


def test_a_token_belongs_to_the_segment_of_its_last_character_and_the_rest_is_template() -> None:
    found = labelled(TEXT, "", "<u>cats", " sleep", "</u", ">")
    assert found == [TEMPLATE, "user", "user", TEMPLATE, TEMPLATE]


def test_names_are_those_that_have_a_token_as_they_first_occur() -> None:
    marked = MarkedText("t", "abcd", (Mark("late", 2, 4), Mark("early", 0, 2)))
    labels, names = by_marks(marked, np.array([0, 2]), np.array([2, 4]))
    assert (labels.tolist(), names) == ([0, 1], ("early", "late"))
    _, names = by_marks(marked, np.array([0]), np.array([4]))
    assert names == ("late",)


def test_later_marks_override_earlier_ones() -> None:
    within = MarkedText("t", TEXT.content, (*TEXT.marks, Mark("a.txt", 8, 13)))
    assert labelled(within, "<u>", "cats ", "sleep", "</u>") == [TEMPLATE, "user", "a.txt", TEMPLATE]


def test_a_segment_cannot_have_the_name_of_the_template_tokens() -> None:
    with pytest.raises(InspectionError, match=r"a segment is named 'template', .*Choose another name"):
        labelled(MarkedText("t", "abcd", (Mark("template", 0, 4),)), "abcd")


def test_tokens_without_characters_cannot_be_marked() -> None:
    with pytest.raises(
        InspectionError, match=r"does not report which characters .*--segments NAME:START-END"
    ):
        by_marks(TEXT, np.zeros(3, np.int64), np.zeros(3, np.int64))


def test_ranges_may_come_in_any_order_and_a_name_twice() -> None:
    labels, names = by_ranges(["b:3-4", "a:0-3", "b:4-"], 6, None)
    assert (labels.tolist(), names) == ([1, 1, 1, 0, 0, 0], ("b", "a"))


def test_a_name_may_hold_a_colon() -> None:
    assert by_ranges(["doc:1:0-"], 2, None)[1] == ("doc:1",)


def test_the_rest_is_named_only_if_asked_for() -> None:
    labels, names = by_ranges(["a:1-2"], 4, "rest")
    assert (labels.tolist(), names) == ([1, 0, 1, 1], ("a", "rest"))
    assert by_ranges(["a:0-4"], 4, "rest")[1] == ("a",)  # nothing is left
    assert by_ranges(["a:0-1", "b:1-2"], 4, "a")[0].tolist() == [0, 1, 0, 0]
    with pytest.raises(
        InspectionError, match=r"leave out 3 of 4 tokens, the first is token 0. Name the rest: --rest NAME"
    ):
        by_ranges(["a:1-2"], 4, None)


def test_an_overlap_is_named() -> None:
    with pytest.raises(
        InspectionError, match=r"segments 'a' and 'b' overlap at token 2, expected each token in one"
    ):
        by_ranges(["a:0-3", "b:2-5"], 5, None)


@pytest.mark.parametrize("given", ["a", "a:", ":0-3", "a:x-3", "a:3", "a:-3", "", f"a:0-{'9' * 5000}"])
def test_another_form_is_refused_with_the_expected_one(given: str) -> None:
    with pytest.raises(InspectionError, match=r"expected NAME:START-END in tokens, such as system:0-40"):
        by_ranges([given], 5, None)


@pytest.mark.parametrize("given", ["a:0-6", "a:3-3", "a:4-2", "a:5-"])
def test_a_range_beyond_the_text_or_without_tokens_is_refused(given: str) -> None:
    with pytest.raises(InspectionError, match=r"expected START < END <= 5, the number of tokens"):
        by_ranges([given], 5, None)


def test_more_segments_than_can_be_observed_are_refused() -> None:
    count = MOST_SEGMENTS + 1
    places = np.arange(count)
    tokens = Tokens(places, ("x",) * count, places, places + 1)
    ranges = tuple(f"{number}:{number}-{number + 1}" for number in range(count))
    most = (*ranges[:-2], f"last:{count - 2}-")
    found = segment(Request("x", segments=most), TEXT, tokens)
    assert found is not None
    assert len(found.names) == MOST_SEGMENTS
    with pytest.raises(InspectionError, match=r"there are 65 segments, expected at most 64"):
        segment(Request("x", segments=ranges), TEXT, tokens)
