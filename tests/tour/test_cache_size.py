"""The printed formula of the cache equals the number beside it."""

from attnscope.models import copying_transformer
from attnscope.tour.cache_size import cache_sizes

MODEL = copying_transformer()


def test_the_printed_formulas_give_the_printed_numbers() -> None:
    for cache in cache_sizes(MODEL, 100):
        words = (
            cache.formula.replace("bytes", "").replace("layers", "").replace("heads", "").replace("x", "*")
        )
        assert eval(words) == cache.bytes_per_token
        assert cache.total_bytes == 100 * cache.bytes_per_token


def test_this_model_s_cache_is_as_large_as_its_arrays() -> None:
    reading = MODEL.read(b"some text of thirty-one bytes..")
    arrays = [*reading.key, *reading.value]
    assert cache_sizes(MODEL, 31)[0].total_bytes == sum(array.nbytes for array in arrays)


def test_llama_3_8b_needs_128_kib_per_token() -> None:
    assert cache_sizes(MODEL, 1)[1].bytes_per_token == 131_072
