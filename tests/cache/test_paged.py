"""The plain functions, on a block table that the caller keeps."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.cache import Pages, append, attend
from tests.cache.texts import DTYPES, HEADS, KEY_DIM, KV_HEADS, VALUE_DIM, as_read, queries_of, tokens_of

LENS = [30, 0, 17]


def pages_of(page_tokens: int, dtype: str = "float32", tokens: int = 40) -> Pages:
    """An arena in which each sequence has shuffled pages of its own, all slots NaN, no token yet."""
    blocks = -(-tokens // page_tokens)
    count = blocks * len(LENS) + 2
    table = np.random.default_rng(1).permutation(count)[: blocks * len(LENS)].astype(np.int32)
    rows = (count, KV_HEADS, page_tokens)
    kind: Any = np.int8 if dtype == "int8" else DTYPES[dtype]
    fill = 77 if dtype == "int8" else np.nan
    key, value = (np.full((*rows, dim), fill, kind) for dim in (KEY_DIM, VALUE_DIM))
    scales = [np.full(rows, np.nan, np.float32) if dtype == "int8" else None for _ in range(2)]
    return Pages(
        key, value, scales[0], scales[1], table.reshape(len(LENS), blocks), np.zeros(len(LENS), np.int64)
    )


@pytest.mark.parametrize("page_tokens", [1, 7, 16, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_appending_and_attending_give_the_bits_of_a_prefill(page_tokens: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    texts = [tokens_of(rng, 40, dtype) for _ in LENS]
    pages, written = pages_of(page_tokens, dtype), 0
    for tokens in (25, 1, 0, 14):
        now = slice(written, written + tokens)
        key, value = (np.stack([text[i][:, now] for text in texts]) for i in range(2))
        pages = append(pages, key, value)
        written += tokens
        query = np.stack([queries_of(rng, 3) for _ in LENS])
        output = attend(query, pages)
        for s, text in enumerate(texts):
            so_far = [as_read(each[:, :written], dtype).astype(np.float32) for each in text]
            assert output[s].tobytes() == at.attention(query[s], *so_far, mask=at.Causal()).tobytes()
    assert pages.key_lens.tolist() == [40, 40, 40]


def test_sequences_of_different_length_are_attended_to_in_one_call() -> None:
    rng = np.random.default_rng(2)
    pages = pages_of(16)
    key, value = (np.stack([tokens_of(rng, 30)[i] for _ in LENS]) for i in range(2))
    pages = append(pages, key, value)._replace(key_lens=np.array(LENS))
    query = np.stack([queries_of(rng, 2) for _ in LENS])
    output = attend(query, pages, mask=None, sinks=[0.5] * HEADS)
    for s, key_len in enumerate(LENS):
        expected = at.attention(query[s], key[s, :, :key_len], value[s, :, :key_len], sinks=[0.5] * HEADS)
        assert output[s].tobytes() == expected.tobytes()


def test_a_prefix_may_be_shared_by_naming_its_pages_twice() -> None:
    rng = np.random.default_rng(3)
    pages = pages_of(16)
    pages.block_table[2, 0] = pages.block_table[0, 0]
    first = append(
        Pages(*pages[:4], pages.block_table[:1], pages.key_lens[:1]),
        *(each[None] for each in tokens_of(rng, 16)),
    )
    shared = pages._replace(key_lens=np.array([16, 0, 16]))
    query = np.stack([queries_of(rng, 1)] * 3)
    output = attend(query, shared)
    assert output[0].tobytes() == output[2].tobytes() == attend(query[:1], first)[0].tobytes()
    longer = append(shared, *(np.stack([each] * 3) for each in tokens_of(rng, 2)))
    assert longer.key_lens.tolist() == [18, 2, 18]


def changed(**parts: Any) -> Pages:
    return pages_of(16)._replace(key_lens=np.array(LENS))._replace(**parts)


FULL = pages_of(16)
WILD, BELOW, TWICE = (FULL.block_table.copy() for _ in range(3))
WILD[0, 1], BELOW[2, 0] = len(FULL.key), -1
TWICE[2, 1] = TWICE[0, 2]  # where the third sequence goes on at 17, and the first at 30 will come to at 32
READ_ONLY = FULL.value.copy()
READ_ONLY.flags.writeable = False
INT8 = pages_of(16, "int8")
BAD_PAGES: dict[str, tuple[Pages, str]] = {
    "a table that points outside": (changed(block_table=WILD), "block_table names page 11, expected 0 to 10"),
    "a table that points below": (changed(block_table=BELOW), "block_table names page -1, expected 0 to 10"),
    "lengths beyond the table": (
        changed(key_lens=np.array([30, 0, 49])),
        r"key_lens\[2\] is 49, expected 0 to 48: block_table has 3 blocks of 16",
    ),
    "a negative length": (changed(key_lens=np.array([30, -1, 5])), r"key_lens\[1\] is -1, expected 0 to 48"),
    "a table of int64": (
        changed(block_table=WILD.astype(np.int64)),
        "block_table is int64 .*expected a contiguous int32",
    ),
    "lengths of int32": (
        changed(key_lens=np.array(LENS, np.int32)),
        "key_lens is int32 .*expected a contiguous int64",
    ),
    "a list of lengths": (changed(key_lens=LENS), "key_lens is a list, expected a contiguous int64"),
    "a table that is a slice": (
        changed(block_table=np.zeros((3, 6), np.int32)[:, ::2]),
        "expected a contiguous int32",
    ),
    "lengths of fewer sequences": (
        changed(key_lens=np.array([1])),
        "block_table has 3 rows and key_lens has 1",
    ),
    "keys of three axes": (changed(key=FULL.key[0]), r"pages.key has shape .*, expected \[pages, kv_heads"),
    "values of other pages": (
        changed(value=FULL.value[1:]),
        "pages.value is float32 .* expected the same but for the last",
    ),
    "values of another format": (
        changed(value=FULL.value.astype(np.float16)),
        "expected the same but for the last",
    ),
    "float64 pages": (
        changed(key=FULL.key.astype(float), value=FULL.value.astype(float)),
        "pages.key is float64, expected",
    ),
    "scales where there are none": (
        changed(key_scales=np.ones((11, 2, 16), np.float32)),
        "pages.key_scales is given, but float32 pages have no scales",
    ),
    "int8 without scales": (
        changed(key=INT8.key, value=INT8.value),
        r"pages.key_scales is a NoneType, expected a float32 array .*\[11, 2, 16\]",
    ),
    "no array": (changed(key=None), "pages.key is a NoneType, expected a NumPy array"),
    "keys with a last axis that is strided": (
        changed(key=np.zeros((11, 2, 16, 24), np.float32)[..., ::2]),
        "last axis that is not contiguous",
    ),
}


@pytest.mark.parametrize("case", BAD_PAGES)
def test_pages_that_do_not_fit_together_are_refused(case: str) -> None:
    pages, message = BAD_PAGES[case]
    query = np.zeros((3, HEADS, 1, KEY_DIM), np.float32)
    with pytest.raises(at.AttentionError, match=message):
        attend(query, pages)
    with pytest.raises(at.AttentionError, match=message):
        append(pages, *(np.stack([each] * 3) for each in tokens_of(np.random.default_rng(0), 1)))


@pytest.mark.parametrize(
    ("pages", "tokens", "message"),
    [
        (
            changed(block_table=TWICE),
            16,
            "block_table names page .* twice, and new tokens would be written into it",
        ),
        (changed(value=READ_ONLY), 1, "pages.value is read-only"),
        (changed(value=FULL.key), 1, "value has shape"),
        (changed(), 20, r"key_lens\[0\] is 50, expected 0 to 48"),
    ],
    ids=["a writable page twice", "read-only pages", "values of the keys' dim", "more tokens than pages"],
)
def test_pages_that_cannot_be_written_to_are_refused(pages: Pages, tokens: int, message: str) -> None:
    before = pages.key.tobytes(), pages.value.tobytes()
    with pytest.raises(at.AttentionError, match=message):
        append(pages, *(np.stack([each] * 3) for each in tokens_of(np.random.default_rng(0), tokens)))
    assert before == (pages.key.tobytes(), pages.value.tobytes())


def test_keys_and_values_in_one_place_are_refused() -> None:
    arena = np.zeros((11, KV_HEADS, 16, KEY_DIM), np.float32)
    pages = changed(key=arena, value=arena)
    key = np.zeros((3, KV_HEADS, 1, KEY_DIM), np.float32)
    with pytest.raises(at.AttentionFormatError, match=r"pages.value and pages.key overlap in memory"):
        append(pages, key, key)


def test_what_is_no_pages_is_refused() -> None:
    with pytest.raises(
        at.AttentionFormatError, match=r"pages is a tuple, expected attnscope.cache.Pages\(key, value"
    ):
        attend(np.zeros((3, HEADS, 1, KEY_DIM), np.float32), (1, 2))  # type: ignore[call-overload]
