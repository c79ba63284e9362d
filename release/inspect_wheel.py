"""What a wheel holds: its size, its compiled core, and what that needs of the system."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lief

from release.pythons import python_of
from release.targets import Target

MOST_BYTES = 3_000_000
MAY_NEED = ("_core.so", "libSystem")  # its own name; the C library. The C++ library is linked into the core
POINTER = 8  # bytes
NOT_IN_PYTHON = "import ctypes, sys; print(*(n for n in sys.argv[1:] if not hasattr(ctypes.pythonapi, n)))"
CPU_OF = {"arm64": "ARM64", "x86_64": "X86_64"}


def inspect_wheel(wheel: Path, target: Target) -> str:
    """What was found, in a few words; SystemExit if something is not as it must be."""
    size = wheel.stat().st_size
    expect(size < MOST_BYTES, wheel, f"{size:,} bytes, expected fewer than {MOST_BYTES:,}")
    with ZipFile(wheel) as archive:
        cores = [name for name in archive.namelist() if name.endswith((".so", ".dylib", ".pyd"))]
        expect(cores == [core_of(wheel, target)], wheel, f"compiled files {cores}, expected one core")
        expect("attnscope/py.typed" in archive.namelist(), wheel, "no py.typed, so that types are not read")
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
    expect(target.zig.endswith(f"macos.{oldest}"), wheel, f"its core needs macOS {oldest}")
    libraries = [Path(library.name).name for library in binary.libraries]
    expect(all(name.startswith(MAY_NEED) for name in libraries), wheel, f"its core needs {libraries}")
    exported = [symbol.name for symbol in binary.exported_symbols]
    expect("_PyInit__core" in exported, wheel, f"its core exports {exported[:5]}")
    for wrong in (wrong_layout(binary), wrong_indirect_symbols(binary), wrong_imports(binary, wheel)):
        expect(wrong is None, wheel, f"its core {wrong}")
    return f"macOS {oldest}, {cpu}, needs {', '.join(set(libraries) - {MAY_NEED[0]})}"


def wrong_layout(binary: Any) -> str | None:
    """Whether a load command or segment is out of place, or the signature is missing that ARM64 needs."""
    sound, reason = lief.MachO.check_layout(binary)
    if not sound:
        return f"has a wrong layout: {reason}"
    unsigned = binary.header.cpu_type.name == "ARM64" and not binary.has_code_signature
    return "has no code signature" if unsigned else None


def wrong_indirect_symbols(binary: Any) -> str | None:
    """Whether an entry of the indirect symbol table is missing, or is not the symbol that is bound there."""
    command = binary.dynamic_symbol_command
    entries = list(command.indirect_symbols)  # without those that are no symbol's index
    if len(entries) != command.nb_indirect_symbols:
        return f"has {command.nb_indirect_symbols - len(entries)} indirect symbols out of range"
    bound = {each.address: each.symbol.name for each in binary.bindings if each.has_symbol}
    for section in binary.sections:
        pointers = section.size // POINTER if "SYMBOL_POINTERS" in section.type.name else 0
        for place in range(pointers):
            address, name = section.virtual_address + POINTER * place, entries[section.reserved1 + place].name
            if bound.get(address, name) != name:
                return f"binds {bound[address]} where its indirect symbol is {name}"
    return None


def wrong_imports(binary: Any, wheel: Path) -> str | None:
    """Whether a symbol that no library is named for is not one of Python's: the linker leaves all such open.

    Weak bindings are of symbols that the core defines itself.
    """
    tag = "cp312-abi3" if "-abi3-" in wheel.name else "cp311-cp311"
    strong = [each for each in binary.bindings if each.has_symbol and each.binding_class.name != "WEAK"]
    names = {each.symbol.name for each in strong if not each.has_library}
    command = [python_of(tag), "-c", NOT_IN_PYTHON, *(name.removeprefix("_") for name in names)]
    missing = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return f"needs {', '.join(missing)}, which neither the system nor Python has" if missing else None


def expect(holds: bool, wheel: Path, otherwise: str) -> None:
    """End with a message unless it holds."""
    if not holds:
        raise SystemExit(f"release: {wheel.name}: {otherwise}.")
