"""The hand-written model as a subject: bytes as tokens, and what it writes."""

import numpy as np
import pytest

from attnscope.inspection.by_hand import HandWritten

SUBJECT = HandWritten()


def test_tokens_are_bytes_and_a_character_is_said_once() -> None:
    tokens = SUBJECT.tokenize("aé☃", templated=False)
    assert tokens.ids.tolist() == list("aé☃".encode())
    assert tokens.pieces == ("a", "é", "", "☃", "", "")
    assert tokens.starts.tolist() == [0, 1, 1, 2, 2, 2]
    assert (tokens.ends - tokens.starts == 1).all()


def test_no_text_has_no_token() -> None:
    assert len(SUBJECT.tokenize("", templated=False).ids) == 0


@pytest.mark.parametrize(("text", "new_tokens", "pieces"), [
    ("Ada Lovelace. Ada Lov", 5, ("e", "l", "a", "c", "e")),
    ("a snow☃man. a snow", 3, ("☃", "", "")),
    ("a snow☃man. a snow", 2, ("\ufffd", "\ufffd")),  # a character that is not finished
])  # fmt: skip
def test_it_writes_on_byte_by_byte(text: str, new_tokens: int, pieces: tuple[str, ...]) -> None:
    tokens = SUBJECT.tokenize(text, templated=False)
    written = SUBJECT.write_on(tokens, new_tokens)
    assert written.pieces[len(tokens.ids) :] == pieces
    assert written.ids.tolist()[: len(tokens.ids)] == tokens.ids.tolist()
    assert (written.starts[len(tokens.ids) :] == written.ends[len(tokens.ids) :]).all()


def test_layers_are_handed_out_as_they_are_asked_for() -> None:
    tokens = SUBJECT.tokenize("the cat. the cat", templated=False)
    told: list[int] = []
    (seen,) = SUBJECT.observe(tokens, [1], {"top_keys": 2}, told.append)
    assert (seen.number, seen.head_names, told) == (1, ("induction", "background"), [1])
    assert np.isfinite(seen.observation.entropy).all()
