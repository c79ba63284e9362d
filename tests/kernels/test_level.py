"""Which level runs: the best one, or the one that was named; never silently another."""

import os
import subprocess
import sys

import numpy as np
import pytest

import attnscope as at
from attnscope import kernels
from attnscope.kernels._core import lanes

PRINT_LEVEL = "from attnscope import kernels; print(kernels.level())"


def in_a_process_with(level: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ATTNSCOPE_LEVEL": level}
    return subprocess.run(
        [sys.executable, "-c", PRINT_LEVEL], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("level", kernels.usable_levels())
def test_the_environment_forces_a_level(level: str) -> None:
    assert in_a_process_with(level).stdout.strip() == level


def test_an_unknown_level_is_an_error_that_lists_the_usable_ones() -> None:
    finished = in_a_process_with("avx9000")
    assert finished.returncode != 0
    assert "ATTNSCOPE_LEVEL='avx9000' cannot run on this CPU" in finished.stderr
    assert all(level in finished.stderr for level in kernels.usable_levels())


def test_the_forced_level_is_the_one_that_runs(level: str) -> None:
    assert kernels.level() == level
    assert lanes(level) == {"x86-64-v4": 16, "x86-64-v3": 8, "neon": 4}[level]


def test_a_forced_level_is_taken_back() -> None:
    before = kernels.level()
    with kernels.forced_level(kernels.usable_levels()[-1]):
        pass
    assert kernels.level() == before
    with pytest.raises(at.UnsupportedProblemError, match="'none' cannot run"), kernels.forced_level("none"):
        pass


def test_float64_is_refused_by_the_kernel_and_done_by_the_reference() -> None:
    wide = np.ones((2, 3))
    with pytest.raises(at.UnsupportedProblemError, match=r"float32, and the arrays are float64.*'reference'"):
        at.attention(wide, wide, wide, implementation="kernel")
    assert at.attention(wide, wide, wide).dtype == np.float64


def test_the_limits_are_measured() -> None:
    assert kernels.measure_fma_limit(1, rounds=1) > 1e9
    assert kernels.measure_read_bandwidth(1, buffer_bytes=1 << 24, rounds=1) > 1e8
