"""The only validation: what is legal passes unchanged, everything else is an error that helps."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.problem import check_out, describe


def ones(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ones(shape, dtype)


QUERY, KEY, VALUE = ones(2, 4, 5, 8), ones(2, 2, 7, 8), ones(2, 2, 7, 3)
HUGE = np.broadcast_to(ones(1, 1, 1, 8), (2**20, 4, 2**30, 8))


def misaligned() -> Any:
    return np.zeros(2 * 4 * 5 * 8 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(2, 4, 5, 8)


class Tensor:
    """Looks like torch's."""


Tensor.__module__ = "torch"

BAD_CALLS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    # ranks and sizes
    "rank 1": ({"query": ones(8)}, at.AttentionShapeError, "query has 1 axes, key 4 and value 4.*the same number"),
    "rank 5": (dict.fromkeys(("query", "key", "value"), ones(1, 1, 1, 2, 2)), at.AttentionShapeError, r"has 5 axes.*\[tokens, dim\]"),
    "mixed ranks": ({"query": ones(5, 8)}, at.AttentionShapeError, "query has 2 axes, key 4"),
    "heads that do not divide": ({"query": ones(2, 8, 5, 8), "key": ones(2, 6, 7, 8), "value": ones(2, 6, 7, 3)}, at.AttentionShapeError, r"query_heads=8 cannot share kv_heads=6.*Use kv_heads in \[1, 2, 4, 8\]"),
    "no heads": ({"query": ones(2, 0, 5, 8)}, at.AttentionShapeError, "query_heads=0.*expected at least 1"),
    "other batch": ({"query": ones(3, 4, 5, 8)}, at.AttentionShapeError, "key has batch=2 and query has batch=3"),
    "other key_dim": ({"query": ones(2, 4, 5, 9)}, at.AttentionShapeError, r"key has key_dim=8 and query has key_dim=9.*swapaxes\(1, 2\)"),
    "a value too few": ({"value": ones(2, 2, 6, 3)}, at.AttentionShapeError, "value has 2 heads x 6 tokens and key has 2 x 7.*a value for each key"),
    "dim 0": ({"value": ones(2, 2, 7, 0)}, at.AttentionShapeError, "value_dim=0: expected 1 to 1024"),
    "dim 1025": ({"value": ones(2, 2, 7, 1025)}, at.AttentionShapeError, "value_dim=1025: expected 1 to 1024"),
    "overflow": ({"query": HUGE, "key": HUGE, "value": HUGE}, at.AttentionShapeError, "overflows 64 bits. Split the batch"),
    # arrays that cannot be read
    "list": ({"key": KEY.tolist()}, at.AttentionFormatError, r"key is a builtins.list, expected a NumPy array.*np.asarray\(key"),
    "none": ({"value": None}, at.AttentionFormatError, "value is a builtins.NoneType, expected a NumPy array"),
    "tensor": ({"query": Tensor()}, at.AttentionFormatError, r"query is a torch.Tensor.*Pass query.numpy\(\)"),
    "integers": ({"query": QUERY.astype(int)}, at.AttentionFormatError, r"query is int64, expected float32.*query.astype\(np.float32\)"),
    "objects": ({"value": VALUE.astype(object)}, at.AttentionFormatError, "value is object, expected float32"),
    "complex": ({"key": KEY.astype(complex)}, at.AttentionFormatError, "key is complex128"),
    "big-endian": ({"key": KEY.astype(">f4")}, at.AttentionFormatError, "key is >f4, in the other byte order.*newbyteorder"),
    "misaligned": ({"query": misaligned()}, at.AttentionFormatError, r"query is not aligned.*query.copy\(\)"),
    "last axis": ({"key": ones(2, 2, 8, 7).swapaxes(2, 3)}, at.AttentionFormatError, r"key has a last axis that is not contiguous: its stride is 28 bytes, expected 4.*np.ascontiguousarray\(key\)"),
    "two formats": ({"query": QUERY.astype(np.float64)}, at.AttentionFormatError, "query is float64, key is float32.*nothing is narrowed or widened silently"),
    # masks
    "mask of floats": ({"mask": ones(5, 7)}, at.AttentionMaskError, "mask is an array of float32.*pass bias="),
    "mask as a list": ({"mask": [[True]]}, at.AttentionMaskError, "mask is a list, expected a mask such as"),
    "mask on the wrong axis": ({"mask": np.ones((2, 7), bool)}, at.AttentionMaskError, r"its axis -2 is 2, expected query_len=5 or 1.*mask\[:, None, None, :\]"),
    "lengths for another batch": ({"mask": at.KeyLengths([1, 2, 3])}, at.AttentionMaskError, "has 3 entries, expected 2, one for each batch row"),
    "lengths beyond the keys": ({"mask": at.KeyLengths(8)}, at.AttentionMaskError, "reaches key 8, but there are 7 keys"),
    "documents of other keys": ({"mask": at.Documents([1, 2])}, at.AttentionMaskError, "names 2 keys, expected key_len=7"),
    # scoring
    "scale 0": ({"scale": 0}, at.AttentionScoringError, r"scale=0.0: expected a positive finite number.*1/sqrt\(key_dim\)"),
    "scale -1": ({"scale": -1.0}, at.AttentionScoringError, "scale=-1.0"),
    "scale nan": ({"scale": float("nan")}, at.AttentionScoringError, "scale=nan"),
    "scale true": ({"scale": True}, at.AttentionScoringError, "scale is True, expected a positive number"),
    "scale array": ({"scale": ones(1)}, at.AttentionScoringError, "scale is array"),
    "scale 10**400": ({"scale": 10**400}, at.AttentionScoringError, "scale"),
    "softcap 0": ({"softcap": 0.0}, at.AttentionScoringError, "softcap=0.0: expected a positive finite number. Leave it out for no cap"),
    "softcap inf": ({"softcap": float("inf")}, at.AttentionScoringError, "softcap=inf"),
    "bias that is a mask": ({"bias": np.ones((5, 7), bool)}, at.AttentionScoringError, "bias is an array of bool, which is a mask: pass mask="),
    "bias of another shape": ({"bias": ones(5, 6)}, at.AttentionShapeError, "bias has shape.*its key_len is 6"),
    "bias too wide": ({"bias": ones(5, 7, dtype=np.float64)}, at.AttentionFormatError, r"bias is float64.*bias.astype\(np.float32\)"),
    "slopes too few": ({"slopes": ones(3)}, at.AttentionShapeError, r"slopes has shape \[3\], expected \[4\], one number for each of the query heads"),
    "slopes too wide": ({"slopes": ones(4, dtype=np.float64)}, at.AttentionFormatError, r"slopes is float64.*slopes.astype\(np.float32\)"),
    "sinks of nan": ({"sinks": [0.0, 0.0, 0.0, float("nan")]}, at.AttentionScoringError, "sinks holds a NaN or an infinity"),
    "sinks as text": ({"sinks": "1234x"}, at.AttentionFormatError, "sinks is '1234x', expected one number a query head"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "text"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_input_gets_an_error_that_says_what_to_do(
    wrong: dict[str, Any], kind: type[Exception], text: str
) -> None:
    arguments = {"query": QUERY, "key": KEY, "value": VALUE} | wrong
    with pytest.raises(kind, match=text) as caught:
        at.attention(**arguments)
    assert isinstance(caught.value, at.AttentionError)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(), st.integers(), max_size=2),
    st.sampled_from([
        object(), np.float32(1), np.array(1.0, np.float32), np.ma.masked_array(QUERY), np.array(["x"]),
        np.zeros(3, [("a", int)]), np.array("2026-11-24", "datetime64[D]"), np.float64("nan"), range(3), QUERY, KEY,
        ones(1, 1, 7), np.zeros((0, 7), bool), at.Causal, at.Causal(offset=[1, 2, 3]), ml_dtypes.bfloat16(1),
    ]),
)  # fmt: skip
ARGUMENTS = ("query", "key", "value", "mask", "scale", "softcap", "bias", "slopes", "sinks")


@given(st.dictionaries(st.sampled_from(ARGUMENTS), anything, min_size=1, max_size=2))
def test_whatever_is_passed_the_error_is_ours(wrong: dict[str, Any]) -> None:
    arguments = {"query": QUERY, "key": KEY, "value": VALUE} | wrong
    with suppress(at.AttentionError):
        assert describe(**arguments)


def test_a_masked_array_is_refused() -> None:
    with pytest.raises(at.AttentionFormatError, match=r"query is a numpy\.ma.*its mask would be lost"):
        describe(np.ma.masked_array(QUERY), KEY, VALUE)


@pytest.mark.parametrize("empty", ["batch", "queries", "keys"])
@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_empty_axes_are_legal(empty: str, implementation: Any) -> None:
    shape = {"batch": (0, 5, 7), "queries": (2, 0, 7), "keys": (2, 5, 0)}[empty]
    query, key, value = (
        ones(shape[0], 4, shape[1], 8),
        ones(shape[0], 2, shape[2], 8),
        ones(shape[0], 2, shape[2], 3),
    )
    part = at.partial(query, key, value, mask=at.Causal(), implementation=implementation)
    assert part.output.shape == (shape[0], 4, shape[1], 3)
    assert (part.output == 0).all()
    assert np.isneginf(part.log_normalizer).all()


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_fewer_axes_are_one_head_one_batch(rank: int) -> None:
    query, key, value = (np.ones((1, 1, 5, 4)[4 - rank :], np.float32) for _ in range(3))
    problem, operands = describe(query, key, value)
    assert (problem.shape.batch, problem.shape.query_heads) == (1, 1)
    assert operands.rank == rank
    assert operands.query.shape == (1, 1, 5, 4)
    assert at.attention(query, key, value).shape == query.shape


def test_a_repeated_call_gets_the_very_same_problem() -> None:
    first = describe(QUERY, KEY, VALUE, mask=at.Causal(), scale=0.5)[0]
    again = describe(QUERY.copy(), KEY, VALUE, mask=at.Causal(), scale=0.5)[0]
    assert first is again
    assert first != describe(QUERY, KEY, VALUE, mask=at.Causal(offset=0), scale=0.5)[0]
    assert {first: 1}[again] == 1


def test_the_operands_are_views_of_the_arrays() -> None:
    operands = describe(QUERY[0, 0], KEY[0, 0], VALUE[0, 0], bias=ones(5, 1))[1]
    assert np.shares_memory(operands.query, QUERY)
    assert operands.bias is not None
    assert operands.bias.shape == (1, 1, 5, 7)
    assert operands.bias.strides[3] == 0


def test_a_problem_prints_what_is_asked() -> None:
    text = repr(describe(QUERY, KEY, VALUE, mask=at.Causal(), softcap=30.0, sinks=[0.0] * 4)[0])
    for part in ("2 x 4 heads x 5 x 8", "2 x 2 heads x 7 x 3", "float32", "Causal()", "softcap 30, sinks"):
        assert part in text


BAD_OUT: dict[str, tuple[Any, str]] = {
    "shape": (lambda _: ones(2, 4, 5, 8), r"out has shape \[2, 4, 5, 8\], expected \[2, 4, 5, 3\]"),
    "format": (lambda _: ones(2, 4, 5, 3, dtype=np.float16), "out is float16, expected float32"),
    "list": (lambda _: [[1.0]], "out is a builtins.list"),
    "broadcast": (
        lambda _: np.broadcast_to(ones(1, 1, 1, 3), (2, 4, 5, 3)),
        "out is read-only|broadcast view",
    ),
    "overlaps the query": (
        lambda arrays: arrays[0][..., :3],
        "out overlaps query in memory.*Pass another array",
    ),
}


@pytest.mark.parametrize(("make", "text"), BAD_OUT.values(), ids=BAD_OUT)
def test_an_out_that_cannot_be_written_is_refused(make: Any, text: str) -> None:
    arrays = [QUERY.copy(), KEY.copy(), VALUE.copy()]
    with pytest.raises(at.AttentionError, match=text):
        at.attention(*arrays, out=make(arrays))
    assert (arrays[0] == QUERY).all()


def test_a_read_only_out_is_refused() -> None:
    out = ones(2, 4, 5, 3)
    out.setflags(write=False)
    with pytest.raises(at.AttentionFormatError, match=r"out is read-only\. Pass a writable array"):
        at.attention(QUERY, KEY, VALUE, out=out)


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_out_is_written_and_returned(implementation: Any) -> None:
    wide = np.zeros((2, 4, 5, 9), np.float32)
    out = wide[..., 3:6]
    assert at.attention(QUERY, KEY, VALUE, out=out, implementation=implementation) is out
    assert (out == at.attention(QUERY, KEY, VALUE)).all()
    assert (wide[..., :3] == 0).all()
    assert (wide[..., 6:] == 0).all()


def test_check_out_accepts_what_does_not_overlap() -> None:
    whole = ones(2, 4, 5, 11)
    problem, operands = describe(whole[..., 3:], KEY, VALUE)
    check_out(whole[..., :3], problem, operands)


def test_many_threads_describe_at_once() -> None:
    expected = describe(QUERY, KEY, VALUE, mask=at.Window(left=3))[0]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: describe(QUERY, KEY, VALUE, mask=at.Window(left=3))[0], range(200))
    assert all(problem == expected for problem in found)


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(
        at.AttentionError, match="implementation='fast': expected 'auto', 'kernel' or 'reference'"
    ):
        at.attention(QUERY, KEY, VALUE, implementation="fast")  # type: ignore[arg-type]
