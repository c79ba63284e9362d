"""A request checks itself, falls back to the example, and chooses layers."""

from pathlib import Path
from typing import Any

import pytest

from attnscope.inspection import InspectionError, Request
from attnscope.inspection.request import EXAMPLE_DOCUMENTS, EXAMPLE_NEW_TOKENS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "x", "chat": Path("c")}, r"TEXT and --chat FILE exclude each other. Give one of them"),
        (
            {"text": "x", "rest": "r"},
            r"rest='r' names the tokens that --segments leave out, but there are no",
        ),
        ({"text": "x", "new_tokens": -1}, r"new-tokens=-1, expected 0 or more"),
        (
            {"documents": (Path("d"),)},
            r"--document needs a question. Give it as TEXT, or give the whole chat by",
        ),
    ],
)
def test_contradicting_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        Request(**arguments)


def test_without_a_text_it_is_the_example() -> None:
    chat, question = (Request(rest=None).or_example(chats=chats) for chats in (True, False))
    assert chat.chat is not None
    assert question.text is not None
    for example in (chat, question):
        assert example.is_example
        assert example.documents == EXAMPLE_DOCUMENTS
        assert example.new_tokens == EXAMPLE_NEW_TOKENS
    assert Request(model=Path("m")).or_example(chats=True).new_tokens == 0
    assert Request(new_tokens=3).or_example(chats=True).new_tokens == 3
    assert Request("the cat").or_example(chats=True) == Request("the cat")


@pytest.mark.parametrize(
    ("given", "layers"), [(None, [0, 1, 2, 3]), ("2", [2]), ("0-1, 3", [0, 1, 3]), ("3,1-2", [1, 2, 3])]
)
def test_layers_are_numbers_and_ranges(given: str | None, layers: list[int]) -> None:
    assert Request(layers=given).chosen_layers(range(4)) == layers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x", "expected numbers and ranges such as 0-3,7"),
        ("1-", "expected numbers"),
        ("", "expected numbers"),
        ("4", "expected layers from 0 to 3: the model has 4"),
        ("2-1", "expected layers"),
        ("2-9", "expected layers"),
        ("9" * 5000, "expected numbers"),
    ],
)
def test_layers_that_do_not_exist_are_refused(given: str, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        Request(layers=given).chosen_layers(range(4))
