"""Observing over a cache gives the bits of observing over arrays."""

from typing import Any

import numpy as np
import pytest

import attnscope as at

RNG = np.random.default_rng(9)
LENGTHS = (70, 133, 1)
QUERY = RNG.standard_normal((3, 4, 1, 8)).astype(np.float32)
ARRAYS = [[RNG.standard_normal((2, n, 8)).astype(np.float32) for _ in range(2)] for n in LENGTHS]


def filled(**options: Any) -> tuple[at.KVCache, list[int]]:
    cache = at.KVCache(layers=1, kv_heads=2, key_dim=8, page_tokens=16, **options)
    sequences = [cache.new_sequence() for _ in LENGTHS]
    for sequence, (key, value) in zip(sequences, ARRAYS, strict=True):
        cache.append(sequence, 0, key, value)
    return cache, sequences


@pytest.mark.parametrize("query_len", [1, 40, 133])
def test_one_sequence_is_as_its_arrays_are(query_len: int) -> None:
    cache, sequences = filled()
    query = RNG.standard_normal((4, query_len, 8)).astype(np.float32)
    asked: dict[str, Any] = {
        "segments": np.arange(133) // 50,
        "top_keys": 3,
        "received": True,
        "block_map_size": 6,
    }
    seen = at.observation.cached(cache, sequences[1], 0, query, **asked)
    whole = at.observe(query, *ARRAYS[1], mask=at.Causal(), **asked)
    for name, array in vars(whole).items():
        if isinstance(array, np.ndarray):
            assert getattr(seen, name).tobytes() == array.tobytes(), name
    assert seen.output.tobytes() == cache.attend(sequences[1], 0, query).tobytes()


def test_sequences_of_different_length_each_have_their_own_statistics() -> None:
    cache, sequences = filled()
    labels = np.arange(133) % 3
    seen = at.observation.cached(cache, sequences, 0, QUERY, segments=labels, received=True, first_keys=2)
    for row, length in enumerate(LENGTHS):
        alone = at.observe(
            QUERY[row],
            *ARRAYS[row],
            mask=at.Causal(),
            segments={"0": (0, length)},
            received=True,
            first_keys=2,
        )
        for name in (
            "output",
            "entropy",
            "max_key",
            "max_weight",
            "first_mass",
            "mean_distance",
            "visible_keys",
        ):
            assert getattr(seen, name)[row].tobytes() == getattr(alone, name).tobytes(), name
        assert seen.received is not None
        assert alone.received is not None
        assert seen.received[row, :, :length].tobytes() == alone.received.tobytes()
        assert not seen.received[row, :, length:].any()


def test_a_window_that_has_dropped_pages_is_joined() -> None:
    cache, sequences = filled(window=at.Window(left=20, right=0))
    seen = at.observation.cached(cache, sequences[1], 0, QUERY[1], received=True)
    whole = at.observe(QUERY[1], *ARRAYS[1], mask=at.Window(left=20, right=0), received=True)
    assert (seen.visible_keys == 21).all()
    assert seen.entropy.tobytes() == whole.entropy.tobytes()
    assert seen.received is not None
    assert whole.received is not None
    assert seen.received.tobytes() == whole.received.tobytes()


def test_decoded_tokens_join_to_the_prefill() -> None:
    cache = at.KVCache(layers=1, kv_heads=2, key_dim=8)
    text = cache.new_sequence()
    key, value = ARRAYS[1]
    query = RNG.standard_normal((4, 133, 8)).astype(np.float32)
    chunks = []
    for first, end in ((0, 100), *((i, i + 1) for i in range(100, 133))):
        cache.append(text, 0, key[:, first:end], value[:, first:end])
        chunks.append(at.observation.cached(cache, text, 0, query[:, first:end]))
    whole = at.observe(query, key, value, mask=at.Causal())
    assert at.observation.join(*chunks).entropy.tobytes() == whole.entropy.tobytes()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_short_formats_are_observed_as_they_are_read(dtype: str) -> None:
    import ml_dtypes

    cache = at.KVCache(layers=1, kv_heads=2, key_dim=8, dtype=dtype)
    text = cache.new_sequence()
    narrow = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "int8": np.float32}[dtype]
    cache.append(text, 0, *(x.astype(narrow) for x in ARRAYS[1]))
    seen = at.observation.cached(cache, text, 0, QUERY[1], received=True)
    wide = [x.astype(np.float32) for x in cache.stored(text, 0)]
    whole = at.observe(QUERY[1], *wide, mask=at.Causal(), received=True)
    assert seen.entropy.tobytes() == whole.entropy.tobytes()
    assert seen.received is not None
    assert whole.received is not None
    assert seen.received.tobytes() == whole.received.tobytes()


@pytest.mark.parametrize(
    ("sequences", "query", "message"),
    [
        (0, QUERY, "query has shape .* for sequences=0, expected \\[query_heads, query_len, key_dim\\]"),
        ([0, 1, 2], QUERY[0], "query has shape .* for sequences=\\[0, 1, 2\\]"),
        (7, QUERY[0], "sequence 7 was never made"),
    ],
)
def test_bad_input_is_refused(sequences: Any, query: Any, message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        at.observation.cached(filled()[0], sequences, 0, query)
