"""examine(): every subject of an installation in turn."""

import os
import time

from attnscope.doctor.bits import EXPECTED_DIGEST, digest
from attnscope.doctor.findings import Examination, Finding
from attnscope.doctor.libraries import examine_copies, examine_library
from attnscope.errors import AttentionError
from attnscope.kernels import (
    default_threads,
    lacking_features,
    level,
    this_python,
    usable_levels,
    why_no_level,
)

NEEDED = ("numpy", "ml_dtypes", "click", "rich")
OPTIONAL = ("torch", "transformers")
# Set for another CPU, they make NumPy's OpenBLAS choose slow code for this one
SLOWS_NUMPY = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def examine() -> Examination:
    """Examine this installation, this CPU and this environment.

    Returns
    -------
    Examination
        In the order: Python, attnscope, level, threads, libraries, BLAS variables, self-test.
    """
    bits, digests = examine_bits()
    findings = [Finding("Python", "ok", this_python()), examine_copies(), examine_level(), examine_threads()]
    findings += [examine_library(name, needed=True) for name in NEEDED]
    findings += [examine_library(name, needed=False) for name in OPTIONAL]
    return Examination((*findings, examine_blas(), bits), digests, EXPECTED_DIGEST)


def examine_level() -> Finding:
    """The level in use, and what better ones lack."""
    missing = why_no_level()
    if missing:
        return Finding("level", "warning", f"{missing}: the NumPy reference runs, which is much slower")
    try:
        used = level()
    except AttentionError as error:
        return Finding("level", "problem", str(error), "Unset ATTNSCOPE_LEVEL.")
    if used != usable_levels()[0]:
        found = f"{used}, named by ATTNSCOPE_LEVEL; this CPU also runs {usable_levels()[0]}"
        return Finding("level", "warning", found, "Unset ATTNSCOPE_LEVEL for full speed.")
    lacking = ", ".join(lacking_features("x86-64-v4"))
    better = f"; x86-64-v4 needs {lacking}" if used == "x86-64-v3" else ""
    return Finding("level", "ok", f"{used}, the best of {', '.join(usable_levels())}{better}")


def examine_threads() -> Finding:
    """The threads of a call, and where the number comes from."""
    try:
        threads = default_threads()
    except AttentionError as error:
        return Finding("threads", "problem", str(error), "Unset ATTNSCOPE_THREADS.")
    source = (
        "ATTNSCOPE_THREADS" if os.environ.get("ATTNSCOPE_THREADS") else "the CPUs that this process may use"
    )
    return Finding("threads", "ok", f"{threads}, from {source}")


def examine_blas() -> Finding:
    """Environment variables that slow NumPy's matrix products: the reference and the user's own code."""
    names = [name for name in SLOWS_NUMPY if os.environ.get(name)]
    if not names:
        return Finding("BLAS variables", "ok", f"{' and '.join(SLOWS_NUMPY)} are not set")
    found = ", ".join(f"{name}={os.environ[name]}" for name in names)
    advice = f"They may slow NumPy's products, and leave the kernel alone. Run `unset {' '.join(names)}`."
    return Finding("BLAS variables", "warning", found, advice)


def examine_bits() -> tuple[Finding, dict[str, str]]:
    """The self-test at each level that runs here."""
    started = time.perf_counter()
    try:
        digests = {name: digest(name) for name in usable_levels()}
    except AttentionError as error:
        return Finding("self-test", "problem", f"could not run: {error}"), {}
    seconds = time.perf_counter() - started
    wrong = {name: found for name, found in digests.items() if found != EXPECTED_DIGEST}
    if wrong:
        found = ", ".join(f"{name} has {each}" for name, each in wrong.items())
        advice = (
            "The kernel was compiled wrongly: its results cannot be trusted. Report the compiler and the CPU."
        )
        return Finding("self-test", "problem", f"{found}; expected {EXPECTED_DIGEST}", advice), digests
    if not digests:
        return Finding("self-test", "warning", "no level runs here, so no bits were compared"), digests
    found = f"the expected bits, {EXPECTED_DIGEST}, at {', '.join(digests)}, in {seconds:.1f} s"
    return Finding("self-test", "ok", found), digests
