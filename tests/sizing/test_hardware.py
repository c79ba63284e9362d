"""Hardware by name, given or measured, and what cannot be any."""

from typing import Any

import pytest

import attnscope as at
from attnscope.sizing.hardware import KNOWN, read_hardware


@pytest.mark.parametrize("name", at.Hardware.known())
def test_each_known_machine_has_a_source_and_a_ridge(name: str) -> None:
    hardware = read_hardware(name)
    assert len(hardware.source) > 40
    assert 1 < hardware.ridge < 1000


@pytest.mark.parametrize("written", ["h100", "H100", " h-100 ", "H 100"])
def test_case_blanks_and_dashes_do_not_matter(written: str) -> None:
    assert read_hardware(written) is KNOWN["h100"]


def test_the_figures_are_dense() -> None:
    """An H100's data sheet has 1,979 TFLOPS with sparsity; dense arithmetic is half, 295 FLOP/byte."""
    assert read_hardware("h100").flops_per_second == 1979e12 / 2
    assert read_hardware("h100").ridge == pytest.approx(295.4, abs=0.05)


@pytest.mark.parametrize("field", ["flops_per_second", "bytes_per_second"])
@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), True, "1e12", None, 10**400])
def test_a_rate_that_is_none_is_refused(field: str, wrong: Any) -> None:
    rates: dict[str, Any] = {"flops_per_second": 1e12, "bytes_per_second": 1e11}
    with pytest.raises(at.ConfigError, match=rf"{field}=.*: expected a positive number, such as 1e12"):
        at.Hardware("mine", **(rates | {field: wrong}))


@pytest.mark.parametrize("wrong", [0, -5, True, 1.5, "80GB"])
def test_a_memory_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(
        at.ConfigError, match=r"memory_bytes=.*: expected a number of bytes, 1 or more. Use None"
    ):
        at.Hardware("mine", 1e12, 1e11, memory_bytes=wrong)


@pytest.mark.skipif(at.kernels.level() is None, reason="no kernel runs here: there is no limit to measure")
def test_this_machine_is_measured_by_the_kernel_s_loops() -> None:
    here = at.Hardware.measure(threads=1)
    assert here.name == "this machine"
    assert here.flops_per_second > 1e8
    assert here.bytes_per_second > 1e8
    assert "measured: float32 multiply-adds" in here.source
    assert f"level {at.kernels.level()}" in here.source
