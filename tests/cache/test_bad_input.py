"""What a cache is given and cannot use: a clear error, and nothing written."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import attnscope as at
from tests.cache.texts import HEADS, KEY_DIM, KV_HEADS, VALUE_DIM, cache_of, queries_of, tokens_of

RNG = np.random.default_rng(0)
KEY, VALUE = tokens_of(RNG, 3)
QUERY = queries_of(RNG, 1)


def filled() -> tuple[at.KVCache, int, int]:
    """Two sequences of 3 and 2 tokens, and a third that has been released."""
    cache = cache_of(layers=2, page_tokens=2)
    first, second = cache.new_sequence(), cache.new_sequence()
    cache.release(cache.new_sequence())
    for layer in range(2):
        cache.append(first, layer, KEY, VALUE)
        cache.append(second, layer, KEY[:, :2], VALUE[:, :2])
    return cache, first, second


Call = Callable[[Any, Any, Any], Any]
CALLS: dict[str, tuple[Call, str]] = {
    "an unknown sequence": (lambda c, a, b: c.append(99, 0, KEY, VALUE), "sequence 99 was never made"),
    "a negative sequence": (lambda c, a, b: c.fork(-1), "sequence -1 was never made"),
    "a released sequence": (
        lambda c, a, b: c.attend([a, 2], 0, np.stack([QUERY] * 2)),
        "sequence 2 has been released",
    ),
    "a sequence released twice": (lambda c, a, b: c.release(2), "sequence 2 has been released"),
    "a sequence twice": (
        lambda c, a, b: c.attend([a, b, a], 0, np.stack([QUERY] * 3)),
        r"sequence 0 is named twice in one call. fork\(\) makes a second one",
    ),
    "an append to a sequence twice": (
        lambda c, a, b: c.append([a, a], 0, np.stack([KEY] * 2), np.stack([VALUE] * 2)),
        "sequence 0 is named twice",
    ),
    "a bool as sequence": (lambda c, a, b: c.tokens(True), "sequence=True: expected an integer"),
    "a word as sequence": (
        lambda c, a, b: c.attend("a", 0, QUERY),
        "sequences='a': expected a sequence's number",
    ),
    "a float as sequence": (lambda c, a, b: c.truncate(1.5, 1), "sequence=1.5: expected an integer"),
    "a layer out of range": (lambda c, a, b: c.append(a, 2, KEY, VALUE), "layer=2: expected 0 to 1"),
    "a negative layer": (lambda c, a, b: c.attend(a, -1, QUERY), "layer=-1: expected 0 to 1"),
    "a list as layer": (lambda c, a, b: c.attend(0, [a], QUERY), r"layer=\[0\]: expected an integer"),
    "heads that are too many": (
        lambda c, a, b: c.append(a, 0, np.concatenate([KEY, KEY]), VALUE),
        rf"key has shape \[4, 3, {KEY_DIM}\], expected \[kv_heads, tokens, dim\] = \[{KV_HEADS}, tokens, "
        rf"{KEY_DIM}\]",
    ),
    "a value of the wrong dim": (
        lambda c, a, b: c.append(a, 0, KEY, KEY),
        rf"value has shape .*tokens, {VALUE_DIM}\]",
    ),
    "a value for each key": (
        lambda c, a, b: c.append(a, 0, KEY, VALUE[:, :2]),
        "key has 3 tokens and value has 2",
    ),
    "a batch that is not one a sequence": (
        lambda c, a, b: c.append([a, b], 0, KEY[None], VALUE[None]),
        r"key has shape \[1, 2, 3, 12\], expected \[sequences, kv_heads, tokens, dim\] = \[2, ",
    ),
    "a narrower format": (
        lambda c, a, b: c.append(a, 0, KEY.astype(np.float16), VALUE),
        r"key is float16, expected float32, the format of the cache. Convert it: key.astype\(np.float32\)",
    ),
    "a wider format": (
        lambda c, a, b: c.append(a, 0, KEY, VALUE.astype(np.float64)),
        "value is float64, expected float32",
    ),
    "integers": (lambda c, a, b: c.append(a, 0, KEY.astype(int), VALUE), "key is int64, expected float32"),
    "a list": (lambda c, a, b: c.append(a, 0, KEY.tolist(), VALUE), "key is a list, expected a NumPy array"),
    "a query of the wrong dim": (
        lambda c, a, b: c.attend(a, 0, QUERY[..., 1:]),
        r"query has shape \[1, 6, 1, 11\], expected \[sequences, query_heads, query_len, key_dim\] = \[1, "
        r".*, 12\]",
    ),
    "query heads that no kv head serves": (
        lambda c, a, b: c.attend(a, 0, QUERY[:5]),
        "query_heads=5 cannot share kv_heads=2",
    ),
    "a query without its sequences": (lambda c, a, b: c.attend([a, b], 0, QUERY), "query has shape"),
    "a query of one axis": (lambda c, a, b: c.attend(a, 0, QUERY[0, 0]), "query has shape"),
    "a float64 query": (
        lambda c, a, b: c.attend(a, 0, QUERY.astype(np.float64)),
        r"query is float64, expected float32, bfloat16 or float16.*Use query.astype\(np.float32\)",
    ),
    "queries for fewer sequences": (
        lambda c, a, b: c.attend([a, b], 0, [QUERY]),
        "query is a list of 1 arrays, expected one for each of 2",
    ),
    "a list of queries for one sequence": (
        lambda c, a, b: c.attend(a, 0, [QUERY]),
        r"query is a list, expected an array for one sequence, or a list of",
    ),
    "queries of different number that are no arrays": (
        lambda c, a, b: c.attend([a, b], 0, [QUERY, QUERY[0]]),
        r"query\[1\] has shape \[1, 12\], expected",
    ),
    "queries of different number with a mask a row": (
        lambda c, a, b: c.attend([a, b], 0, [QUERY, queries_of(RNG, 2)], mask=at.KeyLengths([1, 2])),
        r"expected one mask for all.*Call attend\(\) once per sequence",
    ),
    "queries of different number with a bias": (
        lambda c, a, b: c.attend(
            [a, b], 0, [QUERY, queries_of(RNG, 2)], bias=np.zeros((2, 1, 1, 3), np.float32)
        ),
        "bias is an array, but the queries differ in length",
    ),
    "a mask of the wrong size": (
        lambda c, a, b: c.attend(a, 0, QUERY, mask=np.ones((1, 5), np.bool_)),
        "key_len",
    ),
    "a bias of the wrong size": (
        lambda c, a, b: c.attend(a, 0, QUERY, bias=np.zeros((1, 5), np.float32)),
        "bias has shape",
    ),
    "sinks of the wrong number": (lambda c, a, b: c.attend(a, 0, QUERY, sinks=[1.0, 2.0]), "sinks has shape"),
    "a scale of 0": (lambda c, a, b: c.attend(a, 0, QUERY, scale=0.0), "scale=0.0: expected a positive"),
    "no threads": (lambda c, a, b: c.attend(a, 0, QUERY, threads=0), "threads=0"),
    "an out of the wrong shape": (
        lambda c, a, b: c.attend(a, 0, QUERY, out=np.zeros((6, 1, 9), np.float32)),
        "out has shape",
    ),
    "an out in the arena": (
        lambda c, a, b: c.attend(
            a,
            0,
            np.ones((6, 1, KEY_DIM), np.float32),
            out=c._store.layers[0].arena.arrays[1].swapaxes(0, 1).reshape(-1)[:30].reshape(6, 1, 5),
        ),
        "out overlaps value in memory",
    ),
    "a truncation to more": (
        lambda c, a, b: c.truncate(b, 3),
        "tokens=3: expected at most 2, the tokens of sequence 1 in layer 0",
    ),
    "a negative truncation": (lambda c, a, b: c.truncate(a, -1), "tokens=-1: expected 0 or more"),
}


@pytest.mark.parametrize("case", CALLS)
def test_it_is_refused_and_nothing_changes(case: str) -> None:
    call, message = CALLS[case]
    cache, first, second = filled()
    with pytest.raises(at.AttentionError, match=message):
        call(cache, first, second)
    assert (cache.tokens(first), cache.tokens(second)) == (3, 2)
    for sequence, tokens in ((first, 3), (second, 2)):
        for layer in range(2):
            stored = cache.stored(sequence, layer)
            assert stored[0].tobytes() == KEY[:, :tokens].tobytes()
            assert stored[1].tobytes() == VALUE[:, :tokens].tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers=0: expected 1 or more"),
        ({"layers": True}, "layers=True: expected an integer"),
        ({"kv_heads": 0}, "kv_heads=0: expected 1 or more"),
        ({"key_dim": 0}, "key_dim=0: expected 1 to 1024"),
        ({"value_dim": 2000}, "value_dim=2000: expected 1 to 1024"),
        ({"page_tokens": 0}, "page_tokens=0: expected 1 or more"),
        ({"page_tokens": 2.0}, "page_tokens=2.0: expected an integer"),
        ({"capacity_tokens": 0}, "capacity_tokens=0: expected 1 or more"),
        ({"capacity_tokens": -5}, "capacity_tokens=-5: expected 1 or more"),
        ({"dtype": "float64"}, "dtype='float64': expected float32, bfloat16, float16, int8"),
        ({"dtype": "fp8"}, "dtype='fp8': expected"),
        ({"dtype": None}, "dtype=None: expected"),
        ({"window": 512}, r"window=512: expected a Window, or a list of 1.*Window\(left=W - 1, right=0\)"),
        ({"window": [None, None]}, "expected a Window, or a list of 1"),
        ({"window": at.Window(left=5)}, r"expected Window\(left=..., right=0\) or None"),
        ({"window": at.Window(right=0)}, r"expected Window\(left=..., right=0\) or None"),
        ({"window": [at.Causal()]}, r"expected Window\(left=..., right=0\) or None"),
    ],
)
def test_no_cache_is_made_of_that(options: dict[str, Any], message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        cache_of(**options)


@pytest.mark.parametrize("dtype", [np.float32, np.dtype(np.float16), ml_dtypes.bfloat16, np.int8])
def test_a_dtype_is_taken_for_its_name(dtype: Any) -> None:
    assert np.dtype(dtype).name in repr(cache_of(dtype=dtype))


def test_one_sequence_may_be_given_with_or_without_its_batch_axis() -> None:
    cache, first, _ = filled()
    cache.append(first, 0, KEY[None], VALUE[None])
    assert cache.tokens(first, 0) == 6
    assert cache.attend([first], 0, QUERY[None]).shape == (1, HEADS, 1, VALUE_DIM)
    assert cache.attend(first, 0, QUERY).shape == (HEADS, 1, VALUE_DIM)


def test_out_is_written_into_and_returned() -> None:
    cache, first, second = filled()
    for sequences, query in ((first, QUERY), ([first, second], np.stack([QUERY] * 2))):
        expected = cache.attend(sequences, 0, query)
        out = np.full_like(expected, np.nan)
        assert cache.attend(sequences, 0, query, out=out) is out
        assert out.tobytes() == expected.tobytes()
