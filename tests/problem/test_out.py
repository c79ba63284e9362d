"""The argument `out`: what fits is written and returned; what does not is refused before any write."""

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import attnscope as at
from attnscope.problem import check_out, describe


def ones(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ones(shape, dtype)


QUERY, KEY, VALUE = ones(2, 4, 5, 8), ones(2, 2, 7, 8), ones(2, 2, 7, 3)


class Sub(np.ndarray):
    """Adds nothing, but who knows."""


def misaligned() -> Any:
    return np.zeros(2 * 4 * 5 * 3 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(2, 4, 5, 3)


def over(array: Any) -> Any:
    """An array of out's shape that begins in the last entries of another."""
    memory = array.base
    return memory.reshape(-1)[array.size - 2 : array.size + 118].reshape(2, 4, 5, 3)


def with_room(*shape: int) -> Any:
    """An array, and memory behind it."""
    size = int(np.prod(shape))
    return ones(size + 200)[:size].reshape(shape)


BAD_OUT: dict[str, tuple[Any, str]] = {
    "shape": (
        lambda _: ones(2, 4, 5, 8),
        r"out has shape \[2, 4, 5, 8\], expected \[2, 4, 5, 3\].*np.empty\(\(2, 4, 5, 3\)",
    ),
    "format": (
        lambda _: ones(2, 4, 5, 3, dtype=np.float16),
        "out is <f2, expected float32, the query's dtype. Convert the result",
    ),
    "list": (lambda _: [[1.0]], "out is a list"),
    "byte order": (lambda _: ones(2, 4, 5, 3, dtype=">f4"), "out is >f4, expected float32"),
    "last axis": (lambda _: ones(2, 4, 3, 5).swapaxes(2, 3), "out has a last axis that is not contiguous"),
    "misaligned": (lambda _: misaligned(), r"out is not aligned.*out.copy\(\)"),
    "broadcast": (
        lambda _: as_strided(ones(3), (2, 4, 5, 3), (0, 0, 0, 4)),
        "out is a view whose entries share memory, expected separate entries",
    ),
    "windows": (
        lambda _: as_strided(ones(64), (2, 4, 5, 3), (96, 24, 4, 4)),
        "out is a view whose entries share memory",
    ),
    "masked": (lambda _: np.ma.masked_array(ones(2, 4, 5, 3)), "out is a masked array, expected a plain one"),
    "record": (
        lambda _: ones(2, 4, 5, 3).view(Sub),
        r"out is a .*Sub, expected a plain array. Pass np.asarray\(out\)",
    ),
    "overlaps the key": (lambda arrays: over(arrays[1]), "out overlaps key in memory"),
    "overlaps the value": (lambda arrays: over(arrays[2]), "out overlaps value in memory"),
    "overlaps the query": (
        lambda arrays: arrays[0][..., :3],
        "out overlaps query in memory.*Pass another array",
    ),
}


@pytest.mark.parametrize(("make", "text"), BAD_OUT.values(), ids=BAD_OUT)
def test_an_out_that_cannot_be_written_is_refused(make: Any, text: str) -> None:
    arrays = [QUERY.copy(), with_room(2, 2, 7, 8), with_room(2, 2, 7, 3)]
    with pytest.raises(at.AttentionError, match=text):
        at.attention(*arrays, out=make(arrays))
    assert (arrays[0] == QUERY).all()


def test_a_read_only_out_is_refused() -> None:
    out = ones(2, 4, 5, 3)
    out.setflags(write=False)
    with pytest.raises(at.AttentionFormatError, match=r"out is read-only, expected a writable array"):
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


def test_out_may_not_overlap_a_bias() -> None:
    memory = ones(2 * 4 * 5 * 7)
    bias, out = memory.reshape(2, 4, 5, 7), memory[:120].reshape(2, 4, 5, 3)
    with pytest.raises(at.AttentionFormatError, match="out overlaps bias in memory"):
        at.attention(QUERY, KEY, VALUE, bias=bias, out=out)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ones(2, 5, 4, 3).swapaxes(1, 2),
        lambda: ones(2, 4, 5, 3)[:, ::-1],
        lambda: ones(4, 8, 10, 3)[::2, ::2, ::2],
        lambda: ones(2, 4, 5, 3).view(np.memmap),
    ],
    ids=["tokens before heads", "backwards", "every second", "memmap"],
)
def test_any_strides_are_written_to(make: Any) -> None:
    out = make()
    assert at.attention(QUERY, KEY, VALUE, out=out) is out
    assert np.array_equal(out, at.attention(QUERY, KEY, VALUE))


def test_empty_outputs_are_fine() -> None:
    out = ones(2, 4, 0, 3)
    assert at.attention(QUERY[:, :, :0], KEY, VALUE, out=out) is out
