"""The hand-written weights do what they are meant to do, head by head and together."""

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.models import Reading, copying_transformer
from attnscope.models.copying import BITS, REACH
from tests.tolerance import of_a_sum

MODEL = copying_transformer()
INDUCTION = (1, 0)
PREVIOUS = [(0, n) for n in range(REACH)]
TEXT = b"The kernel is judged by the reference; the reference is judged by hand. "
NAMES = b"Ada Lovelace wrote the notes; Grace Hopper wrote the compiler. Then Grace Hop"


def weights_of(reading: Reading, layer: int, head: int) -> NDArray[np.float64]:
    seen = reading.head(layer, head)
    return at.reference.weights(
        seen.query,
        seen.key,
        mask=at.Causal(),
        scale=1.0,
        alibi_slopes=[seen.slope],
        sinks=[seen.sink],
    )


def random_bytes(seed: int, symbols: int, length: int) -> bytes:
    return np.random.default_rng(seed).integers(0, symbols, length, np.uint8).tobytes()


@pytest.mark.parametrize(("symbols", "length"), [(256, 40), (256, 300), (26, 200)])
@pytest.mark.parametrize("seed", range(3))
def test_a_repeated_random_sequence_is_continued_exactly(seed: int, symbols: int, length: int) -> None:
    sequence = random_bytes(seed, symbols, length)
    assert MODEL.generate(sequence + sequence[:8], length - 8) == sequence[8:]


def test_a_name_that_occurred_before_is_completed() -> None:
    assert MODEL.generate(NAMES, 4) == b"per "


def test_without_the_induction_head_no_name_is_completed() -> None:
    written = MODEL.generate(NAMES, 4, ablate={INDUCTION})
    assert written == b"    "  # what is left is the most frequent byte


def test_without_the_previous_byte_heads_the_induction_head_has_nothing_to_match() -> None:
    assert MODEL.generate(NAMES, 4, ablate=set(PREVIOUS)) == MODEL.generate(NAMES, 4, ablate={INDUCTION})


@pytest.mark.parametrize("n", range(REACH))
def test_a_previous_byte_head_reads_one_byte_and_nothing_before_the_text(n: int) -> None:
    weights = weights_of(MODEL.read(TEXT), 0, n)
    expected = np.eye(len(TEXT), k=-(n + 1))
    assert np.abs(weights - expected).max() < np.exp(-21)  # half of the e^44 between a hit and a near miss


@pytest.mark.parametrize("n", [0, REACH - 1])
def test_the_previous_byte_heads_still_hit_far_into_a_text(n: int) -> None:
    layer = MODEL.layers[0]
    residual = MODEL.embedding[np.zeros(20_001, np.uint8)]
    query, _, _ = layer.queries_keys_values(residual[-1:], np.array([20_000]))
    _, keys, _ = layer.queries_keys_values(residual, np.arange(20_001))
    scores = (keys[n] @ query[n].T)[:, 0]
    hit = 20_000 - (n + 1)
    assert scores.argmax() == hit
    assert scores[hit] > layer.sinks[n] > np.delete(scores, hit).max()


def test_the_bits_of_the_past_arrive_without_rounding() -> None:
    tokens = np.frombuffer(TEXT, np.uint8)
    past = MODEL.read(TEXT).key[1][0].reshape(len(TEXT), REACH, 8)
    for n in range(REACH):
        np.testing.assert_array_equal(past[n + 1 :, n], BITS[tokens[: -(n + 1)]])
        assert np.abs(past[: n + 1, n]).max() < np.exp(-21)  # before the text there is nothing


def test_the_induction_head_reads_the_byte_that_came_next_last_time() -> None:
    text = b"one fish, two birds, red fi"
    weights = weights_of(MODEL.read(text), 1, 0)
    assert weights[-1].argmax() == text.index(b"sh, two")


def test_among_equal_matches_the_latest_is_ahead() -> None:
    logits = MODEL.logits(b"key=1; key=2; key=")[-1]
    assert logits[ord("2")] > logits[ord("1")] > logits[ord("3")]


def test_a_longer_match_beats_a_later_one() -> None:
    assert MODEL.generate(b"blue sky. grey sea. green sea! grey se", 2) == b"a."


def test_an_unknown_past_leaves_the_induction_head_on_its_sink() -> None:
    weights = weights_of(MODEL.read(b"aaaaaaaa" + bytes([0x16])), 1, 0)  # every bit but two differs from "a"
    assert weights[-1].sum() < 1e-6


def test_the_background_head_has_uniform_weights() -> None:
    """All scores are 0, and e^-100 of the sink is far below rounding: only sum and quotient are rounded."""
    weights = weights_of(MODEL.read(TEXT), 1, 1)
    expected = np.tri(len(TEXT)) / np.arange(1, len(TEXT) + 1)[:, None]
    np.testing.assert_allclose(weights, expected, rtol=of_a_sum(len(TEXT), np.float64))


def test_a_leak_predicts_the_next_byte_and_a_perturbation_detects_it() -> None:
    tokens = np.frombuffer(TEXT * 3, np.uint8)
    other = tokens.copy()
    other[100] ^= 1
    leak = at.Causal(offset=1)
    predicted = MODEL.logits(tokens, mask=leak)[:-1].argmax(axis=-1) == tokens[1:]
    assert predicted.mean() > 0.9
    leaking = MODEL.logits(tokens, mask=leak)[:100] != MODEL.logits(other, mask=leak)[:100]
    assert np.flatnonzero(leaking.any(axis=-1)).tolist() == [99]
    np.testing.assert_array_equal(MODEL.logits(tokens)[:100], MODEL.logits(other)[:100])


def test_it_reads_ten_thousand_bytes() -> None:
    sequence = random_bytes(0, 256, 5_000)
    logits = MODEL.logits(sequence + sequence)
    right = logits[5_006:-1].argmax(axis=-1) == np.frombuffer(sequence[7:], np.uint8)
    assert right.all()
