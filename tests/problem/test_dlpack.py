"""Arrays of other libraries: read and written in place through DLPack, or refused with the reason."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.problem import Array, plain
from tests.problem.exported import Exported, ExportedWithoutVersion

FORMATS = (np.float32, ml_dtypes.bfloat16, np.float16, np.float64)


def arrays(dtype: Any = np.float32) -> list[NDArray[Any]]:
    """A query, key and value with strides: [tokens, heads, dim] seen as [heads, tokens, dim]."""
    sizes = ((5, 4, 16), (9, 2, 16), (9, 2, 8))
    rng = np.random.default_rng(0)
    return [rng.standard_normal(size).astype(dtype).swapaxes(0, 1) for size in sizes]


def exported(given: list[NDArray[Any]]) -> list[Exported]:
    return [Exported(array) for array in given]


@pytest.mark.parametrize("library", [Exported, ExportedWithoutVersion])
@pytest.mark.parametrize("dtype", FORMATS)
def test_the_memory_is_shared_with_its_strides(dtype: Any, library: type[Exported]) -> None:
    array = arrays(dtype)[0]
    view = plain(library(array), "query")
    assert np.shares_memory(view.view(np.uint8), array.view(np.uint8))
    assert (view.shape, view.strides, view.dtype) == (array.shape, array.strides, array.dtype)
    assert np.array_equal(view, array)


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_exporter_s_memory_lives_as_long_as_the_view_and_no_longer(dtype: Any) -> None:
    array = np.ones((3, 4), dtype)
    alive = weakref.ref(array)
    view = plain(Exported(array), "query")
    del array
    gc.collect()
    assert alive() is not None
    assert (view == 1).all()
    del view
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("implementation", ["auto", "reference"])
def test_attention_of_exported_arrays_has_the_bits_of_attention_of_their_arrays(
    dtype: Any, implementation: Any
) -> None:
    given = arrays(dtype)
    options: dict[str, Any] = {
        "mask": np.random.default_rng(2).random((5, 9)) < 0.7,
        "bias": np.ones((5, 9), dtype),
    }
    options["sinks"] = np.zeros(4, dtype)
    expected = at.attention(*given, implementation=implementation, **options)
    shared: dict[str, Any] = {name: Exported(option) for name, option in options.items()}
    output = at.attention(*exported(given), implementation=implementation, **shared)
    assert type(output) is np.ndarray
    assert output.dtype == expected.dtype
    assert output.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("implementation", ["auto", "reference"])
def test_out_is_written_in_place_and_returned(dtype: Any, implementation: Any) -> None:
    given = arrays(dtype)
    memory = np.zeros((4, 5, 8), dtype)
    out: Any = Exported(memory)
    assert at.attention(*exported(given), out=out, implementation=implementation) is out
    assert memory.tobytes() == at.attention(*given, implementation=implementation).tobytes()


def test_other_functions_read_exported_arrays_too() -> None:
    given = arrays()
    grad = np.ones((4, 5, 8), np.float32)
    part = at.partial_attention(*exported(given))
    assert np.array_equal(part.output, at.partial_attention(*given).output)
    (query, key, value), shared = given, [*exported(given), Exported(grad)]
    found = at.attention_gradients(shared[0], shared[1], shared[2], shared[3])
    assert np.array_equal(found.key, at.attention_gradients(query, key, value, grad).key)
    assert np.array_equal(at.observe(*exported(given)).entropy, at.observe(*given).entropy)


def decode(read: Callable[[NDArray[Any]], Array]) -> NDArray[Any]:
    query, key, value = arrays_of_a_cache()
    cache = at.KVCache(layers=1, kv_heads=2, key_dim=16, value_dim=8)
    text = cache.new_sequence()
    cache.append(text, 0, read(key), read(value))
    memory = np.zeros((4, 5, 8), np.float32)
    cache.attend(text, 0, read(query), out=read(memory))
    return memory


def arrays_of_a_cache() -> list[NDArray[Any]]:
    draw = np.random.default_rng(1).standard_normal
    return [draw(size, np.float32) for size in ((4, 5, 16), (2, 9, 16), (2, 9, 8))]


def test_a_cache_takes_and_writes_exported_arrays() -> None:
    assert decode(lambda array: array).any()
    assert np.array_equal(decode(Exported), decode(lambda array: array))


def test_a_cache_takes_a_list_of_exported_queries() -> None:
    query, key, value = arrays_of_a_cache()
    cache = at.KVCache(layers=1, kv_heads=2, key_dim=16, value_dim=8)
    texts = [cache.new_sequence() for _ in range(3)]
    cache.append(texts, 0, np.stack([key] * 3), np.stack([value] * 3))
    queries = [query, query[:, 1:], query[:, 1:]]  # a shape of its own, and two of one shape
    for given, read in zip(queries, cache.attend(texts, 0, exported(queries)), strict=True):
        assert read.tobytes() == cache.attend(texts[0], 0, given).tobytes()


def test_pages_take_and_write_exported_arrays() -> None:
    query, key, value = ([array] for array in arrays_of_a_cache())
    keys, values = (np.zeros((1, 2, 16, dim), np.float32) for dim in (16, 8))
    empty = at.cache.Pages(keys, values, None, None, np.zeros((1, 1), np.int32), np.array([0]))
    pages = at.cache.append(empty, Exported(np.stack(key)), Exported(np.stack(value)))
    memory = np.zeros((1, 4, 5, 8), np.float32)
    out = Exported(memory)
    assert at.cache.attend(Exported(np.stack(query)), pages, out=out) is out
    assert np.array_equal(memory[0], decode(lambda array: array))
    stored, _ = at.cache.quantize(Exported(key[0]))
    assert np.array_equal(stored, at.cache.quantize(key[0])[0])


def test_observations_and_relevance_read_exported_arrays() -> None:
    query, key, value = arrays_of_a_cache()
    cache = at.KVCache(layers=1, kv_heads=2, key_dim=16, value_dim=8)
    text = cache.new_sequence()
    cache.append(text, 0, key, value)
    seen = at.observation.cached(cache, text, 0, Exported(query))
    assert np.array_equal(seen.entropy, at.observation.cached(cache, text, 0, query).entropy)
    grad = np.ones((4, 5, 8), np.float32)
    relevance = at.observation.attention_times_gradient
    found = relevance(Exported(query), Exported(key), Exported(value), Exported(grad))
    assert np.array_equal(found, relevance(query, key, value, grad))
    visible = np.arange(9) < 5
    shown = at.attention(query, key, value, mask=at.Dense(Exported(visible)))
    assert np.array_equal(shown, at.attention(query, key, value, mask=visible))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_memory_that_must_not_be_written_is_refused_as_out(dtype: Any) -> None:
    memory = np.zeros((4, 5, 8), dtype)
    memory.flags.writeable = False
    with pytest.raises(at.AttentionFormatError, match="out is read-only, expected a writable array"):
        at.attention(*arrays(dtype), out=Exported(memory))


@pytest.mark.parametrize(("device", "named"), [(2, "CUDA"), (8, "Metal"), (99, "device type 99")])
def test_memory_of_another_device_is_refused_by_its_name(device: int, named: str) -> None:
    query, key, value = arrays()
    with pytest.raises(at.AttentionFormatError) as refused:
        at.attention(Exported(query, device=device), key, value)
    assert str(refused.value) == (
        f"query is a tests.problem.exported.Exported in memory of {named}, expected the CPU's. "
        "Move it to the CPU first."
    )


def test_a_refusal_of_the_exporter_is_passed_on_with_its_reason() -> None:
    class Tracked(Exported):
        def __dlpack__(self, **options: Any) -> Any:
            raise BufferError("it requires a gradient.")

    query, key, value = arrays()
    with pytest.raises(
        at.AttentionFormatError, match=r"key is a .*Tracked that cannot be read in place: it requires"
    ):
        at.attention(query, Tracked(key), value)
    with pytest.raises(at.AttentionMaskError, match=r"mask is a .*Tracked that cannot be read in place"):
        at.attention(query, key, value, mask=Tracked(np.ones((5, 9), bool)))


def test_a_bfloat16_that_is_something_else_is_refused() -> None:
    class Misnamed(Exported):
        dtype = "library.bfloat16"

    query, key, value = arrays()
    with pytest.raises(at.AttentionFormatError, match="its bfloat16 has the DLPack type"):
        at.attention(Misnamed(query), key, value)


def test_a_format_that_attention_does_not_know_is_refused_as_before() -> None:
    _, key, value = exported(arrays())
    with pytest.raises(at.AttentionFormatError, match="query is int32, expected float32"):
        at.attention(Exported(np.ones((4, 5, 16), np.int32)), key, value)
