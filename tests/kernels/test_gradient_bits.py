"""The contract of gradients: their bits depend on what they are a function of, and on nothing else."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope import kernels
from tests.kernels.test_hidden_slots import POISON
from tests.kernels.test_same_bits import (
    FORMATS,
    HEADS,
    KEY_DIM,
    KV_HEADS,
    MASKS,
    VALUE_DIM,
    layouts,
    scorings,
)

TOKENS = 300  # two strips of keys, five blocks of rows
NAMES = ("query", "key", "value", "bias", "sinks")


def arrays(
    dtype: Any = np.float32, batch: int = 1, tokens: int = TOKENS, seed: int = 0
) -> list[NDArray[Any]]:
    """query, key, value and grad_output."""
    rng = np.random.default_rng(seed)
    shapes = [(HEADS, KEY_DIM), (KV_HEADS, KEY_DIM), (KV_HEADS, VALUE_DIM), (HEADS, VALUE_DIM)]
    return [rng.standard_normal((batch, heads, tokens, dim)).astype(dtype) for heads, dim in shapes]


def run(*arrays: Any, **options: Any) -> at.Gradients:
    return at.attention_gradients(*arrays, **options, implementation="kernel")


def assert_same(actual: at.Gradients, expected: at.Gradients, what: str) -> None:
    for name in NAMES:
        one, other = getattr(actual, name), getattr(expected, name)
        assert (one is None) == (other is None)
        assert one is None or one.tobytes() == other.tobytes(), f"the gradient of {name} differs: {what}"


def masks() -> dict[str, Any]:
    documents = at.Documents(np.repeat([0, 1, 2, 3], [150, 5, 100, 45]))
    random = np.random.default_rng(1).random((TOKENS, TOKENS)) < 0.5
    return MASKS | {"documents": documents, "bits": random}


@pytest.mark.parametrize("scoring", scorings().values(), ids=scorings())
@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("mask", masks().values(), ids=masks())
def test_every_level(dtype: Any, scoring: dict[str, Any], mask: Any) -> None:
    given = arrays(dtype)
    results = []
    for name in kernels.usable_levels():
        with kernels.forced_level(name):
            results.append(run(*given, mask=mask, **scoring))
    for result in results[1:]:
        assert_same(result, results[0], "level")


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("mask", masks().values(), ids=masks())
def test_any_number_of_threads(level: str, threads: int, dtype: Any, mask: Any) -> None:
    given = arrays(dtype, batch=2)
    assert_same(
        run(*given, mask=mask, threads=threads), run(*given, mask=mask, threads=1), f"{threads} threads"
    )


def test_threads_that_share_one_long_head(level: str) -> None:
    given = [each[:, :1] for each in arrays(tokens=3000)]
    for mask in (at.Causal(), at.Window(left=500, right=0) | (at.Prefix(3) & at.Causal())):
        results = [run(*given, mask=mask, threads=threads) for threads in (1, 2, 3, 5)]
        for result in results[1:]:
            assert_same(result, results[0], "threads")


def test_batch_of_one_and_of_seven(level: str) -> None:
    given = arrays(batch=7)
    lengths = [0, 1, 64, 65, 299, 300, 33]
    whole = run(*given, mask=at.Causal() & at.KeyLengths(lengths))
    for b, length in enumerate(lengths):
        one = slice(b, b + 1)
        alone = run(*(each[one] for each in given), mask=at.Causal() & at.KeyLengths([length]))
        expected = at.Gradients(whole.query[one], whole.key[one], whole.value[one], None, None)
        assert_same(alone, expected, f"batch row {b}")


@pytest.mark.parametrize("layout", ["transposed", "sliced", "reversed", "offset by one"])
@pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)
def test_any_strides(level: str, dtype: Any, layout: str) -> None:
    given = arrays(dtype)
    part = at.partial_attention(*given[:3], mask=at.Causal(), implementation="kernel")
    expected = run(*given, mask=at.Causal(), output=part.output, logsumexp=part.logsumexp)
    moved = [layouts(each)[layout] for each in [*given, part.output]]
    actual = run(*moved[:4], mask=at.Causal(), output=moved[4], logsumexp=part.logsumexp)
    assert_same(actual, expected, layout)


def test_the_forward_pass_is_not_repeated_in_vain(level: str) -> None:
    given = arrays()
    part = at.partial_attention(*given[:3], mask=at.Causal(), implementation="kernel")
    once = run(*given, mask=at.Causal(), output=part.output, logsumexp=part.logsumexp)
    assert_same(once, run(*given, mask=at.Causal()), "given output and logsumexp")


def test_spans_equal_a_bitmap_and_a_bias_of_minus_infinity(level: str) -> None:
    given = arrays()
    for name, mask in masks().items():
        visible = mask if isinstance(mask, np.ndarray) else np.ones((TOKENS, TOKENS), bool)
        if isinstance(mask, at.Mask):
            visible = mask.visible(TOKENS, TOKENS)
        expected = run(*given, mask=mask)
        assert_same(run(*given, mask=visible), expected, f"bool array of {name}")
        biased = run(*given, bias=np.where(visible, np.float32(0), np.float32(-np.inf)), bias_gradient=False)
        assert_same(biased, expected, f"bias of {name}")


@pytest.mark.parametrize("dropped", [1, 63, 64, 100, 299])
@pytest.mark.parametrize("scoring", scorings().values(), ids=scorings())
def test_leading_queries_change_no_bit_of_what_they_do_not_see(
    level: str, dropped: int, scoring: dict[str, Any]
) -> None:
    """A key that only later queries see has the same gradient without the earlier ones."""
    query, key, value, grad = arrays()
    whole = run(query, key, value, grad, mask=at.Causal(), **scoring)
    rest = run(query[:, :, dropped:], key, value, grad[:, :, dropped:], mask=at.Causal(), **scoring)
    assert rest.query.tobytes() == whole.query[:, :, dropped:].tobytes()
    for name in ("key", "value"):
        unseen = (slice(None), slice(None), slice(dropped, None))
        assert getattr(rest, name)[unseen].tobytes() == getattr(whole, name)[unseen].tobytes(), name


@pytest.mark.parametrize("mask", masks().values(), ids=masks())
def test_a_row_changes_only_what_it_sees(level: str, mask: Any) -> None:
    """Another query and grad_output in a row change only its gradient and those of the keys it sees."""
    query, key, value, grad = arrays()
    whole = run(query, key, value, grad, mask=mask)
    visible = np.ones((TOKENS, TOKENS), bool) if mask is None else mask
    if isinstance(mask, at.Mask):
        visible = mask.visible(TOKENS, TOKENS)
    for row in (0, 63, 64, 170, 299):
        other_query, other_grad = query.copy(), grad.copy()
        other_query[:, :, row] = other_grad[:, :, row] = 3.0
        changed = run(other_query, key, value, other_grad, mask=mask)
        unseen = ~np.broadcast_to(visible, (TOKENS, TOKENS))[row]
        for name, kept in (("query", np.arange(TOKENS) != row), ("key", unseen), ("value", unseen)):
            before, after = getattr(whole, name)[:, :, kept], getattr(changed, name)[:, :, kept]
            assert before.tobytes() == after.tobytes(), (row, name)


def test_one_head_alone_equals_the_head_among_others(level: str) -> None:
    query, key, value, grad = arrays()
    whole = run(query, key, value, grad, mask=at.Causal())
    group = HEADS // KV_HEADS
    for kv_head in range(KV_HEADS):
        kv, heads = slice(kv_head, kv_head + 1), slice(kv_head * group, (kv_head + 1) * group)
        alone = run(query[:, heads], key[:, kv], value[:, kv], grad[:, heads], mask=at.Causal())
        expected = at.Gradients(whole.query[:, heads], whole.key[:, kv], whole.value[:, kv], None, None)
        assert_same(alone, expected, f"kv head {kv_head}")


@pytest.mark.parametrize("poison", POISON, ids=["nan", "inf", "-inf", "signalling"])
@pytest.mark.parametrize("scoring", scorings().values(), ids=scorings())
def test_hidden_slots_change_no_bit(level: str, poison: Any, scoring: dict[str, Any]) -> None:
    query, key, value, grad = arrays(batch=2)
    lengths = at.KeyLengths([70, 33])
    for mask in (lengths, at.KeyRanges([5, 64], [70, 266]), at.Causal() & lengths):
        visible = np.broadcast_to(mask.visible(TOKENS, TOKENS, batch=2), (2, 1, TOKENS, TOKENS))
        hidden = ~visible.any(axis=(1, 2))
        dirty_key, dirty_value = key.copy(), value.copy()
        dirty_key.swapaxes(1, 2)[hidden] = dirty_value.swapaxes(1, 2)[hidden] = poison
        clean = run(query, key, value, grad, mask=mask, **scoring)
        dirty = run(query, dirty_key, dirty_value, grad, mask=mask, **scoring)
        assert_same(dirty, clean, str(mask))
        for gradient in (dirty.key, dirty.value):
            assert not gradient.swapaxes(1, 2)[hidden].view(np.uint32).any()


def test_rows_that_see_nothing_pass_nothing_on(level: str) -> None:
    query, key, value, grad = arrays()
    mask = at.Causal(offset=-100)  # the first 100 queries see no key
    clean = run(query, key, value, grad, mask=mask)
    query[:, :, :100] = grad[:, :, :100] = np.nan
    dirty = run(query, key, value, grad, mask=mask)
    assert_same(dirty, clean, "poisoned rows")
    assert not dirty.query[:, :, :100].view(np.uint32).any()


@pytest.mark.parametrize("where", ["query", "grad_output"])
def test_a_nan_in_a_row_spares_the_keys_that_it_does_not_see(level: str, where: str) -> None:
    query, key, value, grad = arrays()
    clean = run(query, key, value, grad, mask=at.Causal())
    for row in (0, 63, 64, 170, 298):
        dirty = {"query": query.copy(), "grad_output": grad.copy()}
        dirty[where][:, :, row] = np.nan
        poisoned = run(dirty["query"], key, value, dirty["grad_output"], mask=at.Causal())
        for name in ("key", "value"):
            found, expected = getattr(poisoned, name), getattr(clean, name)
            assert found[:, :, row + 1 :].tobytes() == expected[:, :, row + 1 :].tobytes()
            assert np.isnan(found[:, :, : row + 1]).all()
            assert set(found[:, :, : row + 1].ravel().view(np.uint32)) == {0x7FC00000}
        others = np.arange(TOKENS) != row
        assert poisoned.query[:, :, others].tobytes() == clean.query[:, :, others].tobytes()


@pytest.mark.parametrize("where", ["key", "value"])
def test_a_visible_nan_reaches_only_the_rows_that_see_it(level: str, where: str) -> None:
    query, key, value, grad = arrays()
    clean = run(query, key, value, grad, mask=at.Causal())
    for slot in (0, 64, 170, 299):
        dirty = {"key": key.copy(), "value": value.copy()}
        dirty[where][:, :, slot] = np.nan
        poisoned = run(query, dirty["key"], dirty["value"], grad, mask=at.Causal())
        assert poisoned.query[:, :, :slot].tobytes() == clean.query[:, :, :slot].tobytes()
        assert np.isnan(poisoned.query[:, :, slot:]).all()


@pytest.mark.parametrize("where", range(4), ids=["query", "key", "value", "grad_output"])
def test_a_nan_in_the_gradient_of_a_bias_is_the_one_canonical_nan(level: str, where: int) -> None:
    given = arrays()
    given[where][:, :, 5] = np.uint32(0x7FF9025B).view(np.float32)
    bias = np.zeros((1, HEADS, TOKENS, TOKENS), np.float32)
    found = run(*given, mask=at.Causal(), bias=bias, softcap=3.0).bias
    assert found is not None
    assert set(found[np.isnan(found)].view(np.uint32)) == {0x7FC00000}


def test_gradients_of_a_bias_and_of_sinks_depend_on_no_thread(level: str) -> None:
    given = arrays(batch=2)
    bias = np.random.default_rng(1).standard_normal((HEADS, TOKENS, TOKENS)).astype(np.float32)
    results = [run(*given, bias=bias, sinks=[0.5] * HEADS, threads=threads) for threads in (1, 2, 3)]
    for result in results[1:]:
        assert_same(result, results[0], "threads")
