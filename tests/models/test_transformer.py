"""The transformer computes its formula, and refuses wrong arguments."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.errors import AttentionError, AttentionFormatError, AttentionShapeError
from attnscope.models import copying_transformer
from attnscope.models.copying import VOTE

MODEL = copying_transformer()
TEXT = b"to be, or not to be, that is the question: whether to be or not to"


def test_it_computes_its_formula() -> None:
    """Layer by layer in float64, from the weights alone."""
    residual = MODEL.embedding[np.frombuffer(TEXT, np.uint8)].astype(np.float64)
    positions = np.arange(len(TEXT))
    score_mass = 0.0
    for layer in MODEL.layers:
        added = np.zeros_like(residual)
        for head in range(len(layer.names)):
            query, key, value = (
                residual @ w[head].astype(np.float64) for w in (layer.w_q, layer.w_k, layer.w_v)
            )
            if layer.rotary:
                query, key = at.apply_rotary(query, positions), at.apply_rotary(key, positions)
            scoring: dict[str, Any] = {
                "scale": 1.0,
                "alibi_slopes": [layer.alibi_slopes[head]],
                "sinks": [layer.sinks[head]],
            }
            added += at.reference.attention(query, key, value, mask=at.Causal(), **scoring) @ layer.w_o[head]
            score_mass = max(score_mass, (np.abs(query) @ np.abs(key).T).max())
        residual += added
    expected = residual @ MODEL.unembedding
    key_dim = max(layer.w_q.shape[-1] for layer in MODEL.layers)
    bound = (
        VOTE * 2**-24 * (2 * (key_dim + 2) * score_mass + len(TEXT) + 8)
    )  # first order: scores, then the sum
    assert np.abs(MODEL.logits(TEXT) - expected).max() <= bound


def test_generating_equals_reading_the_whole_text_anew_for_each_byte() -> None:
    text = TEXT
    for _ in range(40):
        text += bytes([int(MODEL.logits(text)[-1].argmax())])
    assert MODEL.generate(TEXT, 40) == text[len(TEXT) :]


def test_a_row_of_logits_has_the_same_bits_whatever_comes_after_it() -> None:
    whole = MODEL.logits(TEXT)
    for length in (1, 2, 33, len(TEXT) - 1):
        np.testing.assert_array_equal(MODEL.logits(TEXT[:length]), whole[:length])


def test_a_reading_has_the_arrays_of_attention() -> None:
    reading = MODEL.read(TEXT)
    tokens = len(TEXT)
    assert reading.logits.shape == (tokens, 256)
    assert [array.shape for array in reading.query] == [(6, tokens, 32), (2, tokens, 48)]
    assert [array.shape for array in reading.key] == [(6, tokens, 32), (2, tokens, 48)]
    assert [array.shape for array in reading.value] == [(6, tokens, 8), (2, tokens, 256)]
    head = reading.head(1, 0)
    assert head.name == "induction"
    assert head.query is not None
    np.testing.assert_array_equal(head.key, reading.key[1][0])


def test_ablating_every_head_leaves_no_vote() -> None:
    every = {(layer, head) for layer, heads in ((0, 6), (1, 2)) for head in range(heads)}
    assert not MODEL.logits(TEXT, ablate=every).any()


def test_arrays_of_integers_are_tokens_too() -> None:
    as_integers = np.frombuffer(TEXT, np.uint8).astype(np.int64)
    np.testing.assert_array_equal(MODEL.logits(as_integers), MODEL.logits(TEXT))


def test_no_text_has_no_logits() -> None:
    assert MODEL.logits(b"").shape == (0, 256)


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ("text", AttentionFormatError, r"tokens is str.*Use text\.encode\(\)"),
        ([1, 2], AttentionFormatError, "tokens is list, expected bytes or an array of integers"),
        (np.zeros(3), AttentionFormatError, r"dtype float64 and shape \(3,\), expected one row of integers"),
        (np.zeros((2, 3), int), AttentionFormatError, r"shape \(2, 3\), expected one row"),
        (np.array([0, 256]), AttentionFormatError, "tokens reach from 0 to 256, expected bytes: 0 to 255"),
    ],
)
def test_tokens_that_are_not_bytes_are_refused(
    tokens: Any, error: type[AttentionError], message: str
) -> None:
    with pytest.raises(error, match=message):
        MODEL.logits(tokens)


def test_a_head_that_does_not_exist_cannot_be_ablated() -> None:
    with pytest.raises(
        AttentionError, match=r"\[\(1, 2\)\].*layer 0 has heads 0 to 5, layer 1 has heads 0 to 1"
    ):
        MODEL.logits(TEXT, ablate={(1, 2), (0, 0)})


def test_generating_needs_a_text_and_a_length() -> None:
    with pytest.raises(AttentionShapeError, match=r"tokens is empty.*Pass at least one byte"):
        MODEL.generate(b"", 3)
    with pytest.raises(AttentionShapeError, match="new_tokens=-1, expected 0 or more"):
        MODEL.generate(TEXT, -1)
    assert MODEL.generate(TEXT, 0) == b""
