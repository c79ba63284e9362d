"""The hand-written model as a subject: bytes as tokens, and what it generates."""

import numpy as np
import pytest

from attnscope.inspection.hand_written import HandWritten

SUBJECT = HandWritten()


def test_tokens_are_bytes_and_each_character_has_one_piece() -> None:
    tokens = SUBJECT.tokenize("aé☃", templated=False)
    assert tokens.ids.tolist() == list("aé☃".encode())
    assert tokens.pieces == ("a", "é", "", "☃", "", "")
    assert tokens.starts.tolist() == [0, 1, 1, 2, 2, 2]
    assert (tokens.ends - tokens.starts == 1).all()


def test_no_text_has_no_token() -> None:
    assert len(SUBJECT.tokenize("", templated=False).ids) == 0


@pytest.mark.parametrize(
    ("text", "new_tokens", "pieces"),
    [
        ("Ada Lovelace. Ada Lov", 5, ("e", "l", "a", "c", "e")),
        ("a snow☃man. a snow", 3, ("☃", "", "")),
        ("a snow☃man. a snow", 2, ("\ufffd", "\ufffd")),  # a character that is not finished
    ],
)
def test_it_generates_byte_by_byte(text: str, new_tokens: int, pieces: tuple[str, ...]) -> None:
    tokens = SUBJECT.tokenize(text, templated=False)
    generated = SUBJECT.generate(tokens, new_tokens)
    assert generated.pieces[len(tokens.ids) :] == pieces
    assert generated.ids.tolist()[: len(tokens.ids)] == tokens.ids.tolist()
    assert (generated.starts[len(tokens.ids) :] == generated.ends[len(tokens.ids) :]).all()


def test_the_requested_layers_are_observed() -> None:
    tokens = SUBJECT.tokenize("the cat. the cat", templated=False)
    steps: list[int] = []
    (seen,) = SUBJECT.observe(tokens, [1], {"top_keys": 2}, steps.append)
    assert (seen.number, seen.head_names, steps) == (1, ("induction", "background"), [1])
    assert np.isfinite(seen.observation.entropy).all()
