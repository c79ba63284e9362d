"""The kernel's own exp2 and tanh: their error as stated, and the same bits at every level."""

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope import kernels
from attnscope.kernels._core import apply_function


def applied(level: str, function: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.zeros(-(-x.size // 16) * 16, np.float32)
    padded[: x.size] = x
    result = np.empty_like(padded)
    apply_function(level, function, padded, result)
    return result[: x.size]


def ulps(actual: NDArray[np.float32], exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance from the exact result, in units of the last place of the result."""
    return np.abs(actual.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32))


def every_nth_float(low: float, high: float, step: int) -> NDArray[np.float32]:
    """Of the floats between two positive ones, every step-th."""
    first, last = (int(np.float32(x).view(np.uint32)) for x in (low, high))
    return np.arange(first, last, step, dtype=np.uint32).view(np.float32)


def test_exp2_is_within_one_ulp(level: str) -> None:
    x = -every_nth_float(1e-30, 126.0, 499)
    assert x.size > 1_000_000
    assert ulps(applied(level, "exp2", x), np.exp2(x.astype(np.float64))).max() <= 1.0


def test_exp2_of_zero_is_one_and_of_minus_infinity_is_zero(level: str) -> None:
    x = np.array([0.0, -0.0, -np.inf, -1e30, -127.0], np.float32)
    assert applied(level, "exp2", x).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("function", ["exp2", "tanh"])
def test_a_nan_survives_whatever_its_payload(level: str, function: str) -> None:
    payloads = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32)
    assert np.isnan(applied(level, function, payloads.view(np.float32))).all()


def test_tanh_is_within_four_ulps_near_zero_too(level: str) -> None:
    x = every_nth_float(1e-30, 30.0, 997)
    x = np.concatenate([x, -x])
    assert ulps(applied(level, "tanh", x), np.tanh(x.astype(np.float64))).max() <= 4.0


def test_tanh_of_the_ends(level: str) -> None:
    x = np.array([0.0, np.inf, -np.inf, 1e30], np.float32)
    assert applied(level, "tanh", x).tolist() == [0.0, 1.0, -1.0, 1.0]


@pytest.mark.parametrize("function", ["exp2", "tanh"])
def test_every_level_gives_the_same_bits(function: str) -> None:
    x = np.concatenate([-every_nth_float(1e-40, 200.0, 997), np.array([0.0, -np.inf, np.nan], np.float32)])
    results = {applied(level, function, x).tobytes() for level in kernels.usable_levels()}
    assert len(results) == 1
