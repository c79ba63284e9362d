"""Every kind of bad input: an error that names the argument, what was expected, what came, what to do."""

from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.problem import describe


def ones(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ones(shape, dtype)


QUERY, KEY, VALUE = ones(2, 4, 5, 8), ones(2, 2, 7, 8), ones(2, 2, 7, 3)
HUGE = np.broadcast_to(ones(1, 1, 1, 8), (2**20, 4, 2**30, 8))
LONG = np.broadcast_to(ones(1, 1, 1, 8), (1, 1, 2**31, 8))


def misaligned() -> Any:
    return np.zeros(2 * 4 * 5 * 8 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(2, 4, 5, 8)


class Tensor:
    """Looks like torch's."""


Tensor.__module__ = "torch"

SHAPE, FORMAT = at.AttentionShapeError, at.AttentionFormatError
MASK, SCORING = at.AttentionMaskError, at.AttentionScoringError

BAD_CALLS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    # ranks and sizes
    "rank 1": ({"query": ones(8)}, SHAPE, "query has 1 axes, key 4 and value 4.*the same number"),
    "rank 5": (
        dict.fromkeys(("query", "key", "value"), ones(1, 1, 1, 2, 2)),
        SHAPE,
        r"has 5 axes.*\[tokens, dim\]",
    ),
    "mixed ranks": ({"query": ones(5, 8)}, SHAPE, "query has 2 axes, key 4"),
    "heads that do not divide": (
        {"query": ones(2, 8, 5, 8), "key": ones(2, 6, 7, 8), "value": ones(2, 6, 7, 3)},
        SHAPE,
        r"query_heads=8 cannot share kv_heads=6.*Use kv_heads in \[1, 2, 4, 8\]",
    ),
    "no heads": ({"query": ones(2, 0, 5, 8)}, SHAPE, "query_heads=0.*expected at least 1"),
    "other batch": ({"query": ones(3, 4, 5, 8)}, SHAPE, "key has batch=2 and query has batch=3"),
    "other key_dim": (
        {"query": ones(2, 4, 5, 9)},
        SHAPE,
        r"key has key_dim=8 and query has key_dim=9.*np.ascontiguousarray\(x.swapaxes\(2, 3\)\)",
    ),
    "a value too few": (
        {"value": ones(2, 2, 6, 3)},
        SHAPE,
        r"value has 2 heads x 6 tokens and key has 2 x 7.*a value for each key.*swapaxes\(1, 2\)",
    ),
    "value's batch": (
        {"value": ones(1, 2, 7, 3)},
        SHAPE,
        r"value has batch=1 and query has batch=2.*np.broadcast_to\(value",
    ),
    "dim 0": ({"value": ones(2, 2, 7, 0)}, SHAPE, "value_dim=0: expected 1 to 1024"),
    "dim 1025": ({"value": ones(2, 2, 7, 1025)}, SHAPE, "value_dim=1025: expected 1 to 1024"),
    "overflow": ({"query": HUGE, "key": HUGE, "value": HUGE}, SHAPE, "overflows 64 bits. Split the batch"),
    # arrays that cannot be read
    "list": ({"key": KEY.tolist()}, FORMAT, r"key is a list, expected a NumPy array.*np.asarray\(key"),
    "none": ({"value": None}, FORMAT, "value is a NoneType, expected a NumPy array of float32"),
    "tensor": ({"query": Tensor()}, FORMAT, r"query is a torch.Tensor.*Pass query.numpy\(\)"),
    "integers": (
        {"query": QUERY.astype(int)},
        FORMAT,
        r"query is int64, expected float32.*query.astype\(np.float32\)",
    ),
    "objects": ({"value": VALUE.astype(object)}, FORMAT, "value is object, expected float32"),
    "complex": ({"key": KEY.astype(complex)}, FORMAT, "key is complex128, expected float32.*Pass key.real"),
    "big-endian": ({"key": KEY.astype(">f4")}, FORMAT, "key is >f4, in the other byte order.*newbyteorder"),
    "misaligned": ({"query": misaligned()}, FORMAT, r"query is not aligned.*query.copy\(\)"),
    "last axis": (
        {"key": ones(2, 2, 8, 7).swapaxes(2, 3)},
        FORMAT,
        r"key has a last axis that is not contiguous: its stride is 28 bytes, expected 4.*ascontiguousarray",
    ),
    "two formats": (
        {"query": QUERY.astype(np.float64)},
        FORMAT,
        "query is float64, key is float32.*nothing is narrowed or widened silently",
    ),
    # masks
    "mask of floats": ({"mask": ones(5, 7)}, MASK, "mask is an array of float32.*pass bias="),
    "mask as a list": (
        {"mask": [[True]]},
        MASK,
        r"mask is a list, \[\[True\]\], expected a mask such as.*np.asarray\(mask\)",
    ),
    "mask on the wrong axis": (
        {"mask": np.ones((2, 7), bool)},
        MASK,
        r"its axis -2 is 2, expected query_len=5 or 1.*mask\[:, None, None, :\]",
    ),
    "lengths for another batch": (
        {"mask": at.KeyLengths([1, 2, 3])},
        MASK,
        "has 3 entries, expected 2, one for each batch row",
    ),
    "lengths beyond the keys": (
        {"mask": at.KeyLengths(8)},
        MASK,
        "asks for 8 keys, expected at most key_len=7",
    ),
    "documents of other keys": (
        {"mask": at.Documents([1, 2])},
        MASK,
        "2 ids in a row, expected one for each of key_len=7",
    ),
    # scoring
    "scale 0": ({"scale": 0}, SCORING, r"scale=0: expected a positive finite number.*1/sqrt\(key_dim\)"),
    "scale -1": ({"scale": -1.0}, SCORING, "scale=-1.0"),
    "scale nan": ({"scale": float("nan")}, SCORING, "scale=nan"),
    "scale true": ({"scale": True}, SCORING, "scale=True: expected a positive finite number"),
    "scale array": (
        {"scale": ones(1)},
        SCORING,
        r"scale=an array of float32 \[1\]: expected a positive finite number. Pass scale.item",
    ),
    "scale 10**400": ({"scale": 10**400}, SCORING, r"scale=10+\.\.\.0+: expected a positive finite number"),
    "softcap 0": (
        {"softcap": 0.0},
        SCORING,
        "softcap=0.0: expected a positive finite number. Omit it for no cap",
    ),
    "softcap inf": ({"softcap": float("inf")}, SCORING, "softcap=inf"),
    "bias that is a mask": (
        {"bias": np.ones((5, 7), bool)},
        SCORING,
        "bias is an array of bool, expected numbers.*as mask=",
    ),
    "bias of another shape": ({"bias": ones(5, 6)}, SHAPE, "bias has shape.*its key_len is 6"),
    "bias too wide": (
        {"bias": ones(5, 7, dtype=np.float64)},
        FORMAT,
        r"bias is float64.*bias.astype\(np.float32\)",
    ),
    "alibi_slopes too few": (
        {"alibi_slopes": ones(3)},
        SHAPE,
        r"alibi_slopes has shape \[3\], expected \[4\], one number for each of the query heads",
    ),
    "alibi_slopes too wide": (
        {"alibi_slopes": ones(4, dtype=np.float64)},
        FORMAT,
        r"alibi_slopes is float64.*alibi_slopes.astype\(np.float32\)",
    ),
    "sinks of nan": (
        {"sinks": [0.0, 0.0, 0.0, float("nan")]},
        SCORING,
        r"sinks\[3\] is nan, expected a finite float32 number.*-inf for a head without",
    ),
    "sinks as text": (
        {"sinks": "1234x"},
        FORMAT,
        "sinks is '1234x', expected an array or a list of one number per query head",
    ),
    "named type": ({"scale": "0.5"}, SCORING, "scale='0.5': expected a positive finite number"),
    "scale list": ({"scale": [0.5]}, SCORING, r"scale=\[0.5\]: expected a positive"),
    "scale complex": ({"scale": 1j}, SCORING, "scale=1j: expected a positive"),
    "scale beyond float32": (
        {"scale": 1e300},
        SCORING,
        r"scale=1e\+300: expected a number from 1.2e-38 to 3.4e\+38",
    ),
    "softcap below float32": ({"softcap": 1e-60}, SCORING, "softcap=1e-60: expected a number from 1.2e-38"),
    "alibi_slopes as a set": (
        {"alibi_slopes": {1.0}},
        FORMAT,
        "alibi_slopes is {1.0}, expected an array or a list",
    ),
    "alibi_slopes without end": (
        {"alibi_slopes": count()},
        FORMAT,
        r"alibi_slopes is count\(0\), expected an array or a list",
    ),
    "alibi_slopes of text": (
        {"alibi_slopes": ["1"] * 4},
        FORMAT,
        r"alibi_slopes\[0\] is '1', expected a number",
    ),
    "alibi_slopes beyond float32": (
        {"alibi_slopes": [0, 1, 1e300, 1]},
        SCORING,
        r"alibi_slopes\[2\] is 1e\+300, expected a finite float32",
    ),
    "alibi_slopes of integers": (
        {"alibi_slopes": np.arange(4)},
        FORMAT,
        r"alibi_slopes is int64.*alibi_slopes.astype\(np.float32\)",
    ),
    "alibi_slopes of -inf": ({"alibi_slopes": [-np.inf] * 4}, SCORING, "Pass 0 for a head without a slope"),
    "bias of integers": ({"bias": np.zeros((5, 7), int)}, FORMAT, "bias is int64, expected float32"),
    "bias of 5 axes": ({"bias": ones(1, 1, 1, 5, 7)}, SHAPE, "bias has shape.*It has 5 axes"),
    "bias as a list": (
        {"bias": [[0.0] * 7] * 5},
        FORMAT,
        r"bias is a list, expected a NumPy array.*np.asarray\(bias",
    ),
    "bias big-endian": ({"bias": ones(5, 7, dtype=">f4")}, FORMAT, "bias is >f4, in the other byte order"),
    "masked bias": ({"bias": np.ma.masked_array(ones(5, 7), ones(5, 7))}, FORMAT, "bias is a masked array"),
    "masked key": (
        {"key": np.ma.masked_array(KEY, KEY)},
        FORMAT,
        "key is a masked array.*its mask would be lost. Pass key.data, and.*mask=",
    ),
    "masked mask": (
        {"mask": np.ma.masked_array(np.ones((5, 7), bool), False)},
        MASK,
        r"mask is a masked array.*mask.filled\(False\)",
    ),
    "mask's class": (
        {"mask": at.Causal},
        MASK,
        r"mask is the class Causal, expected a mask. Make one: Causal\(...\)",
    ),
    "mask by name": (
        {"mask": "causal"},
        MASK,
        r"mask is a str, 'causal', expected a mask such as Causal\(\)",
    ),
    "mask of numbers": (
        {"mask": np.ones((5, 7), int)},
        MASK,
        r"mask is an array of int64.*mask.astype\(bool\)",
    ),
    "structured": (
        {"key": np.zeros((2, 2, 7, 8), "f4,f4")},
        FORMAT,
        "key is .*f0.*expected float32.*Pass the numbers themselves",
    ),
    "dates": ({"key": np.zeros((2, 2, 7, 8), "M8[s]")}, FORMAT, r"key is datetime64\[s\], expected float32"),
    "float8": (
        {"key": KEY.astype(ml_dtypes.float8_e4m3fn)},
        FORMAT,
        "key is float8_e4m3fn, expected float32",
    ),
    "rank 0": (
        dict.fromkeys(("query", "key", "value"), np.float32(1) * np.ones(())),
        FORMAT,
        "query is a numpy.float(32|64), expected a NumPy array",
    ),
    "0-d array": (
        dict.fromkeys(("query", "key", "value"), np.array(1.0, np.float32)),
        SHAPE,
        "query has 0 axes",
    ),
    "heads without end": (
        {"query": np.zeros((1, 2**39, 0, 8), np.float32), "key": ones(1, 3, 7, 8), "value": ones(1, 3, 7, 3)},
        SHAPE,
        "cannot share kv_heads=3.*Use kv_heads that divides query_heads",
    ),
    "2**31 keys": (
        {"query": ones(1, 1, 1, 8), "key": LONG, "value": LONG},
        SHAPE,
        r"key_len=2147483648: expected less than 2\*\*31 tokens",
    ),
}


@pytest.mark.parametrize(("wrong", "kind", "text"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_input_gets_an_error_that_says_what_to_do(
    wrong: dict[str, Any], kind: type[Exception], text: str
) -> None:
    arguments = {"query": QUERY, "key": KEY, "value": VALUE} | wrong
    with pytest.raises(kind, match=text) as caught:
        at.attention(**arguments)
    assert isinstance(caught.value, at.AttentionError)


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __len__ = __iter__ = __getitem__ = __array__ = __float__ = __index__ = __bool__ = (
        _refuse
    )
    __eq__ = __lt__ = __hash__ = _refuse


class Pretender:
    """Says that it is an array."""

    __class__ = np.ndarray  # type: ignore[assignment]


class Careless(np.ndarray):
    """A subclass that breaks what arrays can do."""

    def __getitem__(self, _: Any) -> Any:
        raise RuntimeError("careless")


PLAIN = [None, True, Ellipsis, int, object(), range(4), "causal", b"1234", {}, set(), Hostile(), Pretender()]
NUMBERS = [10**400, -(10**5000), 1j, float("nan"), float("inf"), 0.0, 1e-320]
SCALARS = [np.float32(1), np.float64("nan"), np.longdouble("1e4000"), ml_dtypes.bfloat16(1), np.bool_(True)]
LISTS = [[[1.0], [2.0, 3.0]], [None] * 4, [10**400] * 4, [Hostile()] * 4, [0.5] * 4]
MASKS = [
    at.Causal,
    at.Causal(offset=[1, 2, 3]),
    at.Dense(ones(2, 1, 1, 7, dtype=bool)),
    at.Documents([1] * 7),
    np.broadcast_to(np.True_, (2**20, 2**40)),
]
ARRAYS = [QUERY, KEY, VALUE, HUGE, LONG, ones(), ones(0, 7, dtype=bool)]
OTHER_DTYPES = [
    np.array(["x"]),
    np.array(["a"], np.dtypes.StringDType()),
    np.array("2026-11-24", "datetime64[D]"),
    np.zeros(3, [("a", int)]),
    np.zeros(4, object),
    np.full(4, None),
    np.zeros((2, 4, 5, 8), ">f4"),
    np.zeros((2, 4, 5, 8), np.longdouble),
]
SUBCLASSES = [
    np.ma.masked_array(QUERY),
    ones(4, 4).view(np.matrix),
    ones(5, 7, dtype=bool).view(np.matrix),
    QUERY.view(Careless),
    QUERY.view(np.recarray),
]
OBJECTS = [*PLAIN, *NUMBERS, *SCALARS, *LISTS, *MASKS, *ARRAYS, *OTHER_DTYPES, *SUBCLASSES]
ARGUMENTS = ("query", "key", "value", "mask", "scale", "softcap", "bias", "alibi_slopes", "sinks")


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_whatever_one_argument_is_the_error_is_ours_and_short(argument: str, number: int) -> None:
    message = refusal(**{"query": QUERY, "key": KEY, "value": VALUE, argument: OBJECTS[number]})
    assert len(message) < 500
    assert "\n" not in message


def refusal(**arguments: Any) -> str:
    """The error's text; empty where there is nothing to refuse."""
    try:
        describe(**arguments)
    except at.AttentionError as error:
        return str(error)
    return ""


class Chosen(NamedTuple):
    """One of OBJECTS, which Hypothesis can neither hash nor print."""

    number: int


def unwrapped(given_object: Any) -> Any:
    return OBJECTS[given_object.number] if isinstance(given_object, Chosen) else given_object


anything = st.one_of(
    st.integers(0, len(OBJECTS) - 1).map(Chosen),
    *(st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers()),
    st.lists(st.integers() | st.floats() | st.none(), max_size=5),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)


@given(st.dictionaries(st.sampled_from(ARGUMENTS), anything, min_size=1))
def test_whatever_is_passed_the_error_is_ours(wrong: dict[str, Any]) -> None:
    with suppress(at.AttentionError):
        arguments = {name: unwrapped(each) for name, each in wrong.items()}
        assert describe(**{"query": QUERY, "key": KEY, "value": VALUE} | arguments)


@given(
    st.lists(st.integers(0, 3), max_size=5), st.lists(st.integers(0, 3), max_size=5), st.sampled_from("efd")
)
def test_whatever_the_shapes_the_error_is_ours(query: list[int], key: list[int], dtype: str) -> None:
    with suppress(at.AttentionError):
        problem, operands = describe(np.ones(query, dtype), np.ones(key, dtype), np.ones(key, dtype))
        shape = problem.shape
        assert operands.query.shape == (shape.batch, shape.query_heads, shape.query_len, shape.key_dim)
