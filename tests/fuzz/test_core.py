"""Arrays of any shape, type, layout and content for the compiled core: computed, or refused with ValueError.

Under `make sanitize`, a read or write beside an array ends the process. csrc/checks/fuzz.cpp goes on behind
these checks.
"""

from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from attnscope import kernels
from attnscope.kernels._core import Plan, StatisticsArrays

LEVEL = kernels.usable_levels()[0]
TYPES = [
    np.float32,
    np.float16,
    np.uint16,
    np.int8,
    np.uint8,
    np.int32,
    np.int64,
    np.uint64,
    np.float64,
    np.bool_,
]
OF_FORMAT = {"float32": np.float32, "bfloat16": np.uint16, "float16": np.float16, "int8": np.int8}
SIZES = ("batch", "query_heads", "kv_heads", "query_len", "key_len", "key_dim", "value_dim")
small = st.integers(0, 5)


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], dtype: Any, numbers: st.SearchStrategy[int]) -> Any:
    """Mostly of this shape and type; sometimes of others, or in a strange layout."""
    if draw(st.integers(0, 15)) == 0:
        shape = tuple(draw(st.lists(small, max_size=5)))
    if draw(st.integers(0, 15)) == 0:
        dtype = draw(st.sampled_from(TYPES))
    values = np.array(draw(st.lists(numbers, min_size=1, max_size=6)))
    with np.errstate(all="ignore"):
        made = np.resize(values, shape).astype(dtype)
    return laid_out(
        made, draw(st.sampled_from(["plain"] * 8 + ["turned", "gaps", "shared", "moved", "frozen"]))
    )


def laid_out(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """The numbers in another place in memory."""
    if layout == "turned":
        return array[::-1].copy()[::-1] if array.ndim else array
    if layout == "gaps":
        return np.repeat(array, 2, axis=0)[::2] if array.ndim else array
    if layout == "shared":
        return np.broadcast_to(array[:1], array.shape) if array.ndim and len(array) else array
    if layout == "moved":
        memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
        return memory.view(array.dtype).reshape(array.shape) if array.size else array
    if layout == "frozen":
        array.flags.writeable = False
    return array


FLOATS = st.integers(-3, 3)
KEYS = st.integers(0, 5) | st.sampled_from([-1, 2**31 - 1, -(2**31)])


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, int]:
    found = {name: draw(small) for name in SIZES}
    found["kv_heads"] = max(found["kv_heads"], 1) if draw(st.integers(0, 9)) else found["kv_heads"]
    found["query_heads"] = found["kv_heads"] * draw(st.integers(0, 3))
    if draw(st.integers(0, 20)) == 0:
        found[draw(st.sampled_from(SIZES))] = draw(st.sampled_from([-1, 2**40 + 1, 2**62, 2**33]))
    return found


def fitting(number: int) -> int:
    """A size of an array that is made."""
    return number if 0 <= number <= 64 else 1


@st.composite
def plans(draw: st.DrawFn, of: dict[str, int], formats: dict[str, str]) -> Plan:
    rows, keys = fitting(of["query_len"]), fitting(of["key_len"])
    spans = (draw(st.sampled_from([1, fitting(of["batch"])])), rows, draw(st.integers(0, 3)))
    first = end = words = None
    if draw(st.booleans()):
        first, end = draw(arrays(spans, np.int32, KEYS)), draw(arrays(spans, np.int32, KEYS))
    if draw(st.booleans()):
        words = draw(arrays((1, 1, rows, -(-keys // 64)), np.uint64, st.integers(0, 2**64 - 1)))
    scoring: dict[str, Any] = {"scale": draw(st.floats()), "softcap": draw(st.none() | st.floats())}
    given: dict[str, Any] = {**of, **formats, **scoring}
    return Plan(level=LEVEL, **given, first_key=first, end_key=end, words=words)


@st.composite
def statistics(draw: st.DrawFn, of: dict[str, int]) -> StatisticsArrays:
    rows = tuple(fitting(of[name]) for name in ("batch", "query_heads", "query_len"))
    keys, segments, top = fitting(of["key_len"]), draw(st.integers(-1, 66)), draw(st.integers(-1, 9))
    table, columns = draw(st.integers(-1, 6)), draw(st.integers(-1, 6))
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        **dict.fromkeys(("entropy", "max_weight", "first_mass", "mean_distance"), (rows, np.float32)),
        **dict.fromkeys(("sink_mass", "largest", "share", "counted"), (rows, np.float32)),
        **dict.fromkeys(("max_key", "visible_keys"), (rows, np.int32)),
        "labels": ((1, keys), np.uint8),
        "segment_mass": ((*rows, max(segments, 0)), np.float32),
        "top_keys": ((*rows, max(top, 0)), np.int32),
        "top_weights": ((*rows, max(top, 0)), np.float32),
        "received": ((*rows[:2], keys), np.float32),
        "map": ((*rows[:2], max(table, 0), max(columns, 0)), np.float32),
    }
    left_out = draw(st.sets(st.sampled_from(sorted(shapes)), max_size=1) | st.just({"received", "map"}))
    given = {
        name: draw(arrays(shape, dtype, st.integers(0, max(segments, 1))))
        for name, (shape, dtype) in shapes.items()
        if name not in left_out
    }
    named = {name: of[name] for name in ("batch", "query_heads", "query_len", "key_len")}
    asked = {"first_keys": draw(KEYS), "segments": segments, "top_keys": top}
    return StatisticsArrays(given, **named, **asked, map_rows=table, map_columns=columns)


def call_arrays(data: st.DataObject, of: dict[str, int], formats: dict[str, str]) -> dict[str, Any]:
    """Arrays of a call besides its keys and values."""
    b, h, q = (fitting(of[name]) for name in ("batch", "query_heads", "query_len"))
    bias_type = data.draw(st.sampled_from([np.float32, np.float16, np.uint16]))

    def maybe(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        return data.draw(st.none() | arrays(shape, dtype, FLOATS))

    rows = (b, h, q)
    return {
        "query": data.draw(arrays((*rows, fitting(of["key_dim"])), OF_FORMAT[formats["format"]], FLOATS)),
        "output": data.draw(
            arrays((*rows, fitting(of["value_dim"])), OF_FORMAT[formats["output_format"]], FLOATS)
        ),
        "logsumexp": maybe(rows),
        "bias": maybe((*rows, fitting(of["key_len"])), bias_type),
        "slopes": maybe((h,)),
        "sinks": maybe((h,)),
        "threads": data.draw(st.integers(0, 3)),
    }


def stored(data: st.DataObject, of: dict[str, int], shape: tuple[int, ...], dtype: Any) -> list[Any]:
    dims = (fitting(of["key_dim"]), fitting(of["value_dim"]))
    return [data.draw(arrays((*shape, dim), dtype, FLOATS)) for dim in dims]


@given(data=st.data(), of=sizes(), paged=st.booleans())
def test_any_arrays_are_computed_or_refused(data: st.DataObject, of: dict[str, int], paged: bool) -> None:
    names = ("format", "key_value_format", "output_format")
    formats = {name: data.draw(st.sampled_from(sorted(OF_FORMAT))) for name in names}
    with suppress(ValueError):
        plan = data.draw(plans(of, formats))
        asked = data.draw(st.none() | statistics(of))
        given = call_arrays(data, of, formats)
        stored_type = OF_FORMAT[formats["key_value_format"]]
        heads = fitting(of["kv_heads"])
        if not paged:
            key, value = stored(data, of, (fitting(of["batch"]), heads, fitting(of["key_len"])), stored_type)
            return plan.run(**given, key=key, value=value, statistics=asked)
        pages, page_tokens = data.draw(small), data.draw(small)
        key, value = stored(data, of, (pages, heads, page_tokens), stored_type)
        scales = [
            data.draw(st.none() | arrays((pages, heads, page_tokens), np.float32, FLOATS)) for _ in "kv"
        ]
        plan.run_pages(
            **given,
            key_pages=key,
            value_pages=value,
            key_scales=scales[0],
            value_scales=scales[1],
            block_table=data.draw(arrays((fitting(of["batch"]), data.draw(small)), np.int32, KEYS)),
            key_lens=data.draw(arrays((fitting(of["batch"]),), np.int64, KEYS)),
            statistics=asked,
        )
    return None


@given(data=st.data(), of=sizes(), number_format=st.sampled_from(["float32", "bfloat16", "float16"]))
def test_any_arrays_of_a_backward_pass_are_computed_or_refused(
    data: st.DataObject, of: dict[str, int], number_format: str
) -> None:
    formats = dict.fromkeys(("format", "key_value_format", "output_format"), number_format)
    rows = tuple(fitting(of[name]) for name in ("batch", "query_heads", "query_len"))
    keys = tuple(fitting(of[name]) for name in ("batch", "kv_heads", "key_len"))
    dtype = OF_FORMAT[number_format]

    def rows_of(name: str, shape: tuple[int, ...]) -> Any:
        return data.draw(arrays((*shape, fitting(of[name])), dtype, FLOATS))

    with suppress(ValueError):
        plan = data.draw(plans(of, formats))
        given = call_arrays(data, of, formats)
        grad_bias = data.draw(st.none() | arrays((*rows, keys[2]), np.float32, FLOATS))
        del given["sinks"]
        given["logsumexp"] = data.draw(arrays(rows, np.float32, FLOATS))
        plan.run_gradients(
            **given,
            key=rows_of("key_dim", keys),
            value=rows_of("value_dim", keys),
            grad_output=rows_of("value_dim", rows),
            grad_query=rows_of("key_dim", rows),
            grad_key=rows_of("key_dim", keys),
            grad_value=rows_of("value_dim", keys),
            grad_bias=grad_bias,
            mean=data.draw(arrays(rows, np.float32, FLOATS)),
        )
