"""Weights, written by hand, that make a transformer continue whatever has occurred before.

Layer 0 tells every position which bytes stand before it: head n reads exactly the byte n + 1 back.
Layer 1's induction head then looks for an earlier position whose *past* is what is here now,

    query: the byte here, 1 back, 2 back, ...        key: 1 back, 2 back, 3 back, ...

and copies the byte that stands there: the one that came next, last time.

    text   T h e   c a t   s a t .   T h e   c a
                     ^ past: "ca"              ^ now: "ca", so copy "t"

Source: Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv:2209.11895; a trained model
makes its own previous-token and induction heads much like these.
"""

import numpy as np

import attnscope as at
from attnscope.models.transformer import Floats, Layer, Transformer

REACH = 6  # bytes of past that are compared
TURNED_DIM = 32  # of the previous-byte heads: 16 rotary pairs
SHARPNESS = 32.0  # of the same: a near miss is e^44 times weaker than a hit
MATCH = 9.0  # what a bit in common is worth at the nearest byte; each byte further back, a third of it
RECENCY = 3e-4  # among equal matches the latest one is ahead, a little
VOTE = 32.0  # logits of a byte that all of the induction head's weight lies on
WHISPER = 0.1  # the background head's vote, beside the induction head's
NOTHING = -100.0  # a sink that draws no weight

# The residual stream's axes: which of them mean what.
BYTE = slice(0, 256)  # the byte here, one-hot
ONE = 256  # always 1: what a constant query or key is made of
PAST = [
    slice(257 + 8 * n, 265 + 8 * n) for n in range(REACH)
]  # bits of the byte n + 1 back; 0 if there is none
NEXT = slice(257 + 8 * REACH, 513 + 8 * REACH)  # votes for the byte to come
WIDTH = NEXT.stop

# A byte's eight bits as +1 and -1: the dot product of two bytes is 8 - 2 * (bits that differ).
BITS = np.where(np.arange(256)[:, None] >> np.arange(8) & 1, 1.0, -1.0).astype(np.float32)


def copying_transformer() -> Transformer:
    """Two layers over bytes: previous-byte heads that feed an induction head.

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
    """Head n finds the byte n + 1 back by rotary positions alone.

    Every key is the same vector, turned by its position j. Every query is that vector too, turned by its
    position i and, in W_q, back by n + 1: their dot product, a sum of cos((i - n - 1 - j) angle) over the
    pairs, is largest at j = i - n - 1. The sink lies halfway between that hit and the next best, so that
    before the text begins the head reads nothing.
    """
    key = np.ones((1, TURNED_DIM), np.float32)
    hit, near_miss = (float((key @ at.apply_rotary(key, [turn]).T).item()) for turn in (0, 1))
    w_q, w_k = zeros(REACH, WIDTH, TURNED_DIM), zeros(REACH, WIDTH, TURNED_DIM)
    w_v, w_o = zeros(REACH, WIDTH, 8), zeros(REACH, 8, WIDTH)
    for n in range(REACH):
        w_q[n, ONE] = SHARPNESS * at.apply_rotary(key, [-(n + 1)])[0]
        w_k[n, ONE] = key[0]
        w_v[n, BYTE] = BITS
        w_o[n, :, PAST[n]] = np.eye(8)
    sinks = np.full(REACH, SHARPNESS * (hit + near_miss) / 2, np.float32)
    names = tuple(f"{n + 1} back" for n in range(REACH))
    return Layer(names, w_q, w_k, w_v, w_o, zeros(REACH), sinks, rotary=True)


def induction_and_background() -> Layer:
    """One head copies what followed the best match; the other reads everything alike, and whispers it.

    A match of all bits scores 8 * sum(worth). Where not even half of that is found, the induction head's sink
    takes over and it copies nothing: the background's byte frequencies are all that is left.
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
    w_o[1, :, NEXT] = WHISPER * np.eye(256)
    alibi_slopes = np.array([RECENCY, 0], np.float32)
    sinks = np.array([8 * worth.sum() / 2, NOTHING], np.float32)
    return Layer(("induction", "background"), w_q, w_k, w_v, w_o, alibi_slopes, sinks, rotary=False)


def zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)
