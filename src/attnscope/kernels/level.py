"""The CPU level in use: the best that this machine runs, or the one that ATTNSCOPE_LEVEL names."""

import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels.core import cpu_registers, missing_features
from attnscope.kernels.core import usable_levels as compiled_levels

ENVIRONMENT_VARIABLE = "ATTNSCOPE_LEVEL"
LOWEST_OF_X86 = "x86-64-v3"

_forced: str | None = None


@cache
def usable_levels() -> tuple[str, ...]:
    """Return the levels that this CPU and its operating system can run, the best first.

    Returns
    -------
    tuple of str
        Some of "x86-64-v4" (AVX-512), "x86-64-v3" (AVX2 with FMA and F16C) and "neon" (AArch64). Empty if
        only the reference runs here.
    """
    return tuple(compiled_levels())


def lacking_features(name: str) -> list[str]:
    """What this CPU lacks for an x86-64 level, such as ["AVX512F"]; all of it on another CPU."""
    return missing_features(name, cpu_registers())


@cache
def why_no_level() -> str | None:
    """Return what this CPU lacks for the kernel, or None if it has a level.

    Returns
    -------
    str or None
        A clause such as "this CPU lacks AVX2, FMA, which level x86-64-v3 needs".
    """
    if usable_levels():
        return None
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the kernel has no level for {platform.machine()} CPUs, only x86-64-v3, x86-64-v4 and neon"
    missing = ", ".join(lacking_features(LOWEST_OF_X86))
    return f"this CPU lacks {missing}, which level {LOWEST_OF_X86} needs"


def level() -> str | None:
    """Return the level in use: the forced one, else the best usable one.

    Returns
    -------
    str or None
        None if this CPU has no level.

    Raises
    ------
    UnsupportedProblemError
        If ATTNSCOPE_LEVEL names a level that is unknown or cannot run here.
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

    Parameters
    ----------
    name : str
        One of usable_levels().

    Yields
    ------
    None
        The level is in use until the context ends.

    Raises
    ------
    UnsupportedProblemError
        If the level is unknown or cannot run here.

    Examples
    --------
    >>> with forced_level(usable_levels()[-1]):
    ...     level() == usable_levels()[-1]
    True
    """
    global _forced
    before, _forced = _forced, _checked(name, f"level {name!r}")
    try:
        yield
    finally:
        _forced = before


def _checked(name: str, source: str) -> str:
    if name not in usable_levels():
        usable = ", ".join(usable_levels()) or f"none: {why_no_level()}"
        raise UnsupportedProblemError(f"{source} cannot run on this CPU. Usable levels: {usable}.")
    return name


if not usable_levels():
    warnings.warn(
        f"{why_no_level()}: attention runs in the NumPy reference, which is much slower.",
        RuntimeWarning,
        stacklevel=1,
    )
