"""What a wheel holds: its size, its compiled core, and what that needs of the system."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

import lief

from release.targets import Target

MOST_BYTES = 3_000_000
MAY_NEED = ("_core.so", "libSystem")  # its own name; the C library. The C++ library is linked into the core
CPU_OF = {"arm64": "ARM64", "x86_64": "X86_64"}


def inspect_wheel(wheel: Path, target: Target) -> str:
    """What was found, in a few words; SystemExit if something is not as it must be."""
    size = wheel.stat().st_size
    expect(size < MOST_BYTES, wheel, f"{size:,} bytes, expected fewer than {MOST_BYTES:,}")
    with ZipFile(wheel) as archive:
        cores = [name for name in archive.namelist() if name.endswith((".so", ".dylib", ".pyd"))]
        expect(cores == [core_of(wheel, target)], wheel, f"compiled files {cores}, expected one core")
        with tempfile.TemporaryDirectory() as folder:
            needs = needs_of(wheel, Path(archive.extract(cores[0], folder)), target)
    return f"{size / 1e6:.2f} MB, {needs}"


def core_of(wheel: Path, target: Target) -> str:
    stable = "-abi3-" in wheel.name
    return f"attnscope/kernels/_core{'.abi3.so' if stable else f'.cpython-311{target.suffix}'}"


def needs_of(wheel: Path, core: Path, target: Target) -> str:
    return needs_of_linux(wheel, target) if target.is_linux else needs_of_macos(wheel, core, target)


def needs_of_linux(wheel: Path, target: Target) -> str:
    """The C library's versions, by auditwheel, which knows the policy of each manylinux tag."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    shown = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    expect(f'platform tag: "{target.tag}"' in shown, wheel, f"not consistent with its tag: {shown}")
    versions = sorted(
        set(re.findall(r"GLIBC_([\d.]+)", shown)), key=lambda each: [*map(int, each.split("."))]
    )
    return f"glibc {versions[-1]}"


def needs_of_macos(wheel: Path, core: Path, target: Target) -> str:
    """The CPU, the oldest macOS, and the libraries of a Mach-O file."""
    parsed = lief.MachO.parse(str(core))
    expect(parsed is not None and len(parsed) == 1, wheel, "its core is no Mach-O file of one CPU")
    binary = parsed.at(0)
    cpu = binary.header.cpu_type.name
    expect(cpu == CPU_OF[target.processor], wheel, f"its core is for {cpu}")
    oldest = ".".join(map(str, binary.build_version.minos[:2]))
    expect(oldest in target.zig, wheel, f"its core needs macOS {oldest}")
    libraries = [Path(library.name).name for library in binary.libraries]
    expect(all(name.startswith(MAY_NEED) for name in libraries), wheel, f"its core needs {libraries}")
    exported = [symbol.name for symbol in binary.exported_symbols]
    expect("_PyInit__core" in exported, wheel, f"its core exports {exported[:5]}")
    return f"macOS {oldest}, {cpu}, needs {', '.join(set(libraries) - {MAY_NEED[0]})}"


def expect(holds: bool, wheel: Path, otherwise: str) -> None:
    """End with a message unless it holds."""
    if not holds:
        raise SystemExit(f"release: {wheel.name}: {otherwise}.")
