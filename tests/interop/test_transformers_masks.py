"""Transformers' mask functions, read as statements, show exactly what Transformers itself makes of them."""

from typing import Any

import numpy as np
import pytest

import attnscope as at

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from transformers import masking_utils as made  # noqa: E402

from attnscope.interop import mask_functions, symbolic_mask, transformers_masks  # noqa: E402
from attnscope.interop.symbolic_mask import SymbolicMask  # noqa: E402
from attnscope.interop.transformers_attention import attention_of_transformers  # noqa: E402
from attnscope.interop.transformers_masks import mask_of_transformers  # noqa: E402
from attnscope.interop.transformers_register import check_mask_functions  # noqa: E402

BATCH, TOKENS = 2, 40
IDS = torch.tensor([[0] * 7 + [1] * 20 + [2] * 13, [0] * 30 + [3] * 10])
POSITIONS = torch.cat([torch.arange(n) for n in (7, 20, 13, 30, 10)]).reshape(2, TOKENS)
IMAGES = torch.full((BATCH, TOKENS), -1)
IMAGES[0, 5:12], IMAGES[1, 20:26], IMAGES[1, 30:33] = 0, 0, 1
# query_len, key_len, position of the first query, position of the first key
SIZES = {
    "a whole text": (40, 40, 0, 0),
    "a chunk beside a cache": (9, 25, 16, 0),
    "one token": (1, 33, 32, 0),
    "a cache with a window": (3, 12, 30, 21),
    "a static cache": (5, 40, 10, 0),
    "the first of a static cache": (6, 40, 0, 0),
}
CHUNKS = made.chunked_causal_mask_function(6, torch.tensor([0, 3]))
FUNCTIONS: dict[str, Any] = {
    "causal": made.causal_mask_function,
    "bidirectional": made.bidirectional_mask_function,
    "window": made.sliding_window_causal_mask_function(5),
    "window of one": made.sliding_window_causal_mask_function(1),
    "window of all": made.sliding_window_causal_mask_function(400),
    "window on both sides": made.sliding_window_bidirectional_mask_function(5),
    "chunks": CHUNKS,
    "images": made.or_masks(made.causal_mask_function, made.blockwise_overlay(IMAGES)),
    "images in a window": made.or_masks(
        made.sliding_window_causal_mask_function(5), made.blockwise_overlay(IMAGES)
    ),
    "a padding of its own": made.and_masks(made.causal_mask_function, made.padding_mask_function(IDS != 1)),
    "of a stranger": lambda batch, head, query, key: (query * 7 + key * 3 + batch) % 5 < 3,
    "of a stranger, a prefix": made.or_masks(
        made.causal_mask_function, lambda batch, head, query, key: key < 4 + query * 0
    ),
}
PADDINGS = {
    "none": None,
    "left": np.s_[:4],
    "right": np.s_[-6:],
    "all": np.s_[:],
    "holes": np.s_[3:38:4],
}


def padded(name: str, tokens: int) -> Any:
    if PADDINGS[name] is None:
        return None
    real = torch.ones((BATCH, tokens), dtype=torch.bool)
    real[1, PADDINGS[name]] = False
    return real


def assert_read(
    function: Any, real: Any, sizes: tuple[int, int, int, int], use_vmap: bool = False
) -> SymbolicMask:
    query_len, key_len, query_offset, key_offset = sizes
    asked = {
        "q_length": query_len,
        "kv_length": key_len,
        "q_offset": query_offset,
        "kv_offset": key_offset,
        "mask_function": function,
        "attention_mask": real,
        "use_vmap": use_vmap,
    }
    mask: SymbolicMask = mask_of_transformers(BATCH, **asked)
    never = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    truth = np.broadcast_to(made.sdpa_mask(BATCH, **asked, **never), (BATCH, 1, query_len, key_len))
    assert mask.shape == truth.shape
    statement = mask.statement
    assert statement.key_offset == key_offset
    assert not truth[..., statement.keys_read :].any()
    shown = (
        np.ones(1, bool)
        if statement.mask is None
        else statement.mask.visible(query_len, statement.keys_read, batch=BATCH, heads=1)
    )
    np.testing.assert_array_equal(
        np.broadcast_to(shown, truth[..., : statement.keys_read].shape), truth[..., : statement.keys_read]
    )
    np.testing.assert_array_equal(mask.visible(), truth)
    return mask


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_entry_is_what_transformers_makes_of_it(name: str, sizes: str, padding: str) -> None:
    _, key_len, _, key_offset = SIZES[sizes]
    assert_read(FUNCTIONS[name], padded(padding, key_offset + key_len), SIZES[sizes])


def packed(function: Any, positions: Any, last: bool = False) -> Any:
    """Packed texts as Transformers composes them; since 5.24, which text a token is in comes last."""
    texts = made.packed_sequence_mask_function(IDS)
    remapped = made.remap_positions_for_packed_sequence(function, positions)
    return made.and_masks(remapped, texts) if last else made.and_masks(texts, remapped)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("within", ["causal", "window", "window on both sides", "chunks", "of a stranger"])
def test_packed_texts(within: str, last: bool) -> None:
    mask = assert_read(packed(FUNCTIONS[within], POSITIONS, last), None, SIZES["a whole text"])
    assert ("Documents" in str(mask.statement.mask)) == (within != "of a stranger")


def test_packed_texts_whose_positions_jump_are_asked_for_every_entry() -> None:
    mask = assert_read(packed(FUNCTIONS["window"], POSITIONS * 2), None, SIZES["a whole text"])
    assert str(mask.statement.mask) == "Dense([2, 1, 40, 40])"


def test_functions_that_only_vmap_can_ask() -> None:
    table = torch.rand((TOKENS, TOKENS), generator=torch.Generator().manual_seed(0)) < 0.5

    def stranger(batch: Any, head: Any, query: Any, key: Any) -> Any:
        return table[query, key]

    function = made.or_masks(made.causal_mask_function, stranger)
    assert_read(function, None, SIZES["a whole text"], use_vmap=True)


def test_long_functions_of_strangers_are_asked_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_masks, "ENTRIES_AT_ONCE", 7 * BATCH * TOKENS)
    asked: list[int] = []
    ours = made.sdpa_mask

    def noted(batch: int, query_len: int, *sizes: int, **options: Any) -> Any:
        asked.append(query_len)
        return ours(batch, query_len, *sizes, **options)

    monkeypatch.setattr(made, "sdpa_mask", noted)
    mask_of_transformers(BATCH, TOKENS, TOKENS, mask_function=FUNCTIONS["of a stranger"])
    assert asked == [7, 7, 7, 7, 7, 5]


@pytest.mark.parametrize(
    ("name", "sizes", "padding", "written"),
    [
        ("causal", "a whole text", "none", "Causal()"),
        ("causal", "a chunk beside a cache", "none", "Causal()"),
        ("causal", "a static cache", "none", "Causal()"),
        ("causal", "one token", "none", "None"),
        ("causal", "a whole text", "left", "Causal() & KeyRanges(first=[0, 4], end=[40, 40])"),
        ("causal", "a whole text", "right", "Causal() & KeyLengths([40, 34])"),
        ("window", "a whole text", "none", "Window(left=4, right=None) & Causal()"),
        ("window of all", "a whole text", "none", "Causal()"),
        ("bidirectional", "a whole text", "right", "KeyLengths([40, 34])"),
        ("bidirectional", "a whole text", "none", "None"),
        ("of a stranger, a prefix", "a whole text", "none", "Dense([2, 1, 40, 40])"),
    ],
)
def test_a_mask_is_the_least_that_says_it(name: str, sizes: str, padding: str, written: str) -> None:
    _, key_len, _, key_offset = SIZES[sizes]
    mask = assert_read(FUNCTIONS[name], padded(padding, key_offset + key_len), SIZES[sizes])
    assert str(mask.statement.mask) == written


def test_keys_that_a_static_cache_has_not_yet_written_are_not_read() -> None:
    assert assert_read(FUNCTIONS["causal"], None, SIZES["a static cache"]).statement.keys_read == 15
    assert assert_read(FUNCTIONS["bidirectional"], None, SIZES["a static cache"]).statement.keys_read == 40


def test_a_long_text_takes_memory_of_its_rows() -> None:
    tokens = 200_000
    real = torch.ones((1, tokens), dtype=torch.bool)
    real[0, :1000] = False
    mask = mask_of_transformers(1, tokens, tokens, mask_function=FUNCTIONS["window"], attention_mask=real)
    assert mask.shape == (1, 1, tokens, tokens)
    assert mask.statement.mask is not None
    assert mask.statement.mask.held_bytes == 0


MATRIX = pytest.warns(UserWarning, match=r"computes with its attention mask .*: attnscope makes its matrix")


def test_what_returns_the_mask_unchanged_makes_no_matrix() -> None:
    mask = mask_of_transformers(1, 4, 4)
    assert mask.dtype == torch.bool
    assert mask[:, :, :, :4].statement is mask.detach().statement is mask.statement
    assert repr(mask) == "SymbolicMask(Causal(), [1, 1, 4, 4])"
    assert mask.statement.matrix is None


@pytest.mark.parametrize("sizes", SIZES)
def test_a_model_that_computes_with_its_mask_is_given_sdpa_s(sizes: str) -> None:
    query_len, key_len, query_offset, key_offset = SIZES[sizes]
    asked = {"q_offset": query_offset, "kv_offset": key_offset, "mask_function": FUNCTIONS["window"]}
    whole = made.sdpa_mask(1, query_len, key_len, **asked, allow_is_causal_skip=False)
    mask = mask_of_transformers(1, query_len, key_len, **asked)
    with MATRIX:
        assert torch.equal(~mask, ~whole)
    scores = torch.zeros(mask.shape)
    assert torch.equal(scores.masked_fill(mask, 1.0), scores.masked_fill(whole, 1.0))
    assert torch.equal(torch.cat([mask, whole], dim=-1), torch.cat([whole, whole], dim=-1))
    assert torch.equal(mask[:, :, :, 1:], whole[:, :, :, 1:])
    assert torch.equal(mask & whole, whole)


@pytest.mark.parametrize("number_format", [torch.float32, torch.bfloat16])
def test_a_model_that_does_not_support_sdpa_is_given_eager_s(number_format: Any) -> None:
    assert not transformers.GitModel._supports_sdpa
    config = transformers.GitConfig()
    asked: dict[str, Any] = {"mask_function": FUNCTIONS["window"], "dtype": number_format, "config": config}
    whole, mask = made.eager_mask(1, 9, 9, **asked), mask_of_transformers(1, 9, 9, **asked)
    assert mask.dtype == number_format
    with MATRIX:
        assert torch.equal(torch.ones(mask.shape) + mask, torch.ones(mask.shape) + whole)


def test_a_mask_that_a_model_changes_is_read_as_it_is_then() -> None:
    """Through a view or in place; all names of one mask change together."""
    query = torch.randn((1, 1, 4, 8))
    changes: list[Any] = [
        lambda mask: mask[:, :, :, 2:].fill_(value=False),
        lambda mask: mask.logical_and_(torch.arange(4) < 2),
    ]
    for change in changes:
        mask = mask_of_transformers(1, 4, 4)
        same = mask.detach()
        with MATRIX:
            changed = change(mask)
        assert changed is mask or changed.shape[-1] == 2
        shown = torch.ones((4, 4), dtype=torch.bool).tril() & (torch.arange(4) < 2)
        for each in (mask, same):
            output, _ = attention_of_transformers(torch.nn.Module(), query, query, query, each)
            expected, _ = attention_of_transformers(torch.nn.Module(), query, query, query, shown[None, None])
            assert torch.equal(output, expected)


def test_scores_plus_bools_hide_the_keys_that_are_not_visible() -> None:
    mask, scores = mask_of_transformers(1, 4, 4), torch.randn((1, 1, 4, 4))
    with MATRIX:
        added = scores + mask
    assert torch.equal(added, scores + made.eager_mask(1, 4, 4))
    assert torch.equal(mask + scores, added)
    computations: list[Any] = [lambda: scores * mask, lambda: 1 - mask, lambda: mask + 1]
    for compute in computations:
        with pytest.raises(
            (at.UnsupportedProblemError, RuntimeError), match=r"as a number .*'eager'|with a bool"
        ):
            compute()


@pytest.mark.parametrize("masked", ["nothing", "bools", "numbers", "symbolic"])
def test_a_query_sees_only_keys_that_an_indexer_chose(masked: str) -> None:
    """As DeepSeek V3.2 passes them to every attention but eager and sdpa."""
    query, chosen = (
        torch.randn((2, 1, 5, 8)),
        torch.tensor([[[0, 2], [1, 1], [4, 2], [3, 0], [2, 4]]]).repeat(2, 1, 1),
    )
    shown = torch.zeros((2, 1, 5, 5), dtype=torch.bool).scatter_(3, chosen[:, None], value=True)
    causal = torch.ones((5, 5), dtype=torch.bool).tril()
    if masked != "nothing":
        shown &= causal
    masks = {
        "nothing": None,
        "bools": causal.expand(2, 1, 5, 5),
        "numbers": made.eager_mask(2, 5, 5),
        "symbolic": mask_of_transformers(2, 5, 5),
    }
    options = {"is_causal": False}
    ours, _ = attention_of_transformers(
        torch.nn.Module(), query, query, query, masks[masked], indices=chosen, **options
    )
    expected, _ = attention_of_transformers(torch.nn.Module(), query, query, query, shown, **options)
    assert torch.equal(ours, expected)


def test_a_matrix_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic_mask, "LARGEST_MATRIX", 100)
    mask = mask_of_transformers(1, 11, 11)
    with pytest.raises(at.UnsupportedProblemError, match=r"121 entries, expected at most 100.*'eager'"):
        mask.logical_not()


def test_a_transformers_that_means_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    check_mask_functions.__wrapped__()
    readers = mask_functions.READERS
    code = made.sliding_window_overlay(1).__code__

    def one_more(closed: dict[str, Any], asked: Any) -> at.Mask | None:
        return mask_functions.window_behind({"sliding_window": closed["sliding_window"] + 1}, asked)

    monkeypatch.setitem(readers, code, one_more)
    with pytest.raises(at.UnsupportedProblemError, match="sliding_window_overlay of Transformers"):
        check_mask_functions.__wrapped__()
    with pytest.raises(AssertionError):
        assert_read(FUNCTIONS["window"], None, SIZES["a whole text"])
