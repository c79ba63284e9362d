"""The shown passage is the longest that was copied from one place."""

import numpy as np
import pytest

from attnscope.models import copying_transformer
from attnscope.tour.passage import Passage, find_passage, row_statistics
from attnscope.tour.writing import predicted

MODEL = copying_transformer()


def passage_of(content: bytes, first: int = 0) -> Passage:
    tokens = np.frombuffer(content, np.uint8)
    reading = MODEL.read(tokens)
    return find_passage(tokens, predicted(tokens, reading.logits), row_statistics(reading.head(1, 0), first))


def test_it_starts_where_the_repetition_is_first_predicted() -> None:
    content = b"QWERTYUIOP, 12345 67890; <<>>. 0 1 2 QWERTYUIOP, ((()))"
    passage = passage_of(content)
    again = content.rindex(b"QWERTYUIOP")
    assert again <= passage.first < again + 3
    assert content[passage.first + 1 : passage.first + 1 + passage.length].endswith(b"TYUIOP, ")
    assert passage.source == passage.first + 1 - again


def test_a_text_in_which_nothing_recurs_has_a_passage_of_no_length() -> None:
    passage = passage_of(bytes(range(33, 127)))
    assert passage == Passage(first=92, length=0, source=0)


def test_it_does_not_begin_inside_a_character() -> None:
    content = "注意力是可微检索，可微检索是注意力。".encode() * 2
    passage = passage_of(content, first=len(content) // 2)
    assert content[passage.first + 1] & 0xC0 != 0x80


@pytest.mark.parametrize("first", [0, 40])
def test_it_is_within_the_given_rows(first: int) -> None:
    assert passage_of(b"abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh", first).first >= first
