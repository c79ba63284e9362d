"""What a mask shows, how it lowers, and how it explains itself, against a definition slot by slot."""

import copy
import pickle
import re
import tracemalloc
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import attnscope as at
from attnscope.problem import KeyBitmap, KeySpans, lower
from tests.problem.slot_by_slot import sees
from tests.problems import Sizes, masks, sizes


@st.composite
def mask_and_sizes(draw: st.DrawFn) -> tuple[at.Mask, Sizes]:
    of = draw(sizes(max_tokens=20))
    return draw(masks(of)), of


def shape_of(of: Sizes) -> at.AttentionShape:
    return at.AttentionShape(
        of.batch, of.query_heads, of.kv_heads, of.query_len, of.key_len, of.key_dim, of.value_dim
    )


def by_hand(mask: at.Mask, of: Sizes) -> NDArray[np.bool_]:
    result = np.zeros(of.matrix, bool)
    for slot in product(*map(range, of.matrix)):
        result[slot] = sees(mask, of.matrix, (slot[0], slot[1], slot[2], slot[3]))
    return result


def written_out(lowered: KeySpans | KeyBitmap | None, of: Sizes) -> Any:
    keys = np.arange(of.key_len)
    if lowered is None:
        return np.ones(of.matrix, bool)
    if isinstance(lowered, KeySpans):
        inside = (lowered.first_key[..., None] <= keys) & (keys < lowered.end_key[..., None])
        return np.broadcast_to(np.expand_dims(inside.any(axis=2), 1), of.matrix)
    words = lowered.words[..., keys // 64] if of.key_len else lowered.words[..., :0]
    bits = np.bitwise_and(words >> (keys % 64).astype(np.uint64), np.uint64(1))
    return np.broadcast_to(bits.astype(bool), of.matrix)


@given(mask_and_sizes())
def test_visible_is_the_definition(case: tuple[at.Mask, Sizes]) -> None:
    mask, of = case
    visible = mask.visible(of.query_len, of.key_len, batch=of.batch, heads=of.query_heads)
    assert np.array_equal(visible.reshape(of.matrix), by_hand(mask, of))


@given(mask_and_sizes())
def test_lowering_is_visible(case: tuple[at.Mask, Sizes]) -> None:
    mask, of = case
    visible = mask.visible(of.query_len, of.key_len, batch=of.batch, heads=of.query_heads)
    assert np.array_equal(written_out(lower(mask, shape_of(of)), of), visible.reshape(of.matrix))


@given(mask_and_sizes())
def test_lowered_masks_keep_their_form(case: tuple[at.Mask, Sizes]) -> None:
    mask, of = case
    lowered = lower(mask, shape_of(of))
    if isinstance(lowered, KeySpans):
        first, end = lowered.first_key, lowered.end_key
        assert first.dtype == end.dtype == np.int32
        assert first.flags.c_contiguous
        assert end.flags.c_contiguous
        assert first.shape == end.shape
        assert first.shape[1:] in ((of.query_len, 1), (of.query_len, 2))
        empty = first == end
        assert (first <= end).all()
        assert (end <= of.key_len).all()
        assert (end[empty] == 0).all()
        if first.shape[2] == 2:
            assert not (empty[..., 0] & ~empty[..., 1]).any(), "an empty span stands last"
            assert (empty[..., 1] | (end[..., 0] < first[..., 1])).all(), "spans are sorted and do not touch"
    elif isinstance(lowered, KeyBitmap):
        assert lowered.words.dtype == np.uint64
        assert lowered.words.flags.c_contiguous
        assert lowered.words.shape[-1] == -(-of.key_len // 64)


@pytest.mark.parametrize("key_len", [1, 63, 64, 65, 127, 128, 129])
def test_bits_beyond_the_keys_are_not_set(key_len: int) -> None:
    of = Sizes(1, 1, 1, 2, key_len, 4, 4)
    lowered = lower(at.Dense(np.ones((1, key_len), bool)), shape_of(of))
    assert isinstance(lowered, KeyBitmap)
    assert sum(int(word).bit_count() for word in lowered.words.ravel()) == key_len


@given(mask_and_sizes(), st.data())
def test_an_explanation_agrees_with_what_is_visible(case: tuple[at.Mask, Sizes], data: st.DataObject) -> None:
    mask, of = case
    if 0 in of.matrix:
        return
    batch, head, query, key = (data.draw(st.integers(0, size - 1)) for size in of.matrix)
    said = mask.explain(
        query=query, key=key, query_len=of.query_len, key_len=of.key_len, batch=batch, head=head
    )
    assert said.startswith("visible: " if sees(mask, of.matrix, (batch, head, query, key)) else "hidden: ")
    assert re.search(rf"\b{key}\b", said)


def test_explanations_read_as_sentences() -> None:
    assert at.Causal().explain(query=3, key=7) == "hidden: Causal, key 7 comes after query 3"
    assert at.Causal().explain(query=0, key=3, query_len=1, key_len=8) == (
        "visible: Causal, key 3 is not after query 0, which stands at position 7"
    )
    assert at.Window(left=2, right=0).explain(query=5, key=2) == (
        "hidden: Window, key 2 is 3 to the left of query 5: it reaches 2"
    )
    assert (at.Causal() & at.KeyLengths([3, 5])).explain(query=4, key=4, batch=0) == (
        "hidden: KeyLengths, key 4 is padding after the 3 keys that are real in batch row 0"
    )
    assert at.Documents([0, 0, 1]).explain(query=2, key=1) == (
        "hidden: Documents, key 1 belongs to document 0 and query 2 to 1"
    )


def test_an_index_outside_is_an_error() -> None:
    with pytest.raises(at.AttentionMaskError, match="query=5: expected an index from 0 to 3"):
        at.Causal().explain(query=5, key=0, query_len=4, key_len=4)


@given(mask_and_sizes())
def test_a_mask_draws_itself_small_and_prints_in_a_line(case: tuple[at.Mask, Sizes]) -> None:
    mask, _ = case
    assert "\n" not in str(mask)
    drawn = repr(mask).splitlines()
    assert drawn[0] == str(mask)
    assert len(drawn) <= 18


def test_the_drawing_of_a_window() -> None:
    assert repr(at.Window(left=1, right=0)).splitlines()[1:5] == [
        "  ■ · · ·",
        "  ■ ■ · ·",
        "  · ■ ■ ·",
        "  · · ■ ■",
    ]


@given(mask_and_sizes())
def test_masks_compare_hash_copy_and_pickle_by_content(case: tuple[at.Mask, Sizes]) -> None:
    mask, _ = case
    for again in (copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert again == mask
        assert hash(again) == hash(mask)
        assert str(again) == str(mask)
    assert mask != at.Prefix(10**6)


@pytest.mark.parametrize(
    ("mask", "field"),
    [
        (at.Causal(), "offset"),
        (at.Window(left=1), "left"),
        (at.KeyLengths(3), "end"),
        (at.Prefix(2), "length"),
        (at.Documents([1, 2]), "ids"),
        (at.Dense(np.ones((2, 2), bool)), "shape"),
    ],
    ids=str,
)
def test_masks_are_immutable(mask: at.Mask, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(mask, field, 7)


def test_a_mask_keeps_its_bits_when_the_array_changes() -> None:
    visible: NDArray[np.bool_] = np.ones((2, 2), bool)
    ids = np.array([0, 1])
    dense, documents = at.Dense(visible), at.Documents(ids)
    visible[:], ids[:] = False, 0
    assert dense.visible(2, 2).all()
    assert documents.visible(2, 2).tolist() == [[True, False], [False, True]]


LONG = 131_072
LONG_MASKS = {
    "causal": at.Causal(),
    "window": at.Window(left=4095, right=0),
    "window and first keys": at.Window(left=4095, right=0) | (at.Prefix(4) & at.Causal()),
    "padding": at.Causal() & at.KeyRanges(100, LONG - 7),
    "documents": at.Documents(np.repeat(np.arange(512), 256)),
    "documents in two runs": at.Documents(np.tile(np.repeat(np.arange(256), 256), 2)),
}


@pytest.mark.parametrize("mask", LONG_MASKS.values(), ids=LONG_MASKS)
def test_long_texts_lower_in_memory_of_the_rows(mask: at.Mask) -> None:
    tracemalloc.start()
    started = perf_counter()
    lowered = lower(mask, at.AttentionShape(1, 1, 1, LONG, LONG, 64, 64))
    seconds, peak = perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(lowered, KeySpans)
    assert peak < 64 << 20
    assert seconds < 5


def test_documents_in_three_runs_become_bits() -> None:
    lowered = lower(at.Documents([0, 1, 0, 1, 0]), at.AttentionShape(1, 1, 1, 5, 5, 4, 4))
    assert isinstance(lowered, KeyBitmap)


BAD_MASKS: list[tuple[Any, str]] = [
    (lambda: at.Causal(offset="2"), "offset='2': expected an integer, got str"),  # type: ignore[arg-type]
    (lambda: at.Causal(offset=1.5), "offset=1.5: expected an integer, got float"),  # type: ignore[arg-type]
    (lambda: at.Window(left=-1), r"Window\(left=\)=-1: expected 0 or more"),
    (lambda: at.Window(left=True), "expected an integer, got bool"),
    (lambda: at.Window(left=2**60), r"expected less than 2\*\*40"),
    (lambda: at.KeyLengths([3, -1]), "=-1: expected 0 or more"),
    (lambda: at.KeyLengths([]), "expected an integer, or one for each batch row"),
    (lambda: at.KeyRanges(5, 3), "first=5 lies after end=3.*Pass first == end where no key is real"),
    (lambda: at.KeyRanges([1, 2], [3, 4, 5]), "first has 2 entries and end has 3"),
    (lambda: at.Documents([0.5, 1.0]), r"expected integers \[key_len\] or \[batch, key_len\], got float64"),  # type: ignore[list-item]
    (lambda: at.Documents(np.zeros((1, 2, 3), int)), r"got int64 \[1, 2, 3\]"),
    (lambda: at.Dense(np.ones((2, 2), np.float32)), "array of float32, expected bool.*pass bias="),
    (lambda: at.Dense(np.ones((2, 2), int)), r"array of int64, expected bool.*mask.astype\(bool\)"),
    (lambda: at.Dense([[True]]), "mask is a list, expected a mask such as Causal"),  # type: ignore[arg-type]
    (lambda: at.Dense(np.ones((1,) * 5, bool)), "expected 1 to 4 axes"),
]


@pytest.mark.parametrize(("make", "text"), BAD_MASKS, ids=[text[:40] for _, text in BAD_MASKS])
def test_a_mask_that_makes_no_sense_says_so(make: Any, text: str) -> None:
    with pytest.raises(at.AttentionMaskError, match=text):
        make()
