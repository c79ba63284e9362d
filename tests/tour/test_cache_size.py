"""The cache's formula, with numbers in it, is the number beside it."""

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


def test_this_model_takes_what_its_arrays_take() -> None:
    reading = MODEL.read(b"some text of thirty-one bytes..")
    arrays = [*reading.key, *reading.value]
    assert cache_sizes(MODEL, 31)[0].total_bytes == sum(array.nbytes for array in arrays)


def test_llama_3_8b_takes_128_kib_a_token() -> None:
    assert cache_sizes(MODEL, 1)[1].bytes_per_token == 131_072
