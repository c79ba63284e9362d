"""The compiled core. The only import of `_core`: a missing or foreign one is explained in one sentence."""

import platform
import struct
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

CORE = "attnscope.kernels._core"


def this_python() -> str:
    """Python, its word size, and the platform that it runs on."""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {struct.calcsize('P') * 8} bits, "
        f"on {sys.platform} {platform.machine()} ({' '.join(platform.libc_ver()).strip() or 'no glibc'})"
    )


def why_not_loaded(folder: Path, error: ImportError) -> str:
    """One sentence: the core is missing, or of another Python or platform, or cannot be loaded here."""
    if CORE in sys.modules:  # it was loaded, perhaps from another folder: an editable installation's
        return (
            f"attnscope's Python files in {folder} and its compiled core are of two versions: {error}. "
            "Uninstall attnscope until pip finds none, then install it once."
        )
    found = sorted(path.name for path in folder.glob("_core.*") if path.suffix != ".pyi")
    if not found:
        return (
            f"attnscope's compiled core is missing in {folder}: expected _core{EXTENSION_SUFFIXES[0]}. "
            "Install a wheel, or run `pip install .` in a clone."
        )
    if not {name.removeprefix("_core") for name in found} & set(EXTENSION_SUFFIXES):
        return (
            f"attnscope's compiled core was built for another Python or platform: found {', '.join(found)}, "
            f"and this is {this_python()}. Install attnscope with this Python."
        )
    return (
        f"attnscope's compiled core cannot be loaded: {error}; this is {this_python()}. "
        "Build it on this machine: `pip install .` in a clone."
    )


try:
    from attnscope.kernels._core import Plan as Plan
    from attnscope.kernels._core import StatisticsArrays as StatisticsArrays
    from attnscope.kernels._core import cpu_registers as cpu_registers
    from attnscope.kernels._core import fma_limit as fma_limit
    from attnscope.kernels._core import missing_features as missing_features
    from attnscope.kernels._core import read_bandwidth as read_bandwidth
    from attnscope.kernels._core import usable_levels as usable_levels
    from attnscope.kernels._core import use_openmp as use_openmp
except ImportError as core_error:
    raise ImportError(why_not_loaded(Path(__file__).parent, core_error)) from core_error
