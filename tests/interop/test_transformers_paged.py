"""PagedCache: models generate the same tokens from pages as with eager attention and Transformers' cache."""

import copy
import gc
from typing import Any

import numpy as np
import pytest

from attnscope.errors import AttentionError, CacheError, CacheFullError, UnsupportedProblemError
from tests.audit.models.tiny import build
from tests.interop.judging import assert_near

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import PagedCache, observing, register  # noqa: E402

NEW = 12
GREEDY: dict[str, Any] = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
FAMILIES = [
    "LlamaForCausalLM",
    "MistralForCausalLM",  # a window in every layer
    "Gemma2ForCausalLM",  # a window in every second one, and a soft-cap
    "Gemma3ForCausalLM",
    "GptOssForCausalLM",  # sinks
    "Llama4ForCausalLM",  # chunks
    "GPT2LMHeadModel",
]


def tokens(batch: int = 3, length: int = 21) -> Any:
    return torch.randint(3, 61, (batch, length), generator=torch.Generator().manual_seed(1))


def padded(side: str) -> dict[str, Any]:
    ids = tokens()
    shown = torch.ones_like(ids)
    # On the right, fewer than a window: the last token sees some, as in eager attention
    for row, hidden in enumerate((5, 9, 0) if side == "left" else (1, 2, 0)):
        shown[row, slice(0, hidden) if side == "left" else slice(ids.shape[1] - hidden, None)] = 0
    return {"input_ids": ids, "attention_mask": shown}


def eager(model: Any, **given: Any) -> Any:
    model.set_attn_implementation("eager")
    written = model.generate(**given)
    model.set_attn_implementation(register())
    return written


def small_pages(model: Any, **options: Any) -> Any:
    return PagedCache(model.config, page_tokens=4, **options)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_tokens_as_eager_attention(name: str, side: str) -> None:
    model = build(name)
    given = padded(side) | GREEDY
    expected = eager(model, **given)
    written = model.generate(**given, past_key_values=small_pages(model))
    assert torch.equal(written, expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_beams(name: str) -> None:
    model = build(name)
    given = padded("left") | GREEDY | {"num_beams": 3, "num_return_sequences": 2}
    expected = eager(model, **given)
    assert torch.equal(model.generate(**given, past_key_values=small_pages(model)), expected)


@pytest.mark.parametrize("chunk", [1, 5, 8])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "MistralForCausalLM", "Llama4ForCausalLM"])
def test_a_prompt_read_in_chunks(name: str, chunk: int) -> None:
    model = build(name)
    given = {"input_ids": tokens()} | GREEDY
    expected = eager(model, **given)
    written = model.generate(**given, prefill_chunk_size=chunk, past_key_values=small_pages(model))
    assert torch.equal(written, expected)


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "MistralForCausalLM", "Gemma3ForCausalLM"])
@pytest.mark.parametrize("guesses", [3, 7])
def test_assisted_generation(name: str, guesses: int) -> None:
    """An assistant writes several tokens, which are taken back if the model would have written others."""
    model, assistant = build(name), build(name)
    with torch.no_grad():
        for weights in assistant.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(3))
    assistant.generation_config.num_assistant_tokens = guesses
    assistant.generation_config.num_assistant_tokens_schedule = "constant"
    assistant.generation_config.assistant_confidence_threshold = 0.0
    given = {"input_ids": tokens(batch=1)} | GREEDY | {"max_new_tokens": 30}
    expected = eager(model, **given)
    assistant.set_attn_implementation(register())
    written = model.generate(**given, assistant_model=assistant, past_key_values=small_pages(model))
    assert torch.equal(written, expected)


def test_an_assistant_with_a_paged_cache_of_its_own() -> None:
    """Its windows keep their pages until what it wrote has been accepted."""
    model = build("MistralForCausalLM")
    model.set_attn_implementation(register())
    cache = small_pages(model)
    ids = tokens(batch=1, length=40)
    expected = logits_of(model, ids)[:, 20:28]
    with torch.no_grad():
        model(ids[:, :20], past_key_values=cache)
        cache.activate_past_recording()
        for _ in range(8):
            model(torch.full((1, 1), 7), past_key_values=cache)
        cache.crop(-8)
        again = model(ids[:, 20:28], past_key_values=cache).logits
    assert_near(again.numpy(), expected.numpy(), 40)
    assert cache.get_seq_length() == 28


def logits_of(model: Any, ids: Any) -> Any:
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def test_a_next_turn_continues_the_cache() -> None:
    model = build("Gemma3ForCausalLM")
    first = tokens(batch=1)
    cache = small_pages(model)
    model.set_attn_implementation(register())
    answer = model.generate(first, past_key_values=cache, **GREEDY)
    second = torch.cat([answer, tokens(batch=1, length=6)], dim=1)
    held = cache.get_seq_length()
    written = model.generate(second, past_key_values=cache, **GREEDY)
    assert held == answer.shape[1] - 1
    assert torch.equal(written, eager(model, input_ids=second, **GREEDY))


@pytest.mark.parametrize("copied", ["fork", "deepcopy"])
def test_a_fork_continues_on_its_own(copied: str) -> None:
    model = build("MistralForCausalLM")
    model.set_attn_implementation(register())
    cache = small_pages(model)
    prompt = tokens(batch=1)
    with torch.no_grad():
        model(prompt, past_key_values=cache)
    before = cache.bytes_used
    fork = cache.fork() if copied == "fork" else copy.deepcopy(cache)
    assert cache.bytes_used == fork.bytes_used == before
    for each, seed in ((fork, 5), (cache, 6), (fork, 7)):
        ids = torch.randint(3, 61, (1, 5), generator=torch.Generator().manual_seed(seed))
        whole = torch.cat([prompt, ids], dim=1) if each.get_seq_length() == prompt.shape[1] else None
        with torch.no_grad():
            found = model(ids, past_key_values=each).logits
        if whole is not None:
            assert_near(found.numpy(), logits_of(model, whole)[:, -5:].numpy(), 30)


def test_a_batch_continues_one_prefix_and_shares_its_pages() -> None:
    model = build("LlamaForCausalLM")
    model.set_attn_implementation(register())
    prefix, rest = tokens(batch=1, length=40), tokens(batch=8, length=3)
    cache = small_pages(model)
    with torch.no_grad():
        model(prefix, past_key_values=cache)
        alone = cache.bytes_used
        batch = PagedCache.from_prefix(cache, batch=8)
        found = model(rest, past_key_values=batch).logits
    whole = torch.cat([prefix.expand(8, -1), rest], dim=1)
    assert_near(found.numpy(), logits_of(model, whole)[:, -3:].numpy(), 43)
    assert batch.bytes_used == alone * (10 + 8) // 10  # ten shared pages, and one of each row
    assert cache.get_seq_length() == 40


def test_the_pages_of_a_fork_that_is_gone_are_free_again() -> None:
    model = build("LlamaForCausalLM")
    model.set_attn_implementation(register())
    cache = small_pages(model)
    with torch.no_grad():
        model(tokens(batch=1), past_key_values=cache)
        used = cache.bytes_used
        fork = PagedCache.from_prefix(cache, batch=4)
        model(tokens(batch=4), past_key_values=fork)
        assert cache.bytes_used > used
        del fork
        gc.collect()
    assert cache.bytes_used == used


@pytest.mark.parametrize("name", ["MistralForCausalLM", "Llama4ForCausalLM"])
def test_pages_that_no_later_query_sees_are_given_back(name: str) -> None:
    model = build(name)
    model.set_attn_implementation(register())
    cache = small_pages(model)
    used = []
    with torch.no_grad():
        for part in tokens(batch=1, length=120).split(1, dim=1):
            model(part, past_key_values=cache)
            used.append(sum(each.bytes_used for each in cache.layers if each.is_sliding))
    assert any(each.is_sliding for each in cache.layers)
    assert max(used[60:]) <= max(used[30:60])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int8"])
def test_formats_of_the_pages(dtype: str) -> None:
    """What the attention reads is what the cache's own function returns, and its error is the format's."""
    model = build("LlamaForCausalLM")
    model.set_attn_implementation(register())
    cache, exact = small_pages(model, dtype=dtype), small_pages(model)
    with torch.no_grad():
        for each in (cache, exact):
            model(tokens(), past_key_values=each)
    for which in (0, 1):
        held = cache.layers[0].dense(which, torch.float32)
        real = exact.layers[0].dense(which, torch.float32)
        error = {"float32": 0, "bfloat16": 2**-8, "float16": 2**-11, "int8": (1 + 2**-15) / 254}[dtype]
        assert ((held - real).abs() <= error * real.abs().amax(-1, keepdim=True)).all()
    element = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}[dtype]
    scales = 4 if dtype == "int8" else 0
    assert cache.bytes_used * (8 * 4) == exact.bytes_used * (8 * element + scales)


def test_an_encoder_and_a_decoder() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    config = transformers.T5Config(**sizes, decoder_start_token_id=0, initializer_factor=3.0)
    model = transformers.T5ForConditionalGeneration(config).eval()
    given = padded("right") | GREEDY
    expected = eager(model, **given)
    both = transformers.EncoderDecoderCache(PagedCache(config), PagedCache(config))
    assert torch.equal(model.generate(**given, past_key_values=both), expected)


def test_layers_are_observed_as_without_a_cache() -> None:
    model = build("Gemma2ForCausalLM")
    with observing(model) as seen:
        written = model.generate(tokens(), past_key_values=small_pages(model), **GREEDY)
    with observing(model) as once, torch.no_grad():
        model(written[:, :-1], use_cache=False)
    for layer, expected in zip(seen, once, strict=True):
        assert_near(layer.entropy, expected.entropy, expected.key_len)
        np.testing.assert_array_equal(layer.visible_keys, expected.visible_keys)


def test_a_full_cache_loses_nothing() -> None:
    model = build("Gemma3ForCausalLM")
    model.set_attn_implementation(register())
    cache = small_pages(model, capacity_tokens=24)
    ids = tokens(batch=1, length=30)
    with torch.no_grad():
        model(ids[:, :22], past_key_values=cache)
        with pytest.raises(CacheFullError, match="3 more tokens need 1 pages"):
            model(ids[:, 22:25], past_key_values=cache)
        assert [layer.get_seq_length() for layer in cache.layers] == [22, 22]
        found = model(ids[:, 22:24], past_key_values=cache).logits
    assert_near(found.numpy(), logits_of(model, ids[:, :24])[:, -2:].numpy(), 24)


def test_a_cache_that_is_reset_begins_anew() -> None:
    model = build("LlamaForCausalLM")
    given = {"input_ids": tokens()} | GREEDY
    expected = eager(model, **given)
    cache = small_pages(model)
    model.generate(tokens(batch=2), past_key_values=cache, **GREEDY)
    cache.reset()
    assert cache.get_seq_length() == 0
    assert torch.equal(model.generate(**given, past_key_values=cache), expected)


def read(model: Any, cache: Any, ids: Any = None, **others: Any) -> Any:
    with torch.no_grad():
        return model(tokens() if ids is None else ids, past_key_values=cache, **others)


@pytest.fixture
def llama() -> Any:
    model = build("LlamaForCausalLM")
    model.set_attn_implementation(register())
    return model


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_another_attention_is_refused(llama: Any, attention: str) -> None:
    llama.set_attn_implementation(attention)
    with pytest.raises(UnsupportedProblemError, match=r"set_attn_implementation\(register\(\)\)"):
        read(llama, small_pages(llama))


def test_a_cache_of_another_model_is_refused(llama: Any) -> None:
    cache = small_pages(llama)
    read(llama, cache)
    other = build("LlamaForCausalLM", num_key_value_heads=4)
    other.set_attn_implementation(register())
    with pytest.raises(CacheError, match="2 heads of 8 and 8 numbers, and the model gives 4"):
        read(other, cache)
    deeper = build("LlamaForCausalLM", num_hidden_layers=3)
    deeper.set_attn_implementation(register())
    with pytest.raises(CacheError, match="a layer 2, and the cache 2 layers"):
        read(deeper, small_pages(llama))


def test_another_number_of_rows_is_refused(llama: Any) -> None:
    cache = small_pages(llama)
    read(llama, cache)
    with pytest.raises(CacheError, match=r"3 rows, and the model gives 2.*from_prefix"):
        read(llama, cache, tokens(batch=2))


def test_a_mask_of_another_length_is_refused(llama: Any) -> None:
    cache = small_pages(llama)
    read(llama, cache)
    with pytest.raises(AttentionError, match="attention mask has shape"):
        read(llama, cache, attention_mask=torch.zeros(3, 1, 21, 30))


def test_gradients_are_refused(llama: Any) -> None:
    with pytest.raises(UnsupportedProblemError, match=r"torch\.no_grad"):
        llama.train()(tokens(), past_key_values=small_pages(llama))


@pytest.mark.parametrize("tokens_to_remove", [5, -22])
def test_a_crop_that_cannot_be_is_refused(llama: Any, tokens_to_remove: int) -> None:
    cache = small_pages(llama)
    read(llama, cache)
    with pytest.raises(CacheError, match="crop"):
        cache.crop(tokens_to_remove)


def test_a_crop_behind_a_window_is_refused() -> None:
    model = build("MistralForCausalLM")
    model.set_attn_implementation(register())
    cache = small_pages(model)
    for part in tokens(length=40).split(8, dim=1):
        read(model, cache, part)
    with pytest.raises(CacheError, match="has dropped"):
        cache.crop(-30)


def test_a_crop_below_a_fork_leaves_the_other_side(llama: Any) -> None:
    cache = small_pages(llama)
    read(llama, cache, tokens())
    fork = cache.fork()
    fork.crop(-11)
    read(llama, fork, tokens(length=5))
    whole = torch.cat([tokens(), tokens(length=4)], dim=1)
    found = read(llama, cache, tokens(length=4)).logits
    assert_near(found.numpy(), logits_of(llama, whole)[:, -4:].numpy(), 25)


@pytest.mark.parametrize(
    "options", [{"dtype": "int4"}, {"page_tokens": 0}, {"capacity_tokens": 0}, {"page_tokens": 2.5}]
)
def test_options_that_cannot_be_are_refused_at_once(llama: Any, options: dict[str, Any]) -> None:
    with pytest.raises(AttentionError, match=next(iter(options))):
        PagedCache(llama.config, **options)


def test_a_float64_model_is_refused(llama: Any) -> None:
    with pytest.raises(AttentionError, match="float64"):
        read(llama.double(), small_pages(llama))


def test_int8_refuses_nan(llama: Any) -> None:
    cache = small_pages(llama, dtype="int8")
    with torch.no_grad():
        llama.model.layers[1].self_attn.k_proj.weight[0, 0] = float("nan")
    with pytest.raises(AttentionError, match="NaN"):
        read(llama, cache)


def test_layers_with_a_state_of_another_kind_are_refused() -> None:
    config = transformers.JambaConfig(num_hidden_layers=2, attn_layer_period=2, attn_layer_offset=1)
    layers = [type(each).__name__ for each in transformers.DynamicCache(config=config).layers]
    assert [type(each).__name__ for each in PagedCache(config).layers] == [
        "PagedLayer" if each == "DynamicLayer" else each for each in layers
    ]


def test_a_cache_without_rows_is_empty(llama: Any) -> None:
    cache = small_pages(llama)
    read(llama, cache)
    cache.batch_select_indices(torch.zeros(3, dtype=torch.bool))
    assert (cache.get_seq_length(), cache.bytes_used) == (0, 0)


def test_a_compiled_model(llama: Any) -> None:
    expected = read(llama, small_pages(llama)).logits
    compiled = torch.compile(llama, backend="eager")
    found = read(compiled, small_pages(llama)).logits
    assert torch.equal(found, expected)


def test_a_model_under_autocast(llama: Any) -> None:
    ids = tokens()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        expected = llama(ids, use_cache=False).logits
        found = read(llama, small_pages(llama), ids).logits
    assert torch.equal(found, expected)
