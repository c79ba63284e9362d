"""Weights, written by hand, that make a transformer continue sequences that occurred before.

Layer 0 adds to every position which bytes precede it: head n attends to the byte n + 1 back.
The induction head of layer 1 then searches for an earlier position whose *past* equals what is here now,

    query: the byte here, 1 back, 2 back, ...        key: 1 back, 2 back, 3 back, ...

and copies the byte of that position: the one that came next last time.

    text   T h e   c a t   s a t .   T h e   c a
                     ^ past: "ca"              ^ now: "ca", so copy "t"

Trained models form previous-token and induction heads much like these: Olsson et al. 2022, "In-context
Learning and Induction Heads", arXiv:2209.11895.
"""

import numpy as np

from attnscope.models.layer import NO_SINK, Floats, Layer
from attnscope.models.transformer import Transformer
from attnscope.positions import apply_rotary

REACH = 6  # bytes of the past that are compared
ROTARY_DIM = 32  # of the previous-byte heads: 16 rotary pairs
SHARPNESS = 32.0  # of the previous-byte heads: a near miss weighs e^44 times less than a hit
MATCH = 9.0  # the score of an equal bit of the nearest byte; a third of it for each byte further back
RECENCY = 3e-4  # the latest of several equal matches has a slightly higher score
VOTE = 32.0  # the logit of a byte that has all weight of the induction head
BACKGROUND_VOTE = 0.1  # the vote of the background head, relative to the induction head's

# The axes of the residual stream.
BYTE = slice(0, 256)  # the byte here, one-hot
ONE = 256  # always 1, from which constant queries and keys are made
PAST = [
    slice(257 + 8 * n, 265 + 8 * n) for n in range(REACH)
]  # bits of the byte n + 1 back; 0 if there is none
NEXT = slice(257 + 8 * REACH, 513 + 8 * REACH)  # votes for the next byte
WIDTH = NEXT.stop

# The eight bits of a byte as +1 and -1: the dot product of two bytes is 8 - 2 * (bits that differ).
BITS = np.where(np.arange(256)[:, None] >> np.arange(8) & 1, 1.0, -1.0).astype(np.float32)


def copying_transformer() -> Transformer:
    """Make a transformer over bytes that continues sequences that occurred before.

    Returns
    -------
    Transformer
        Two layers: previous-byte heads, then an induction head and a background head.

    References
    ----------
    Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv:2209.11895.

    Examples
    --------
    >>> copying_transformer().generate(b"Ada Lovelace wrote the notes. Ada Lo", 6)
    b'velace'
    """
    embedding = zeros(256, WIDTH)
    embedding[:, BYTE] = np.eye(256)
    embedding[:, ONE] = 1
    unembedding = zeros(WIDTH, 256)
    unembedding[NEXT] = VOTE * np.eye(256)
    return Transformer(embedding, (previous_bytes(), induction_and_background()), unembedding)


def previous_bytes() -> Layer:
    """Head n attends to the byte n + 1 back, by rotary positions alone.

    Every key is the same vector, rotated by its position j. Every query is that vector too, rotated by its
    position i and, in W_q, back by n + 1. Their dot product, a sum of cos((i - n - 1 - j) angle) over the
    pairs, is largest at j = i - n - 1. The logit of the sink is halfway between that hit and the next best
    key, so that a head without a byte so far back reads nothing.
    """
    key = np.ones((1, ROTARY_DIM), np.float32)
    hit, near_miss = (float((key @ apply_rotary(key, [turn]).T).item()) for turn in (0, 1))
    w_q, w_k = zeros(REACH, WIDTH, ROTARY_DIM), zeros(REACH, WIDTH, ROTARY_DIM)
    w_v, w_o = zeros(REACH, WIDTH, 8), zeros(REACH, 8, WIDTH)
    for n in range(REACH):
        w_q[n, ONE] = SHARPNESS * apply_rotary(key, [-(n + 1)])[0]
        w_k[n, ONE] = key[0]
        w_v[n, BYTE] = BITS
        w_o[n, :, PAST[n]] = np.eye(8)
    sinks = np.full(REACH, SHARPNESS * (hit + near_miss) / 2, np.float32)
    names = tuple(f"{n + 1} back" for n in range(REACH))
    return Layer(names, w_q, w_k, w_v, w_o, zeros(REACH), sinks, rotary=True)


def induction_and_background() -> Layer:
    """One head copies what followed the best match; the other reads all bytes equally, with a small vote.

    A match of all bits scores 8 * sum(worth). If not even half of that is found, the sink of the induction
    head has the weight, and only the background head's byte frequencies remain.
    """
    worth = MATCH / 3.0 ** np.arange(REACH)
    w_q, w_k = zeros(2, WIDTH, 8 * REACH), zeros(2, WIDTH, 8 * REACH)
    w_v, w_o = zeros(2, WIDTH, 256), zeros(2, 256, WIDTH)
    for n in range(REACH):
        bits = slice(8 * n, 8 * n + 8)
        if n == 0:
            w_q[0, BYTE, bits] = worth[n] * BITS
        else:
            w_q[0, PAST[n - 1], bits] = worth[n] * np.eye(8)
        w_k[0, PAST[n], bits] = np.eye(8)
    w_v[:, BYTE] = np.eye(256)
    w_o[0, :, NEXT] = np.eye(256)
    w_o[1, :, NEXT] = BACKGROUND_VOTE * np.eye(256)
    alibi_slopes = np.array([RECENCY, 0], np.float32)
    sinks = np.array([8 * worth.sum() / 2, NO_SINK], np.float32)
    return Layer(("induction", "background"), w_q, w_k, w_v, w_o, alibi_slopes, sinks, rotary=False)


def zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)
