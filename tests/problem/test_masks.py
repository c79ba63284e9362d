"""What a mask shows and what it lowers to, against a definition slot by slot."""

from functools import reduce
from itertools import product
from operator import or_
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import attnscope as at
from attnscope.problem import KeyBitmap, KeySpans, lower, lowering
from attnscope.problem.shape import Sizes
from tests.problem.slot_by_slot import sees
from tests.problems import masks, matrix, sizes


@st.composite
def mask_and_sizes(draw: st.DrawFn) -> tuple[at.Mask, at.AttentionShape]:
    of = draw(sizes(max_tokens=20))
    return draw(masks(of)), of


def by_hand(mask: at.Mask, of: at.AttentionShape) -> NDArray[np.bool_]:
    result = np.zeros(matrix(of), bool)
    for slot in product(*map(range, matrix(of))):
        result[slot] = sees(mask, matrix(of), (slot[0], slot[1], slot[2], slot[3]))
    return result


def written_out(lowered: KeySpans | KeyBitmap | None, of: at.AttentionShape) -> Any:
    keys = np.arange(of.key_len)
    if lowered is None:
        return np.ones(matrix(of), bool)
    if isinstance(lowered, KeySpans):
        inside = (lowered.first_key[..., None] <= keys) & (keys < lowered.end_key[..., None])
        return np.broadcast_to(np.expand_dims(inside.any(axis=2), 1), matrix(of))
    words = lowered.words[..., keys // 64] if of.key_len else lowered.words[..., :0]
    bits = np.bitwise_and(words >> (keys % 64).astype(np.uint64), np.uint64(1))
    return np.broadcast_to(bits.astype(bool), matrix(of))


@given(mask_and_sizes())
def test_visible_is_the_definition(case: tuple[at.Mask, at.AttentionShape]) -> None:
    mask, of = case
    visible = mask.visible(of.query_len, of.key_len, batch=of.batch, heads=of.query_heads)
    assert np.array_equal(visible.reshape(matrix(of)), by_hand(mask, of))


@given(mask_and_sizes())
def test_lowering_is_visible(case: tuple[at.Mask, at.AttentionShape]) -> None:
    mask, of = case
    visible = mask.visible(of.query_len, of.key_len, batch=of.batch, heads=of.query_heads)
    assert np.array_equal(written_out(lower(mask, of), of), visible.reshape(matrix(of)))


@given(mask_and_sizes(), st.integers(0, 200))
def test_bits_that_are_made_some_rows_at_a_time_are_the_same(
    case: tuple[at.Mask, at.AttentionShape], entries_at_once: int
) -> None:
    mask, of = case
    sizes_asked = Sizes.of(of)
    whole = lowering._bitmap(mask, sizes_asked).words
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowering, "ENTRIES_AT_ONCE", entries_at_once)
        pieces = lowering._bitmap(mask, sizes_asked).words
    assert pieces.shape == whole.shape
    assert np.array_equal(pieces, whole)
    assert np.array_equal(written_out(KeyBitmap(whole), of), by_hand(mask, of))


@given(mask_and_sizes())
def test_lowered_masks_keep_their_form(case: tuple[at.Mask, at.AttentionShape]) -> None:
    mask, of = case
    lowered = lower(mask, of)
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
    of = at.AttentionShape(1, 1, 1, 2, key_len, 4, 4)
    lowered = lower(at.Dense(np.ones((2, key_len), bool)), of)
    assert isinstance(lowered, KeyBitmap)
    assert [sum(int(word).bit_count() for word in row) for row in lowered.words[0, 0]] == [key_len] * 2


EDGES = (0, 1, 63, 64, 65)


@pytest.mark.parametrize("key_len", EDGES)
@pytest.mark.parametrize("query_len", EDGES)
def test_the_edges_of_words_and_empty_axes(query_len: int, key_len: int) -> None:
    of = at.AttentionShape(2, 1, 1, query_len, key_len, 4, 4)
    half = key_len // 2
    for mask in (
        at.Causal(),
        at.Causal(offset=[0, key_len - 1]),
        at.Window(left=3, right=1),
        at.Causal() & at.KeyRanges([0, half], [half, key_len]),
        (at.Causal() & at.Window(left=2)) | at.Prefix([1, half]),
        at.Documents(np.arange(key_len) // 7),
        at.Documents(np.arange(key_len) % 5) & at.Causal(),
        at.Dense(np.arange(key_len) % 3 > 0) & at.Causal(),
    ):
        expected = by_hand(mask, of)
        assert np.array_equal(mask.visible(query_len, key_len, batch=2).reshape(matrix(of)), expected)
        assert np.array_equal(written_out(lower(mask, of), of), expected)


@given(st.data())
def test_runs_survive_being_joined_in_any_order(data: st.DataObject) -> None:
    """Intervals that overlap, touch, lie inside one another or are empty, on each side of & and |."""
    key_len = 12
    pair = st.tuples(st.integers(0, key_len), st.integers(0, key_len)).map(sorted)
    some = st.lists(pair.map(lambda ends: at.KeyRanges(*ends)), min_size=1, max_size=4)
    sides = [reduce(or_, data.draw(some)) for _ in range(2)]
    of = at.AttentionShape(1, 1, 1, 3, key_len, 4, 4)
    mask = sides[0] & sides[1] if data.draw(st.booleans()) else sides[0] | sides[1]
    assert np.array_equal(written_out(lower(mask, of), of), by_hand(mask, of))


def test_no_mask_hides_nothing() -> None:
    assert lower(None, at.AttentionShape(1, 1, 1, 3, 3, 4, 4)) is None


def test_documents_in_three_runs_become_bits_unless_another_mask_leaves_two() -> None:
    documents = at.Documents([0, 1, 0, 1, 0])
    shape = at.AttentionShape(1, 1, 1, 5, 5, 4, 4)
    assert isinstance(lower(documents, shape), KeyBitmap)
    assert isinstance(lower(documents & at.Window(left=2, right=0), shape), KeySpans)


def test_documents_in_many_runs_are_spans_to_queries_that_stand_elsewhere() -> None:
    documents = at.Documents([0, 1] * 20 + [2, 2, 2])
    assert isinstance(lower(documents, at.AttentionShape(1, 1, 1, 4, 43, 4, 4)), KeyBitmap)
    lowered = lower(documents, at.AttentionShape(1, 1, 1, 3, 43, 4, 4))
    assert isinstance(lowered, KeySpans)
    assert (lowered.first_key.tolist(), lowered.end_key.tolist()) == ([[[40]] * 3], [[[43]] * 3])


def test_an_array_that_is_the_same_for_all_queries_becomes_spans() -> None:
    padding = at.Dense(np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)[:, None, None, :])
    lowered = lower(padding & at.Causal(), at.AttentionShape(3, 2, 1, 4, 4, 4, 4))
    assert isinstance(lowered, KeySpans)
    assert lowered.end_key[..., 0].tolist() == [[0, 2, 3, 3], [1, 2, 3, 4], [0, 0, 0, 0]]
    assert lowered.first_key[0, :, 0].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(("runs", "kind"), [(1, KeySpans), (2, KeySpans), (3, KeyBitmap), (9, KeyBitmap)])
def test_an_array_of_many_runs_stays_bits(runs: int, kind: type) -> None:
    visible = np.arange(2 * runs) % 2 == 1
    lowered = lower(at.Dense(visible), at.AttentionShape(1, 1, 1, 2, 2 * runs, 4, 4))
    assert isinstance(lowered, kind)


def test_a_batch_of_none_may_have_lengths_of_none() -> None:
    lengths: NDArray[np.int64] = np.zeros(0, int)
    for mask in (at.KeyLengths(lengths), at.Causal(offset=[]), at.Documents(np.zeros((0, 3), int))):
        assert mask.visible(2, 3, batch=0).shape == (0, 1, 2, 3)
        lowered = lower(mask, at.AttentionShape(0, 2, 1, 2, 3, 4, 4))
        assert isinstance(lowered, KeySpans)
        assert lowered.first_key.shape == (0, 2, 1)


def test_lowering_a_mask_for_other_sizes_is_refused() -> None:
    with pytest.raises(at.AttentionMaskError, match="3 entries, expected 2"):
        lower(at.KeyLengths([1, 2, 3]), at.AttentionShape(2, 1, 1, 3, 3, 4, 4))


def test_the_spans_that_all_callers_share_cannot_be_written_to() -> None:
    lowered = lower(at.Causal(), at.AttentionShape(1, 1, 1, 3, 3, 4, 4))
    assert isinstance(lowered, KeySpans)
    assert lowered is lower(at.Causal(), at.AttentionShape(1, 1, 1, 3, 3, 4, 4))
    with pytest.raises(ValueError, match="read-only"):
        lowered.first_key[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("mask", "spans"),
    [
        (at.KeyRanges(0, 3) | at.KeyRanges(3, 6), [[0, 6]]),
        (at.KeyRanges(3, 6) | at.KeyRanges(0, 3), [[0, 6]]),
        (at.KeyRanges(0, 5) | at.KeyRanges(1, 2) | at.KeyRanges(4, 6), [[0, 6]]),
        (at.KeyRanges(6, 8) | at.KeyRanges(0, 3), [[0, 3], [6, 8]]),
        (at.KeyRanges(0, 3) & at.KeyRanges(3, 6), [[0, 0]]),
        ((at.KeyRanges(0, 3) | at.KeyRanges(5, 8)) & at.KeyRanges(2, 6), [[2, 3], [5, 6]]),
    ],
    ids=["touching", "touching, turned", "inside", "apart", "nothing in common", "cut on both sides"],
)
def test_spans_are_as_few_as_can_be(mask: at.Mask, spans: list[list[int]]) -> None:
    lowered = lower(mask, at.AttentionShape(1, 1, 1, 1, 8, 4, 4))
    assert isinstance(lowered, KeySpans)
    assert np.stack([lowered.first_key, lowered.end_key], axis=-1)[0, 0].tolist() == spans
