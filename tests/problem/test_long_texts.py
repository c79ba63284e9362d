"""Masks of long texts lower in memory of the rows, and quickly."""

import tracemalloc
from time import perf_counter

import numpy as np
import pytest

import attnscope as at
from attnscope.problem import KeyBitmap, KeySpans, lower

TOKENS = 131_072
ROWS_OF_64_BITS = 8 * TOKENS
LONG_MASKS = {
    "causal": at.Causal(),
    "window": at.Window(left=4095, right=0),
    "window and first keys": at.Window(left=4095, right=0) | (at.Prefix(4) & at.Causal()),
    "padding": at.Causal() & at.KeyRanges(100, TOKENS - 7),
    "documents": at.Documents(np.repeat(np.arange(512), 256)),
    "causal documents": at.Documents(np.arange(TOKENS) // 3) & at.Causal(),
    "padding as an array": at.Causal() & at.Dense(np.arange(TOKENS) > 100),
    "documents in two runs": at.Documents(np.tile(np.repeat(np.arange(256), 256), 2)),
}


@pytest.mark.parametrize("mask", LONG_MASKS.values(), ids=LONG_MASKS)
def test_long_texts_lower_in_memory_of_the_rows(mask: at.Mask) -> None:
    shape = at.AttentionShape(1, 1, 1, TOKENS, TOKENS, 64, 64)
    started = perf_counter()
    lower(mask, shape)
    seconds = perf_counter() - started
    tracemalloc.start()
    lowered = lower(mask, shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(lowered, KeySpans)
    assert peak < 64 * ROWS_OF_64_BITS  # a few arrays of rows and their runs; the matrix would be 16 GiB
    assert seconds < 1


@pytest.mark.parametrize(
    "mask",
    [at.Dense(np.ones((8192, 8192), bool)) & at.Window(left=100), at.Documents(np.arange(8192) % 9)],
    ids=["an array and a window", "documents in many runs"],
)
def test_bits_are_made_in_little_more_than_their_own_memory(mask: at.Mask) -> None:
    bits_bytes = 8192 * 8192 // 8
    tracemalloc.start()
    lowered = lower(mask, at.AttentionShape(1, 1, 1, 8192, 8192, 64, 64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(lowered, KeyBitmap)
    assert lowered.words.nbytes == bits_bytes
    assert peak < 4 * bits_bytes  # half of what a byte an entry would take


@pytest.mark.parametrize(
    ("mask", "query_len", "key_len"),
    [(at.Causal(), TOKENS, TOKENS), (at.Documents(np.arange(2 * TOKENS) // 9), 1, 2 * TOKENS)],
    ids=["long spans", "long ids"],
)
def test_what_is_large_is_lowered_anew_rather_than_kept(mask: at.Mask, query_len: int, key_len: int) -> None:
    shape = at.AttentionShape(1, 1, 1, query_len, key_len, 64, 64)
    assert lower(mask, shape) is not lower(mask, shape)
