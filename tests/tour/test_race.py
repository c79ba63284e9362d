"""Plain NumPy computes attention, and its measured memory is what its matrices need."""

import numpy as np
import pytest

import attnscope as at
from attnscope.tour import race


def test_plain_numpy_is_attention() -> None:
    query, key, value = np.random.default_rng(0).standard_normal((3, 2, 33, 8), np.float32)
    expected = at.reference.attention(query, key, value, mask=at.Causal())
    score_mass = (np.abs(query) @ np.abs(key).swapaxes(-1, -2)).max() * 8**-0.5
    bound = 2**-24 * (2 * (8 + 2) * score_mass + 33 + 8) * np.abs(value).max()
    assert np.abs(race.plain_numpy(query, key, value) - expected).max() <= bound


@pytest.mark.skipif(not race.STATUS.exists(), reason="the system does not report the peak of a process")
def test_plain_numpy_stores_matrices_and_the_kernel_does_not() -> None:
    matrix = race.HEADS * race.TOKENS**2 * 4
    numpy_bytes = race.peak_bytes_in_a_fresh_process("numpy")
    kernel_bytes = race.peak_bytes_in_a_fresh_process("attnscope")
    assert numpy_bytes is not None
    assert kernel_bytes is not None
    assert 2 * matrix <= numpy_bytes <= 4 * matrix
    assert kernel_bytes < matrix / 8
