"""Which token belongs to which segment, from marks on characters."""

import numpy as np
import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.marking import MARKUP, Mark, MarkedText, question_after
from attnscope.inspection.text import NamedText

TEXT = MarkedText("t", "<u>cats sleep</u>", (Mark("user", 3, 13),))


def labelled(marked: MarkedText, *tokens: str) -> list[str]:
    """The segment of each of these tokens, which make the text; "" is one that a tokenizer adds."""
    ends = np.cumsum([len(token) for token in tokens])
    labels, names = marked.labels(ends - [len(token) for token in tokens], ends)
    return [names[label] for label in labels]


def test_a_token_belongs_where_its_last_character_does_and_markup_is_the_rest() -> None:
    assert labelled(TEXT, "", "<u>cats", " sleep", "</u", ">") == [MARKUP, "user", "user", MARKUP, MARKUP]


def test_names_are_those_that_have_a_token_as_they_first_occur() -> None:
    marked = MarkedText("t", "abcd", (Mark("late", 2, 4), Mark("early", 0, 2)))
    labels, names = marked.labels(np.array([0, 2]), np.array([2, 4]))
    assert (labels.tolist(), names) == ([0, 1], ("early", "late"))
    _, names = marked.labels(np.array([0]), np.array([4]))
    assert names == ("late",)


def test_later_marks_lie_over_earlier_ones() -> None:
    within = TEXT.with_documents((NamedText("folder/a.txt", " sleep\n"),))
    assert labelled(within, "<u>", "cats ", "sleep", "</u>") == [MARKUP, "user", "a.txt", MARKUP]


def test_a_document_that_is_not_in_the_chat_is_named_with_the_way_out() -> None:
    with pytest.raises(
        InspectionError, match=r"document b.txt does not occur in t, .*give the question as TEXT"
    ):
        TEXT.with_documents((NamedText("b.txt", "dogs"),))


def test_documents_are_put_before_the_question() -> None:
    marked = question_after((NamedText("x/a", "one\n"), NamedText("x/b", " two")), NamedText("q", "three?"))
    assert marked.content == "one\n\ntwo\n\nthree?"
    assert labelled(marked, "one", "\n\n", "two", "\n\n", "three?") == ["a", MARKUP, "b", MARKUP, "question"]


def test_two_documents_of_one_name_are_refused() -> None:
    documents = (NamedText("x/a", "one"), NamedText("y/a", "two"))
    with pytest.raises(InspectionError, match=r"two documents are named a, .*Rename one"):
        question_after(documents, NamedText("q", "?"))
