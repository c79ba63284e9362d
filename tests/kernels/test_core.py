"""What the compiled core checks itself: each array that it could otherwise misread or read out of bounds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope import kernels
from attnscope.kernels._core import Plan, StatisticsArrays, apply_function, read_bandwidth

LEVEL = kernels.usable_levels()[0]
SIZES = {
    "batch": 2,
    "query_heads": 4,
    "kv_heads": 2,
    "query_len": 3,
    "key_len": 70,
    "key_dim": 8,
    "value_dim": 4,
}
ROWS = (2, 4, 3)
PAGES, PAGE_TOKENS = 6, 16

Arrays = dict[str, Any]
Spoil = Callable[[NDArray[Any]], Any]


def plan(**changed: Any) -> Plan:
    described = {"format": "float32", "key_value_format": "float32", "output_format": "float32"}
    masks = {"first_key": None, "end_key": None, "words": None}
    return Plan(**{"level": LEVEL, **SIZES, **described, "scale": 1.0, "softcap": None, **masks, **changed})


def call_arrays() -> Arrays:
    return {
        "query": np.ones((2, 4, 3, 8), np.float32),
        "output": np.empty((2, 4, 3, 4), np.float32),
        "logsumexp": np.empty(ROWS, np.float32),
        "bias": np.zeros((2, 4, 3, 70), np.float32),
        "slopes": np.zeros(4, np.float32),
        "sinks": np.zeros(4, np.float32),
    }


def whole_arrays() -> Arrays:
    return {
        **call_arrays(),
        "key": np.ones((2, 2, 70, 8), np.float32),
        "value": np.ones((2, 2, 70, 4), np.float32),
    }


def page_arrays() -> Arrays:
    return {
        **call_arrays(),
        "key_pages": np.ones((PAGES, 2, PAGE_TOKENS, 8), np.int8),
        "value_pages": np.ones((PAGES, 2, PAGE_TOKENS, 4), np.int8),
        "key_scales": np.ones((PAGES, 2, PAGE_TOKENS), np.float32),
        "value_scales": np.ones((PAGES, 2, PAGE_TOKENS), np.float32),
        "block_table": np.zeros((2, 5), np.int32),
        "key_lens": np.array([70, 3], np.int64),
    }


def statistics_arrays() -> Arrays:
    floats = (
        "entropy",
        "max_weight",
        "first_mass",
        "mean_distance",
        "sink_mass",
        "largest",
        "share",
        "counted",
    )
    return {
        **{name: np.ones(ROWS, np.float32) for name in floats},
        **{name: np.empty(ROWS, np.int32) for name in ("max_key", "visible_keys")},
        "labels": np.zeros((2, 70), np.uint8),
        "segment_mass": np.empty((*ROWS, 2), np.float32),
        "top_keys": np.empty((*ROWS, 3), np.int32),
        "top_weights": np.empty((*ROWS, 3), np.float32),
        "received": np.empty((2, 4, 70), np.float32),
        "map": np.zeros((2, 4, 2, 5), np.float32),
    }


def statistics(arrays: Arrays, **changed: Any) -> StatisticsArrays:
    sizes = {name: SIZES[name] for name in ("batch", "query_heads", "query_len", "key_len")}
    asked = {"first_keys": 4, "segments": 2, "top_keys": 3, "map_rows": 2, "map_columns": 5}
    return StatisticsArrays(arrays, **{**sizes, **asked, **changed})


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, a byte after an aligned address."""
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    moved = memory.view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def every_other(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, with gaps along the last axis."""
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def wrong_type(array: NDArray[Any]) -> NDArray[Any]:
    """The same size of element, another type."""
    other = {"f": np.int32, "i": np.uint32 if array.itemsize == 4 else np.float64, "u": np.int64}
    if array.itemsize == 1:
        return array.view(np.bool_)
    return array.view(np.uint64 if array.dtype == np.int64 else other[array.dtype.kind])


def other_byte_order(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder())


def short(array: NDArray[Any]) -> NDArray[Any]:
    return array[..., :-1].copy()


def flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(array.shape[0], -1) if array.ndim > 2 else array[None]


def no_array(array: NDArray[Any]) -> Any:
    return array.tolist()


SPOILED: list[Spoil] = [unaligned, every_other, wrong_type, other_byte_order, short, flat, no_array]
READ_WITH_STRIDES = {"bias", "key_scales", "value_scales"}  # any strides are read rightly


def cases(arrays: Arrays) -> list[Any]:
    return [
        pytest.param(name, spoil, id=f"{name}-{spoil.__name__}")
        for name, array in arrays.items()
        for spoil in SPOILED
        if not (array.itemsize == 1 and spoil in (unaligned, other_byte_order))  # a byte has neither
        and not (spoil is every_other and name in READ_WITH_STRIDES)
    ]


@pytest.mark.parametrize("as_it_should_be", [np.array, every_other])
def test_arrays_as_they_should_be_are_computed(as_it_should_be: Spoil) -> None:
    arrays = whole_arrays() | {"sinks": np.full(4, -np.inf, np.float32)}
    arrays["bias"] = as_it_should_be(arrays["bias"])
    plan().run(**arrays, threads=1, statistics=statistics(statistics_arrays()))
    assert (arrays["output"] == 1).all()
    arrays = page_arrays() | {"sinks": np.full(4, -np.inf, np.float32)}
    arrays |= {name: as_it_should_be(arrays[name]) for name in ("key_scales", "value_scales")}
    plan(key_value_format="int8").run_pages(**arrays, threads=1, statistics=None)
    assert (arrays["output"] == 1).all()


@pytest.mark.parametrize(("name", "spoil"), cases(whole_arrays()))
def test_a_wrong_array_of_a_call_is_refused(name: str, spoil: Spoil) -> None:
    arrays = whole_arrays()
    arrays[name] = spoil(arrays[name])
    with pytest.raises(ValueError, match=f"^{name}: expected "):
        plan().run(**arrays, threads=1, statistics=None)


@pytest.mark.parametrize(("name", "spoil"), cases(page_arrays()))
def test_a_wrong_array_of_a_call_over_pages_is_refused(name: str, spoil: Spoil) -> None:
    arrays = page_arrays()
    arrays[name] = spoil(arrays[name])
    with pytest.raises(ValueError, match=": expected "):  # a short key_pages makes value_pages the odd one
        plan(key_value_format="int8").run_pages(**arrays, threads=1, statistics=None)


@pytest.mark.parametrize(("name", "spoil"), cases(statistics_arrays()))
def test_a_wrong_array_of_statistics_is_refused(name: str, spoil: Spoil) -> None:
    arrays = statistics_arrays()
    arrays[name] = spoil(arrays[name])
    with pytest.raises(ValueError, match=f"^{name}: expected "):
        statistics(arrays)


@pytest.mark.parametrize("name", sorted(set(statistics_arrays()) - {"counted", "received", "map"}))
def test_a_missing_array_of_statistics_is_refused(name: str) -> None:
    arrays = statistics_arrays()
    del arrays[name]
    with pytest.raises(ValueError, match=f"^{name}: expected this array"):
        statistics(arrays)


MASKS: Arrays = {
    "first_key": np.zeros((2, 3, 2), np.int32),
    "end_key": np.full((2, 3, 2), 70, np.int32),
    "words": np.zeros((2, 4, 3, 2), np.uint64),
}


@pytest.mark.parametrize(("name", "spoil"), cases(MASKS))
def test_a_wrong_array_of_a_mask_is_refused(name: str, spoil: Spoil) -> None:
    given = (
        {"words": MASKS["words"]}
        if name == "words"
        else {key: MASKS[key] for key in ("first_key", "end_key")}
    )
    given[name] = spoil(given[name])
    with pytest.raises(ValueError, match=": expected "):  # a short first_key makes end_key the odd one
        plan(**given)


@pytest.mark.parametrize("name", ["output", "logsumexp"])
def test_a_read_only_array_is_not_written(name: str) -> None:
    arrays = whole_arrays()
    arrays[name].flags.writeable = False
    with pytest.raises(ValueError, match=f"^{name}: expected a writable array"):
        plan().run(**arrays, threads=1, statistics=None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch": -1}, "sizes: expected numbers from 0"),
        ({"key_len": 2**41}, "sizes: expected numbers from 0"),
        ({"kv_heads": 0}, "kv_heads: expected a divisor"),
        ({"kv_heads": 3}, "kv_heads: expected a divisor"),
        ({"format": "int8"}, "expected int8 only for keys and values"),
        ({"output_format": "int8"}, "expected int8 only for keys and values"),
        ({"format": "float64"}, "there is no format float64"),
        ({"level": "x86-64-v9"}, "this CPU has no level x86-64-v9"),
        ({"first_key": MASKS["first_key"]}, "expected both or none"),
        (
            {"first_key": MASKS["first_key"], "end_key": MASKS["end_key"] + 1},
            "expected spans within the keys",
        ),
        (
            {"first_key": MASKS["first_key"] - 1, "end_key": MASKS["end_key"]},
            "expected spans within the keys",
        ),
    ],
)
def test_a_plan_that_would_lead_out_of_bounds_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"block_table": np.full((2, 5), PAGES, np.int32)}, "block_table: expected entries within the pages"),
        ({"block_table": np.full((2, 5), -1, np.int32)}, "block_table: expected entries within the pages"),
        ({"key_lens": np.array([71, 3], np.int64)}, "key_lens: expected lengths within"),
        ({"key_lens": np.array([-1, 3], np.int64)}, "key_lens: expected lengths within"),
        ({"block_table": np.zeros((2, 4), np.int32)}, "key_lens: expected lengths within"),
        ({"key_scales": None}, "key_scales: expected the scales of int8 pages"),
        ({"threads": 0}, "threads: expected at least 1"),
    ],
)
def test_pages_that_would_lead_out_of_bounds_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(key_value_format="int8").run_pages(**{
            **page_arrays(),
            "threads": 1,
            "statistics": None,
            **changed,
        })


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"segments": 65}, "too many segments"),
        ({"segments": -1}, "too many segments"),
        ({"key_len": 2**24}, "too many segments, keys"),
        ({"top_keys": -1}, "too many segments, keys or top keys"),
        ({"map_rows": 0}, "map: expected at least one row and column"),
        ({"map_columns": 0}, "map: expected at least one row and column"),
    ],
)
def test_statistics_that_would_lead_out_of_bounds_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        statistics(statistics_arrays(), **changed)


def test_a_label_beyond_the_segments_is_refused() -> None:
    with pytest.raises(ValueError, match="labels: expected labels below the number of segments"):
        statistics({**statistics_arrays(), "labels": np.full((2, 70), 2, np.uint8)})


def test_statistics_of_another_plan_are_refused() -> None:
    with pytest.raises(ValueError, match="statistics: expected the plan's sizes"):
        plan(query_len=3, batch=1).run(
            **{name: array[:1] if array.ndim > 1 else array for name, array in whole_arrays().items()},
            threads=1,
            statistics=statistics(statistics_arrays()),
        )


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_wrong_array_of_a_measurement_is_refused(spoil: Spoil) -> None:
    good = np.zeros(32, np.float32)
    with pytest.raises(ValueError, match=": expected "):
        read_bandwidth(LEVEL, spoil(good) if spoil is not short else good[None], threads=1)
    with pytest.raises(ValueError, match=": expected "):
        apply_function(LEVEL, "exp2", spoil(good), np.empty_like(good))
    with pytest.raises(ValueError, match=": expected "):
        apply_function(LEVEL, "exp2", good, spoil(good))


def test_a_function_that_the_core_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="function: expected exp2 or tanh"):
        apply_function(LEVEL, "sin", np.zeros(16, np.float32), np.zeros(16, np.float32))
