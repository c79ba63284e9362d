"""Heads made to do one thing get the score that is named after it."""

import numpy as np
import pytest

import attnscope as at
from tests.tolerance import of_a_sum

TOKENS = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
N = len(TOKENS)


def head_that_reads(target: np.ndarray, strength: float = 60.0) -> at.Observation:
    """Row i gives nearly all its weight to target[i], and spreads what is left."""
    keys = np.eye(N, dtype=np.float32)
    bias = np.zeros((N, N), np.float32)
    bias[np.arange(N), target] = strength
    return at.observe(np.zeros_like(keys), keys, keys, mask=at.Causal(), bias=bias, top_keys=3)


def latest(matches: np.ndarray, otherwise: int = 0) -> np.ndarray:
    """For each token the last key for which matches[i, key] holds."""
    return np.array([max(np.flatnonzero(row), default=otherwise) for row in matches])


EARLIER = np.tril(np.ones((N, N), bool), -1)
SAME = (TOKENS[:, None] == TOKENS) & EARLIER
AFTER_SAME = np.roll(SAME, 1, axis=1)
AFTER_SAME[:, 0] = False


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("previous_token", np.maximum(np.arange(N) - 1, 0)),
        ("first_token", np.zeros(N, int)),
        ("duplicate_token", latest(SAME)),
        ("induction", latest(AFTER_SAME)),
    ],
)
def test_a_head_made_for_it_scores_one(kind: str, target: np.ndarray) -> None:
    scores = at.observation.head_scores(head_that_reads(target), TOKENS)
    assert getattr(scores, kind)[0, 0] == pytest.approx(1.0, abs=of_a_sum(N))
    assert scores.unseen[0, 0] == pytest.approx(0.0, abs=of_a_sum(N))


def test_what_was_not_seen_is_told() -> None:
    flat = head_that_reads(
        np.zeros(N, int), strength=0.0
    )  # row i gives 1 / (i + 1) to each, and three are kept
    scores = at.observation.head_scores(flat, TOKENS)
    missed = np.mean([max(0.0, 1 - 3 / (i + 1)) for i in range(N)])
    assert scores.unseen[0, 0] == pytest.approx(missed, abs=of_a_sum(N))
    exact = np.mean([1 / (i + 1) for i in range(1, N)])
    assert scores.previous_token[0, 0] <= exact + of_a_sum(N)
    assert scores.first_token[0, 0] == pytest.approx(exact, abs=of_a_sum(N))  # of equals the first are kept
    assert "previous_token" in repr(scores)


def test_a_chunk_beside_a_cache_knows_where_it_stands() -> None:
    keys = np.eye(N, dtype=np.float32)
    bias = np.zeros((4, N), np.float32)
    bias[np.arange(4), np.arange(N - 5, N - 1)] = 60.0
    seen = at.observe(np.zeros_like(keys[:4]), keys, keys, mask=at.Causal(), bias=bias, top_keys=1)
    assert at.observation.head_scores(seen, TOKENS).previous_token[0, 0] == pytest.approx(
        1.0, abs=of_a_sum(N)
    )


@pytest.mark.parametrize(
    ("top_keys", "tokens", "message"),
    [
        (0, TOKENS, "has no top_keys: call observe\\(..., top_keys=8\\)"),
        (
            2,
            TOKENS[:-1],
            "token_ids is an array of int64 \\[9\\], expected integers, one for each of the 10 keys",
        ),
        (2, TOKENS * 1.0, "token_ids is an array of float64"),
    ],
)
def test_bad_input_is_refused(top_keys: int, tokens: np.ndarray, message: str) -> None:
    keys = np.eye(N, dtype=np.float32)
    seen = at.observe(keys, keys, keys, top_keys=top_keys)
    with pytest.raises(at.AttentionError, match=message):
        at.observation.head_scores(seen, tokens)
