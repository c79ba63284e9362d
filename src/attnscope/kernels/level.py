"""The CPU level in use: the best that this machine runs, or the one that ATTNSCOPE_LEVEL names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels import _core

ENVIRONMENT_VARIABLE = "ATTNSCOPE_LEVEL"

_forced: str | None = None


@cache
def usable_levels() -> tuple[str, ...]:
    """The levels that this CPU and its operating system can run, the best first; empty: only the reference runs.

    "x86-64-v4" (AVX-512), "x86-64-v3" (AVX2 with FMA and F16C), "neon" (AArch64).
    """
    return tuple(_core.usable_levels())


def level() -> str | None:
    """The level that runs: the forced one, else the best usable one; None where there is none.

    Errors
        UnsupportedProblemError when ATTNSCOPE_LEVEL names a level that is unknown or cannot run here.
    """
    return _forced or _from_environment()


@cache
def _from_environment() -> str | None:
    asked = os.environ.get(ENVIRONMENT_VARIABLE)
    if not asked:
        return usable_levels()[0] if usable_levels() else None
    return _checked(asked, f"{ENVIRONMENT_VARIABLE}={asked!r}")


@contextmanager
def forced_level(name: str) -> Iterator[None]:
    """Run everything in this process at one level, for tests and measurements.

    Errors
        UnsupportedProblemError when the level is unknown or cannot run here.
    """
    global _forced
    before, _forced = _forced, _checked(name, f"level {name!r}")
    try:
        yield
    finally:
        _forced = before


def _checked(name: str, source: str) -> str:
    if name not in usable_levels():
        usable = ", ".join(usable_levels()) or "none: this CPU has no fused multiply-add, use the reference"
        raise UnsupportedProblemError(f"{source} cannot run on this CPU. Usable levels: {usable}.")
    return name
