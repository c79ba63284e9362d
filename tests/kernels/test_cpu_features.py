"""What a CPU lacks for a level: this one beside what Linux reports, and simulated ones."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attnscope import kernels
from attnscope.kernels._core import cpu_registers, missing_features

V3, V4 = "x86-64-v3", "x86-64-v4"
X86 = platform.machine() in ("x86_64", "AMD64")
# Bits of [leaf 1 ecx, leaf 7 ebx, leaf 0x80000001 ecx, XCR0], from the manuals of Intel (2A, CPUID) and AMD
OF_V3 = [0x30D83201, 0x00000128, 0x00000021, 0x06]
OF_V4 = [0x30D83201, 0xD0030128, 0x00000021, 0xE6]
# The names in /proc/cpuinfo that differ from ours
LINUX_NAMES = {"SSE3": "pni", "LAHF": "lahf_lm", "LZCNT": "abm", "CMPXCHG16B": "cx16"}


@pytest.mark.parametrize(("registers", "levels"), [(OF_V3, {V3}), (OF_V4, {V3, V4}), ([0] * 4, set())])
def test_a_level_runs_if_no_feature_of_it_is_missing(registers: list[int], levels: set[str]) -> None:
    assert {level for level in (V3, V4) if not missing_features(level, registers)} == levels


@pytest.mark.parametrize("place", range(4))
def test_every_bit_of_a_level_counts(place: int) -> None:
    for bit in range(32):
        without = list(OF_V4)
        without[place] &= ~(1 << bit)
        assert bool(missing_features(V4, without)) == (without != OF_V4), f"register {place}, bit {bit}"


def test_a_cpu_whose_registers_the_operating_system_does_not_save_has_no_level() -> None:
    assert missing_features(V3, [*OF_V3[:3], 0x2]) == ["saved AVX registers"]
    assert missing_features(V4, [*OF_V4[:3], 0x66]) == ["saved AVX-512 registers"]


def test_the_first_cpu_with_avx_lacks_what_came_two_generations_later() -> None:
    sandy_bridge = [0x1FBAE3FF, 0x0, 0x1, 0x7]
    assert missing_features(V3, sandy_bridge) == ["FMA", "MOVBE", "F16C", "BMI1", "AVX2", "BMI2", "LZCNT"]


def test_a_wrong_number_of_registers_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected the four of"):
        missing_features(V3, [0, 0])


@pytest.mark.skipif(not X86 or sys.platform != "linux", reason="reads /proc/cpuinfo of an x86-64 Linux")
def test_this_cpu_has_what_linux_reports() -> None:
    flags = set(
        re.findall(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)[0].split()
    )
    names = [name for name in missing_features(V4, [0] * 4) if not name.startswith("saved")]
    absent = {name for name in names if LINUX_NAMES.get(name, name.lower().replace(".", "_")) not in flags}
    reported = {name for name in missing_features(V4, cpu_registers()) if not name.startswith("saved")}
    assert reported == absent


# Loads the compiled core first, on a simulated CPU: a Sandy Bridge, the first with AVX
WITHOUT_A_LEVEL = """
import importlib.util, sys
name = "attnscope.kernels._core"
spec = importlib.util.spec_from_file_location(name, sys.argv[1])
core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)
core.usable_levels = lambda: []
core.cpu_registers = lambda: [0x1FBAE3FF, 0x0, 0x1, 0x7]
sys.modules[name] = core
import attnscope, numpy
ones = numpy.ones((2, 3), numpy.float32)
"""
LACKS = "this CPU lacks FMA, MOVBE, F16C, BMI1, AVX2, BMI2, LZCNT, which level x86-64-v3 needs"


def run_without_a_level(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_A_LEVEL + program, str(kernels._core.__file__)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not X86, reason="simulates an x86-64 CPU")
def test_without_a_level_the_import_warns_in_one_sentence_and_the_reference_runs() -> None:
    finished = run_without_a_level("print(attnscope.attention(ones, ones, ones).sum())")
    assert finished.stdout == "6.0\n"
    assert f"RuntimeWarning: {LACKS}: attention runs in the NumPy reference" in finished.stderr
    assert finished.stderr.count("RuntimeWarning:") == 1


@pytest.mark.skipif(not X86, reason="simulates an x86-64 CPU")
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "attnscope.attention(ones, ones, ones, implementation='kernel')",
            f"the kernel cannot run this problem: {LACKS}. Use implementation='reference' or 'auto'.",
        ),
        (
            "cache = attnscope.KVCache(layers=1, kv_heads=1, key_dim=3)\n"
            "text = cache.new_sequence()\ncache.append(text, 0, ones[None], ones[None])\n"
            "cache.attend(text, 0, ones[None])",
            f"paged attention needs the kernel, and {LACKS}.",
        ),
        ("with attnscope.kernels.forced_level('x86-64-v3'): pass", f"Usable levels: none: {LACKS}."),
    ],
)
def test_without_a_level_a_refusal_names_what_the_cpu_lacks(program: str, message: str) -> None:
    finished = run_without_a_level(program)
    assert finished.returncode == 1
    assert finished.stderr.strip().endswith(message)
